"""Consistent flow distillation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..noise import Fixed, NoiseSource
from ..options import GuidedOptions, TimesOptions
from ..recipe import Recipe
from ..rules import EPS, guided
from ..surface_noise import SurfaceNoise


class Options(GuidedOptions):
    """Consistent flow distillation (CFD)."""

    method: Literal["cfd"] = "cfd"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(71.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    weight: Literal["sigma2", "uniform", "kappa"] = "kappa"
    """w(t) on the epsilon-residual; kappa makes g = z - x0."""
    times: TimesOptions = TimesOptions(law="cfd", shared=True)
    """How noisy the states are: one time that falls over the run."""
    noise: Literal["surface", "fixed"] = "surface"
    """On the object, where a view has cameras and depth; or fixed on the screen for each view slot."""
    drift: Scalar = schedules.parse({"piecewise": [[0.2, 0.01], [0.4, 1e-4]]})
    """gamma: share of fresh noise that the noise on the object takes up after each step; 0 is the ODE, 1 SDS."""
    texels_per_pixel: float = Field(default=3.0, gt=0.0, le=8.0)
    """Texels of the noise along a pixel's side; fewer agree better between views where the depth is rough."""
    background: Literal["fixed", "fresh"] = "fixed"
    """Noise where a view shows no object."""

    def source(self) -> NoiseSource:
        """The noise slot."""
        if self.noise == "fixed":
            return Fixed()
        return SurfaceNoise(self.drift, self.texels_per_pixel, self.draws, self.background)


def cfd(options: Options) -> Recipe:
    """CFD: SDS with noise that sticks to the object and one time that falls, so that each step follows the sampler.

        grad_theta L_CFD = kappa_t ( eps_hat_phi(alpha_t x + sigma_t eps; y, t) - eps ) dx/dtheta
        eps = noise of the object's surface as this camera sees it,   eps <- sqrt(1 - gamma) eps + sqrt(gamma) n

    which follows the flow of x_c = (x_t - sigma_t eps) / alpha_t:  d x_c = ( eps_hat_phi - eps ) d kappa.

    Source: "Consistent Flow Distillation for Text-to-3D Generation", Yan et al. 2025, arXiv 2501.05445, §4;
    numbers are those of the authors' Stable Diffusion stage, whose weight named "dmd" is kappa and whose
    background noise drifts twice a step, not done here. Texels lie on shells around the origin in place of
    six maps. The section number was not checked.

    Defaults: s = 71, w = kappa, t from 0.98 through 0.692 (10 %) and 0.404 (50 %) to 0.212, gamma 0.01 -> 1e-4.
    Cost: 2 predictions a view; a texture of noise in memory; nothing is trained.
    Pitfalls: a free image that takes plain gradient steps of 1 - kappa' / kappa is the DDIM sample itself, for any
    network and scale; Adam, momentum, or a second step at the same time only come near it. Where fewer texels than
    pixels are seen the noise falls back to the screen's (`bare` in the metrics is that share of the object).
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - EPS
    return Recipe(rule=rule, noise=options.source(), **options.slots())
