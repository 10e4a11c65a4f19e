"""Classifier-score editing."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..options import GuidanceOptions
from ..recipe import Recipe
from ..rules import C, U, plain


class Options(GuidanceOptions):
    """Classifier score distillation: editing."""

    method: Literal["csd_edit"] = "csd_edit"
    """Name of the method."""
    omega1: Scalar = schedules.constant(1.0)
    """Pull towards the prompt: factor on eps_tgt - eps_null."""
    omega2: Scalar = schedules.constant(1.0)
    """Push away from what the source is: factor on eps_null - eps_src; equal to omega1 it asks no empty prompt."""


def csd_edit(options: Options) -> Recipe:
    """CSD-edit: two implicit classifiers at one state, towards the target's words and away from the source's.

        g = w(t) ( omega_1 (eps_phi(z_t; y_tgt, t) - eps_phi(z_t; t))
                 + omega_2 (eps_phi(z_t; t) - eps_phi(z_t; y_src, t)) )

    Source: the editing form of "Text-to-3D with Classifier Score Distillation", Yu et al. 2023 (ICLR 2024),
    arXiv 2310.19415; from memory: no § of the paper was checked for it, and the authors' code has no config of it.

    Defaults: omega_1 = omega_2 = 1, w = sigma^2, t in [0.02, 0.98].
    Cost: 2 predictions a view, 3 where the omegas differ; needs a source prompt, but no views of the source; nothing is
    trained.
    Pitfalls: nothing holds it at the source, and equal covariances of both prompts give a constant force: set steps and
    learning rate, or add a pull (`method: free`). On one picture and one noise it is DDS with s = omega.
    """
    rule = options.omega1 * (C - U) + options.omega2 * (U - plain("src"))
    return Recipe(rule=rule, **options.slots())
