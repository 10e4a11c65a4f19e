"""Interval score matching."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..inversion import Inverted
from ..options import GuidedOptions, TimesOptions
from ..recipe import Recipe
from ..rules import guided, plain


class Options(GuidedOptions):
    """Interval score matching (LucidDreamer)."""

    method: Literal["ism"] = "ism"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    weight: Literal["sigma2", "uniform", "kappa"] = "kappa"
    """w(t) on the epsilon-residual."""
    times: TimesOptions = TimesOptions(
        high=schedules.parse({"piecewise": [[0, 0.98], [0.3, 0.5]]}), shared=True
    )
    """How noisy the states are; the upper bound comes down over the first 30 % of the run."""
    gap: Scalar = schedules.parse({"piecewise": [[0, 0.1], [0.3, 0.08]]})
    """Interval t - s, delta_T, on the scale of `times`."""
    stride: float = Field(default=0.2, gt=0.0, le=1.0)
    """Longest move of the inversion, delta_S."""
    start_noise: bool = True
    """Give the render the prior's least noise before the inversion, as the published code does."""

    def inversion(self, fraction: float | None = None) -> Inverted:
        """The noise slot."""
        return Inverted(self.gap, self.stride, fraction, self.start_noise, self.times.scale)


def ism(options: Options) -> Recipe:
    """ISM: the guided prediction at t against the unconditional one an interval before, on one inverted path.

        grad_theta L_ISM = E_t [ w(t) ( eps_phi(x_t; y, t) - eps_phi(x_s; null, s) ) dx/dtheta ],   s = t - delta_T
        x_s by DDIM inversion of the render without prompt in strides of delta_S
        x_t = DDIM(x_s, s -> t; eps_phi(x_s; null, s))

    Source: "LucidDreamer: Towards High-Fidelity Text-to-3D Generation via Interval Score Matching", Liang et
    al. 2023, arXiv 2311.11284, §4 (numbers are those of the authors' code; the paper's delta_T, delta_S and w
    were not checked). The code's start noise also has a per-channel constant of 0.1, left out here, and puts
    a negative prompt into the place of the empty one. Section numbers were not checked.

    Defaults: s = 7.5, w = kappa, delta_T 0.1 -> 0.08, delta_S = 0.2, t in [0.02, 0.98 -> 0.5] over 30 % of the run.
    Cost: ceil(s / delta_S) + 3 predictions a view, 5 on average; nothing is trained.
    Pitfalls: the restoring force is weak (on a Gaussian the fixed point lies far beyond that of SDS), so ISM pushes
    much like CSD; long runs over-shoot. Deterministic but for the start noise.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - plain("null", at="s")
    return Recipe(rule=rule, noise=options.inversion(), **options.slots())
