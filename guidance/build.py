"""From options to a working guidance, with everything checked that can be checked before step 0."""

from __future__ import annotations

from dataclasses import replace

from sds3d.core.errors import ConfigError
from sds3d.priors.base import Prior, PriorInfo
from sds3d.priors.noise_schedule import NoiseSchedule

from .base import Guidance
from .engine import Engine
from .options import GuidanceOptions
from .recipe import Recipe
from .registry import preset
from .weights import UNBOUNDED


def build_guidance(options: GuidanceOptions, prior: Prior, steps: int, maps: bool = False) -> Guidance:
    """The guidance that these options describe.

    Args:
        options: of a method, such as methods.sds.Options. prior: who is asked. steps: length of the run.
        maps: log maps of what the gradient is made of.

    Raises:
        ConfigError: the method and the prior, or two choices, do not go together; the text says why.
    """
    return bind(preset(options.method)(options), prior, steps, maps)


def bind(recipe: Recipe, prior: Prior, steps: int, maps: bool = False) -> Engine:
    """A recipe on a prior; errors as in `build_guidance`."""
    if steps < 1:
        raise ConfigError(f"a run needs at least one step, got {steps}.", key="steps")
    return Engine(fitted(recipe, prior.info, prior.schedule), prior, steps, maps)


def fitted(recipe: Recipe, info: PriorInfo, schedule: NoiseSchedule) -> Recipe:
    """A recipe for the prior that tells this of itself, loaded or not.

    Raises:
        ConfigError: they do not go together.
    """
    missing = recipe.branches - set(info.branches)
    if missing:
        raise ConfigError(
            f"the method asks for the condition {', '.join(sorted(missing))}, which the prior {info.name!r} "
            f"cannot serve (it has {', '.join(info.branches)}).",
            key="guidance.method",
        )
    times = recipe.times
    if times.shared is None:
        times = replace(times, shared=info.views_per_group > 1)
    if info.views_per_group > 1 and not times.shared:
        raise ConfigError(
            f"the prior {info.name!r} looks at {info.views_per_group} views of an object at once; "
            "they must share one t, or its attention would mix noise levels.",
            key="guidance.times.shared",
            hint="Leave it out or set it to true.",
        )
    if recipe.draw_weights is not None:
        recipe.draw_weights.check()
    times.check(schedule, finite_kappa=recipe.weight in UNBOUNDED)
    return replace(recipe, times=times)
