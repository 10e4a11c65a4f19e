"""SDEdit as a loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..denoised import Denoised
from ..options import GuidedOptions, TimesOptions
from ..predictions import Epsilon, Guided
from ..recipe import Recipe
from ..rules import EPS, of


class Options(GuidedOptions):
    """SDEdit: refinement towards the render, noised and sampled again."""

    method: Literal["sdedit"] = "sdedit"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(15.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    weight: Literal["kappa", "sigma2", "uniform"] = "kappa"
    """w(t) on the epsilon-residual; kappa makes g = z - z_hat."""
    times: TimesOptions = TimesOptions(low=schedules.constant(0.3), high=schedules.constant(0.3))
    """How noisy the state is that is sampled from: the strength of the change."""
    moves: int = Field(default=5, ge=1, le=1000)
    """DDIM moves, each a prediction, from t to the clean picture."""


def sdedit(options: Options) -> Recipe:
    """SDEdit: towards what the sampler makes of the render from some noise on.

        g = w(t) kappa_t^-1 ( z - z_hat ),   z_hat by K moves of DDIM from z_t = alpha_t z + sigma_t eps,   w = kappa

    Source: "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations", Meng et al. 2021
    (ICLR 2022), arXiv 2108.01073, here with DDIM and as a loss (no § of it was checked); refinement
    by it after an edit is that of posterior distillation (arXiv 2311.13831: K = 20, s = 15, read in the authors' code)
    and DreamCatalyst.

    Defaults: s = 15, K = 5, t = 0.3, w = kappa.
    Cost: 2 K predictions a view; nothing is trained.
    Pitfalls: it knows no source: what t hides is made anew. Each step has a target of its own, so that what the noise
    decides is averaged; dataset_update keeps its targets. The rule is HiFA's without its loss on the picture.
    """
    guided = Guided(options.build_combiner(), options.build_transforms())
    moves = Denoised(guided, options.moves, options.times.scale)
    return Recipe(rule=of(Epsilon("x0")) - EPS, noise=moves, **options.slots())
