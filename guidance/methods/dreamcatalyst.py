"""DreamCatalyst."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.core import schedules

from ..edit_options import TripleOptions
from ..noise import Paired
from ..options import TimesOptions
from ..recipe import Recipe
from ..reverse_process import Falling, TimedPull


class Options(TripleOptions):
    """DreamCatalyst: editing along the sampler's way down."""

    method: Literal["dreamcatalyst"] = "dreamcatalyst"
    """Name of the method."""
    weight: Literal["reverse_process"] = "reverse_process"  # type: ignore[assignment]
    """delta + gamma tau^(1/e); nothing else belongs to this method."""
    times: TimesOptions = TimesOptions(
        low=schedules.parse({"linear": [0.9, 0.2]}), high=schedules.parse({"linear": [0.9, 0.2]})
    )
    """How noisy the states are: one time that comes down."""
    delta: float = Field(default=0.2, ge=0.0)
    """The weight's constant part; 0.05 was published for Gaussians."""
    gamma: float = Field(default=0.8, ge=0.0)
    """The weight's part that falls with the noise; 0.2 was published for Gaussians."""
    pull: float = Field(default=0.075, ge=0.0)
    """psi: factor on e^tau (z - z_src)."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with its own weight."""
        return super().slots() | {"weight": Falling(self.delta, self.gamma)}


def dreamcatalyst(options: Options) -> Recipe:
    """DreamCatalyst: posterior distillation weighed so that it follows the sampler's way down.

        g = ( delta + gamma tau^(1/e) ) ( eps_tgt - eps_src ) + psi e^tau ( z - z_src ),   tau = t / T
        eps_tgt = u + s (ti - i) + s_img (i - u)  at z_t,    eps_src = u + s_img (i - u)  at z_src,t

    Source: "DreamCatalyst: Fast and High-Quality 3D Editing via Controlling Editability and Identity Preservation",
    Kim et al. 2024 (ICLR 2025), arXiv 2407.11394; formula and numbers read in the authors' code, no eq. of the
    paper was checked. i is the branch src: the source's picture without words on InstructPix2Pix, the
    source's prompt on a prior that reads words alone. FreeU, which the code adds, is prior.freeu.

    Defaults: s = 7.5, s_img = 1.5, delta = 0.2, gamma = 0.8, psi = 0.075, t from 0.9 to 0.2 linearly.
    Cost: 5 predictions a view; needs the source's views and a source prompt or picture; nothing is trained.
    Pitfalls: not still at the source: there w s (ti - i) is left, even where both prompts are equal words, unless they
    make ti = i. For detail, follow it by sdedit.
    """
    pull = (TimedPull(options.pull),)
    return Recipe(rule=options.delta_of_triples(), noise=Paired(), extra=pull, **options.slots())
