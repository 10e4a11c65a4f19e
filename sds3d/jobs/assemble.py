"""From a run's config to the stage that the loop runs."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sds3d.guidance.build import build_guidance
from sds3d.representations import particles
from sds3d.representations.base import Representation

from ..config.dump import config_hash
from ..config.kinds import module_of
from ..config.options import Options
from ..core.streams import Streams
from ..optimize.out_of_memory import not_loaded
from ..optimize.stage import Stage
from ..optimize.timing import Stopwatch, TimedPrior
from ..priors import registry, text_cache
from ..priors.base import Prior, Prompts
from ..priors.models.resolve import ensure, resolved
from . import configs
from .drawing import file_renderer
from .schema import PRIORS, REPRESENTATIONS, RunConfig

log = logging.getLogger(__name__)

PriorCache = MutableMapping[str, Prior]
"""Loaded priors by the hash of their options, shared by the runs of a batch."""


def load_prior(options: Options, cache: PriorCache | None = None) -> Prior:
    """The prior that the options describe, from the cache if it holds it.

    Raises:
        Sds3dError: its weights are missing or broken.
    """
    key = config_hash(options)
    if cache is not None and key in cache:
        return cache[key]
    create = module_of(PRIORS.package, options.kind, PRIORS.group).create  # type: ignore[attr-defined]
    # priors import no renderer: kinds that draw assets are handed one
    extras: dict[str, Any] = (
        {"render": file_renderer()} if "render" in inspect.signature(create).parameters else {}
    )
    try:
        prior = registry.create_prior(options, **extras)
    except torch.OutOfMemoryError as error:
        raise not_loaded(error, getattr(options, "folder", str(options.kind))) from error  # type: ignore[attr-defined]
    if cache is not None:
        cache[key] = prior
    return prior


def weight_files(options: Options) -> list[Path]:
    """The weight files of a prior, [] for kinds that have none.

    Raises:
        Sds3dError: a file that the prior reads is missing, broken or of another kind; nothing was loaded.
    """
    module = module_of(PRIORS.package, options.kind, PRIORS.group)  # type: ignore[attr-defined]
    return list(module.weight_files(resolved(options))) if hasattr(module, "weight_files") else []


def check_prompt(config: RunConfig) -> None:
    """Ask the prior's kind, without loading a network, whether it can serve the config's one prompt.

    A kind tells by a function `check_prompts(options, text, negative, view_words)`; one that has none is asked
    when it is loaded, by `prepare`.

    Raises:
        PromptError: it cannot; the text says which words it does not know and what to do.
    """
    module = module_of(PRIORS.package, config.prior.kind, PRIORS.group)  # type: ignore[attr-defined]
    if hasattr(module, "check_prompts"):
        module.check_prompts(config.prior, config.prompt, config.negative_prompt, config.view_words)


def check_model(config: RunConfig) -> None:
    """Have the prior's files on this disk, fetching a model that has a name, and check them without loading.

    Raises:
        Sds3dError: they cannot be had, or are not what the prior needs; the text says which and what to do.
    """
    ensure(config.prior, log.warning)
    weight_files(config.prior)


def build_representation(config: RunConfig, prior: Callable[[], Prior] | None = None) -> Representation:
    """A fresh representation, drawn from the run's seed; several particles in one where the config asks for them.

    Args:
        prior: returns the run's prior for kinds that need a canvas; by default it is loaded when it is asked for.
    """
    options = config.representation
    create = module_of(REPRESENTATIONS.package, options.kind, REPRESENTATIONS.group).create  # type: ignore[attr-defined]
    extras: dict[str, Any] = {}
    if "canvas" in inspect.signature(create).parameters:
        extras["canvas"] = functools.cache(lambda: PriorCanvas(prior() if prior else load_prior(config.prior)))
    return particles.create(
        config.particles, lambda streams: create(options, streams, **extras), Streams(config.seed)
    )


@dataclass(frozen=True)
class PriorCanvas:
    """See representations.base.Canvas."""

    prior: Prior

    size = property(lambda self: self.prior.info.size, doc="(height, width) in pixels.")
    latent_shape = property(lambda self: self.prior.info.latent_shape, doc="(C, h, w) of one latent.")

    def encode(self, media: Tensor) -> Tensor:
        """RGB in [0, 1] -> latents."""
        return self.prior.encode(media)

    def decode(self, z: Tensor) -> Tensor:
        """Latents -> RGB in [0, 1]."""
        return self.prior.decode(z)


def assemble(config: RunConfig, watch: Stopwatch, cache: PriorCache | None = None) -> Stage:
    """The stage of a run.

    Args:
        config: with one prompt. watch: told the prior's share of the time. cache: priors already loaded.

    Raises:
        PromptError: the prior cannot serve the prompt. ConfigError: two choices do not go together.
    """
    assert config.prompt is not None, "a batch is split into one config a prompt first"
    prior = load_prior(config.prior, cache)
    view_words = not prior.info.uses_camera if config.view_words is None else config.view_words
    embedded = text_cache.prepare(prior, Prompts(config.prompt, config.negative_prompt, view_words))
    return Stage(
        prior=TimedPrior(prior, watch),
        representation=build_representation(config, lambda: prior),
        guidance=build_guidance(
            config.guidance, TimedPrior(prior, watch), config.optimize.steps, config.debug.gradients
        ),
        sampler=config.representation.sampler(config.cameras.sampler()),
        embedded=embedded,
        options=config.optimize,
        streams=Streams(config.seed),
        config_hash=configs.hash_of(config),
        prompt=config.prompt,
        particles=config.particles,
        backdrop=config.representation.backdrop(),
    )
