"""HiFA's losses in latent and image space."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..denoised import Denoised, ImageLoss
from ..options import GuidedOptions, TimesOptions
from ..predictions import Epsilon, Guided
from ..recipe import Recipe
from ..rules import EPS, of


class Options(GuidedOptions):
    """High-fidelity text-to-3D (HiFA)."""

    method: Literal["hifa"] = "hifa"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(100.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    weight: Literal["sigma2", "uniform", "kappa", "hifa"] = "hifa"
    """w(t) on the epsilon-residual; hifa is 0.05 kappa, a constant 0.05 on z - x0."""
    times: TimesOptions = TimesOptions(law="hifa", shared=True)
    """How noisy the states are: one time that falls with the square root of the progress."""
    moves: int = Field(default=4, ge=1, le=100)
    """DDIM moves, each a prediction, from t to the clean picture."""
    image_loss: Scalar = schedules.constant(0.1)
    """lambda_rgb: factor of 1/2 |render - decoded x0|^2; 0 leaves the decoder out."""


def hifa(options: Options) -> Recipe:
    """HiFA: towards a picture denoised in several moves, in latents and in pixels, at one falling time.

        grad_theta L = w_z ( z - z_hat ) dz/dtheta + lambda_rgb ( x - D(z_hat) ) dx/dtheta
        z_hat by K moves of DDIM from z_t,   t = t_max - (t_max - t_min) sqrt(i / N)

    Source: "HiFA: High-fidelity Text-to-3D Generation with Advanced Diffusion Guidance", Zhu et al. 2023,
    arXiv 2305.18766, §3; numbers are those of the authors' code, whose moves are stochastic (eta = 1): here
    they are DDIM's. Its regulariser of the depth's variance belongs to the representation. The section number
    was not checked.

    Defaults: s = 100, w_z = 0.05 (w = 0.05 kappa), lambda_rgb = 0.1, K = 4, t from 0.98 to 0.3.
    Cost: 2 K predictions a view, and the decoder; nothing is trained.
    Pitfalls: with K = 1 and no image loss it is SDS with the weight 0.05 kappa at another law of time; the more moves,
    the nearer z_hat stays to z and the smaller the gradient.
    """
    guided = Guided(options.build_combiner(), options.build_transforms())
    in_pixels = options.image_loss != schedules.constant(0.0)
    return Recipe(
        rule=of(Epsilon("x0")) - EPS,
        noise=Denoised(guided, options.moves, options.times.scale),
        image_loss=ImageLoss(options.image_loss) if in_pixels else None,
        **options.slots(),
    )
