"""Delta denoising score."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..noise import Paired
from ..options import GuidanceOptions, TimesOptions
from ..predictions import CFG
from ..recipe import Recipe
from ..rules import Linear, guided


class Options(GuidanceOptions):
    """Delta denoising score: editing."""

    method: Literal["dds"] = "dds"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale s of both predictions."""
    weight: Literal["sigma2", "uniform", "kappa"] = "uniform"
    """w(t) on the epsilon-residual."""
    times: TimesOptions = TimesOptions(low=schedules.constant(0.05), high=schedules.constant(0.95))
    """How noisy the states are."""

    def delta(self) -> Linear:
        """G(target at t) - G(source at src)."""
        return guided(CFG(self.cfg_scale)) - guided(CFG(self.cfg_scale, positive="src"), at="src")


def dds(options: Options) -> Recipe:
    """DDS: what the prompt wants of the render, minus what the source's prompt wants of the source, same noise.

        grad_theta L_DDS = E_{t, eps} [ w(t) ( eps_phi^s(z_t; y_tgt, t) - eps_phi^s(z_src,t; y_src, t) ) dz/dtheta ]

    Source: "Delta Denoising Score", Hertz et al. 2023, arXiv 2304.07090, §3; defaults from the authors'
    notebook. The section number was not checked.

    Defaults: s = 7.5, w = 1, t in [0.05, 0.95].
    Cost: 4 predictions a view; needs the source's views and a source prompt (branch "src"); nothing is trained.
    Pitfalls: zero where render and prompts equal the source's; on a Gaussian prior the noise cancels and the fixed
    point is z_src + s (mu_tgt - mu_src).
    """
    return Recipe(rule=options.delta(), noise=Paired(), **options.slots())
