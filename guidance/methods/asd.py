"""Asynchronous score distillation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..noise import Later
from ..options import GuidedOptions, TimesOptions
from ..recipe import Recipe
from ..rules import guided, plain


class Options(GuidedOptions):
    """Asynchronous score distillation (ScaleDreamer)."""

    method: Literal["asd"] = "asd"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    times: TimesOptions = TimesOptions(
        low=schedules.parse({"linear": [0.5, 0.02]}), high=schedules.parse({"linear": [0.98, 0.5]})
    )
    """How noisy the states are; both bounds come down."""
    shift: float = Field(default=0.1, ge=0.0, le=1.0)
    """p: the reference's time is t + U p t, U uniform."""
    random_shift: bool = True
    """Draw U; off takes 1."""


def asd(options: Options) -> Recipe:
    """ASD: the guided prediction against the plain conditional one at a later time, with the same noise.

        grad_theta L_ASD = E [ w(t) ( eps_phi^s(x_t; y, t) - eps_phi(x_t'; y, t') ) dx/dtheta ]
        t' = t + U p (t - t_min)

    Source: "ScaleDreamer: Scalable Text-to-3D Synthesis with Asynchronous Score Distillation", Ma et al.
    2024, arXiv 2407.02040, §3; values from the authors' code. Here t_min = 0. The section number was not
    checked.

    Defaults: s = 7.5, p = 0.1, w = sigma^2, t_min 0.5 -> 0.02, t_max 0.98 -> 0.5.
    Cost: 3 predictions a view; a stand-in for VSD that trains nothing.
    Pitfalls: with p = 0 this is (s - 1) times CSD. On a Gaussian the data term attracts only where sigma > alpha std;
    at very small t it pushes away.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - plain("y", at="p")
    noise = Later(options.shift, options.random_shift, scale=options.times.scale)
    return Recipe(rule=rule, noise=noise, **options.slots())
