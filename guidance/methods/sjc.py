"""Score Jacobian chaining."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..options import GuidedOptions, TimesOptions
from ..recipe import Recipe
from ..rules import EPS, guided


class Options(GuidedOptions):
    """Score Jacobian chaining."""

    method: Literal["sjc"] = "sjc"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(100.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    weight: Literal["uniform", "inv_kappa"] = "uniform"  # type: ignore[assignment]
    """uniform: the released code; inv_kappa: the paper's perturb-and-average score."""
    times: TimesOptions = TimesOptions(low=schedules.constant(0.03), high=schedules.constant(0.99))
    """How noisy the states are; the code leaves out the first 30 and the last 10 of 1000."""


def sjc(options: Options) -> Recipe:
    """SJC: the prior's denoiser in kappa-space, averaged over perturbations.

        PAAS(x) = E_n [ (D(x + kappa n; kappa) - x) / kappa^2 ],   D(x + kappa n; kappa) = x0_hat
        -(D - x) / kappa = eps_hat - eps      (the released code, with its variance reduction)

    Source: "Score Jacobian Chaining: Lifting Pretrained 2D Diffusion Models for 3D Generation", Wang et al.
    2022, arXiv 2212.00774, §4; sign, weight and range from the authors' code. The section number was not
    checked.

    Defaults: s = 100, w = 1, t in [0.03, 0.99].
    Cost: 2 predictions a view; nothing is trained.
    Pitfalls: in these units it is SDS with another weight, and shares its over-saturation.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - EPS
    return Recipe(rule=rule, **options.slots())
