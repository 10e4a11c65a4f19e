"""Entropic score distillation."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..recipe import Recipe
from ..rules import guided, learned
from . import vsd


class Options(vsd.Options):
    """Entropic score distillation."""

    method: Literal["esd"] = "esd"  # type: ignore[assignment]
    """Name of the method."""
    entropy: Scalar = schedules.constant(0.5)
    """lambda: share of the critic's prediction without camera; 0 is VSD."""

    @model_validator(mode="after")
    def _trained_without_camera(self) -> Options:
        told, dropped = self.critic.camera, self.critic.camera_dropout
        if self.entropy != schedules.constant(0.0) and not (told and dropped > 0.0):
            raise ValueError(
                "esd compares with a critic that was told the camera and was not: it needs critic.camera and a "
                "critic.camera_dropout above 0"
            )
        return self


def esd(options: Options) -> Recipe:
    """ESD: VSD with a critic that is told the camera only in part, which rewards views that differ.

        grad_theta J(lambda) = E_{t, eps, c} [ w(t) ( eps_pretrain(x_t, t, y)
                               - lambda eps_phi(x_t, t, no camera, y) - (1 - lambda) eps_phi(x_t, t, c, y) ) dg/dtheta ]
        J(lambda) = lambda KL(q_t || p_t) + (1 - lambda) E_c KL(q_t(. | c) || p_t)

    that is VSD's objective less lambda times the entropy of the renders over all cameras. As classifier-free guidance
    of the critic by its camera with scale gamma: lambda = 1 - gamma.

    Source: "Taming Mode Collapse in Score Distillation for Text-to-3D Generation", Wang et al. 2024 (CVPR),
    arXiv 2401.00909, §4 (numbers are those of the authors' code, whose README recommends gamma = 0.5). The
    section number was not checked.

    Defaults: lambda = 0.5, the rest as VSD.
    Cost: 4 predictions a view, and the critic's training step.
    Pitfalls: without critic.camera_dropout the critic never learned to answer without a camera; with one fixed camera,
    or a flat picture, the two answers coincide and ESD is VSD; a large lambda makes views differ that should not. With
    prior.condition_on_camera=false prior64's critic, untold, guesses its camera from the picture (decision 024).
    """
    told, untold = learned(), learned(told=False)
    reference = told + options.entropy * untold - options.entropy * told
    rule = guided(options.build_combiner(), options.build_transforms()) - reference
    return Recipe(rule=rule, critic=options.critic.build(), **options.slots())
