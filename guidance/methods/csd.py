"""Classifier score distillation."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..options import GuidanceOptions
from ..post import UnitNorm
from ..recipe import Recipe
from ..rules import NEG, C, U


class Options(GuidanceOptions):
    """Classifier score distillation."""

    method: Literal["csd"] = "csd"
    """Name of the method."""
    omega1: Scalar = schedules.constant(1.0)
    """Pull towards the prompt: factor on eps_y - eps_null."""
    omega2: Scalar = schedules.constant(0.0)
    """Push away from the negative prompt: factor on eps_null - eps_neg; 0 asks no negative prompt."""
    normalise: bool = False
    """Scale the batch's gradient to L2 norm 1 before the other post steps, as the published coarse stage does."""


def csd(options: Options) -> Recipe:
    """CSD: the implicit classifier's part of SDS alone.

        grad_theta L_CSD = E_{t, eps} [ w(t) ( omega_1 (eps_phi(x_t; y, t) - eps_phi(x_t; t))
                                             + omega_2 (eps_phi(x_t; t) - eps_phi(x_t; y_neg, t)) ) dx/dtheta ]

    Source: "Text-to-3D with Classifier Score Distillation", Yu et al. 2023 (ICLR 2024), arXiv 2310.19415, §3 (the
    two-term form with a negative prompt: §3.2). Coefficients read in the authors' code: coarse stage w = 1,
    omega_2 from 0 to 1, gradient normalised; refine stage w = sigma^2, omega_2 from 1 to 0.5, t in [0.02, 0.5].
    The paper's text says that omega_2 decreases; its equation numbers were not checked.

    Defaults: omega_1 = 1, omega_2 = 0, w = sigma^2, t in [0.02, 0.98], not normalised.
    Cost: 2 predictions a view, 3 while omega_2 is neither 0 nor omega_1; nothing is trained.
    Pitfalls: equal covariances of p(x|y) and p(x) give a constant force with no fixed point, so run time,
    normalisation and weight decay set the contrast; expect drift when over-trained. For editing, the negative prompt
    describes what there is, with omega_1 = omega_2 (a form from memory, not from the paper's text).
    """
    slots = options.slots()
    if options.normalise:
        slots["post"] = (UnitNorm("batch"), *slots["post"])
    return Recipe(rule=options.omega1 * (C - U) + options.omega2 * (U - NEG), **slots)
