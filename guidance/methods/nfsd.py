"""Noise-free score distillation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..options import GuidanceOptions
from ..recipe import Recipe
from ..rules import NEG, C, U
from ..switch import Switch


class Options(GuidanceOptions):
    """Noise-free score distillation."""

    method: Literal["nfsd"] = "nfsd"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Scale s of the prompt's direction eps_y - eps_null."""
    switch: float = Field(default=0.2, ge=0.0, le=1.0)
    """t below which the empty prompt's own prediction is taken as the correction, on the scale of `times`."""


def nfsd(options: Options) -> Recipe:
    """NFSD: the prompt's direction plus a correction towards the prior's domain, with the noise left out.

        grad_theta L_NFSD = E_{t, eps} [ w(t) ( delta_D + s delta_C ) dx/dtheta ]
        delta_C = eps_phi(x_t; y) - eps_phi(x_t)
        delta_D = eps_phi(x_t)                           for t < 200 (of 1000)
                  eps_phi(x_t) - eps_phi(x_t; y_neg)     otherwise

    Source: "Noise-Free Score Distillation", Katzir et al. 2023 (ICLR 2024), arXiv 2310.17590, §4, from the
    project page; the authors' code was never released and w(t) is not stated there. The negative prompt meant
    is "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, low-resolution,
    gloomy". The section number was not checked.

    Defaults: s = 7.5, w = sigma^2, t in [0.02, 0.98], threshold strictly below t = 0.2 of Stable Diffusion.
    Cost: 3 predictions a view (2 where every t lies below the threshold); nothing is trained.
    Pitfalls: below the threshold no noise is subtracted, which adds variance wherever alpha^2 var < sigma^2. At and
    above it this is CSD with omega_1 = s, omega_2 = 1: no restoring force.
    """
    prompt = options.cfg_scale * (C - U)
    rule = Switch(options.switch, below=prompt + U, above=prompt + U - NEG, scale=options.times.scale)
    return Recipe(rule=rule, **options.slots())
