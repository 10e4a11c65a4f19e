"""Collaborative score distillation."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..edit_options import TripleOptions
from ..noise import Paired
from ..options import TimesOptions
from ..recipe import Recipe
from ..step_options import SteinOptions, StepOptions


class Options(TripleOptions):
    """Collaborative score distillation: editing views together."""

    method: Literal["csd_collab"] = "csd_collab"
    """Name of the method."""
    image_scale: Scalar = schedules.constant(5.0)
    """s_img: how strongly the source is kept."""
    times: TimesOptions = TimesOptions(
        low=schedules.constant(0.02), high=schedules.constant(0.5), shared=True
    )
    """How noisy the states are: one time for all views."""
    residual_post: tuple[StepOptions, ...] = (SteinOptions(),)
    """Steps on the residual of all views before the weight; stein is the method."""


def csd_collab(options: Options) -> Recipe:
    """CSD-collab: delta denoising of several views that share what they are told, by Stein variational descent.

        g_i = w(t) / N sum_j [ k(q_j, q_i) r_j + d k(q_i, q_j) / d q_i ],   r_j = eps_tgt(q_j) - eps_src(q_src,j)
        k(a, b) = exp( -gamma |a - b|^2 ),   gamma = log(N + 1) / median |q_i - q_j|^2

    Source: "Collaborative Score Distillation for Consistent Visual Editing", Kim et al. 2023 (NeurIPS 2023),
    arXiv 2307.04787; formula and numbers read in the authors' code (no eq. of the paper was checked), whose source
    branch also hears a source prompt beside the picture: here it hears the picture alone, or on a prior that reads
    words alone the source's prompt.

    Defaults: s = 7.5, s_img = 5, w = sigma^2, t in [0.02, 0.5], one t for all views, noise of each view its own.
    Cost: 5 predictions a view; needs the source's views and a source prompt or picture; nothing is trained.
    Pitfalls: one view alone is plain delta denoising; views from far apart have unlike latents, so that k is small and
    each keeps r_i / N: it couples neighbours, such as patches, frames or close cameras.
    """
    return Recipe(rule=options.delta_of_triples(), noise=Paired(), **options.slots())
