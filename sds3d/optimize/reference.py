"""A picture that a scene is to look like from one camera, beside what the guidance says of all the others.

    L = 1/2 w ||c - (C + (1 - A) b)||^2 + 1/2 w_m ||a - A||^2

c, a: colour over the background b, and coverage, of the scene from the reference camera; C, A: those of the picture, C
already times A; sums over pixels and channels, means over particles. b changes from step to step as those of the
training views do.

Such a term beside score distillation: Melas-Kyriazi et al., "RealFusion: 360° reconstruction of any object from a
single image", 2023, arXiv 2302.10663 (reconstruction loss on the input view); Qian et al., "Magic123: one image to
high-quality 3D object generation using both 2D and 3D diffusion priors", 2023, arXiv 2306.17843 (reconstruction of the
reference view's colour and mask). Formula and weights here are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..assetio.cutout import Cutout
from ..core.cameras import orbit
from ..core.look import Look
from ..core.schedules import Schedule
from ..evaluate.pictures import psnr
from .placing import place_look

if TYPE_CHECKING:
    from .stage import Stage

Section = Callable[[str], AbstractContextManager[None]]
"""Charges the time of its body to a name."""


@dataclass(frozen=True)
class Reference:
    """A picture and where it was taken.

    Args:
        cutout: the object alone. azimuth_deg, elevation_deg, distance, fov_y_deg: its camera, see core.cameras.
        weight, mask_weight: of colour and coverage, over the progress of the stage. every: steps between two looks.
    """

    cutout: Cutout
    azimuth_deg: float
    elevation_deg: float
    distance: float
    fov_y_deg: float
    weight: Schedule
    mask_weight: Schedule
    every: int = 1

    def look(self, side: int, background: Tensor) -> Look:
        """The request for its view of each particle.

        Args:
            background: (particles, 3).
        """
        count = len(background)
        group = torch.arange(count)
        cameras = orbit(
            [self.azimuth_deg] * count, self.elevation_deg, self.distance, self.fov_y_deg, group=group
        )
        return Look(cameras, (side, side), background, group=group)


def compare(stage: Stage, step: int, section: Section) -> tuple[dict[str, Tensor], dict[str, float]]:
    """(losses by name, numbers by name) of the stage's reference at a step; ({}, {}) where it is not looked at.

    Its time is charged to "reference". The numbers hold reference_psnr, in dB over the whole view, the mean of the
    particles.
    """
    reference = stage.reference
    if reference is None or step % reference.every:
        return {}, {}
    progress = stage.progress(step)
    weight, mask_weight = reference.weight(progress), reference.mask_weight(progress)
    if not weight and not mask_weight:
        return {}, {}
    with section("reference"):
        look = place_look(stage.reference_look(step), stage.device)
        seen = stage.representation.render(look)
        wanted = reference.cutout.at(look.size[0])
        color, alpha = wanted.over(look.background.cpu()).to(stage.device), wanted.alpha.to(stage.device)
        losses = {}
        if weight:
            losses["reference"] = 0.5 * weight * (seen["rgb"] - color).square().sum() / len(look)
        if mask_weight:
            away = seen["alpha"] - alpha
            losses["reference_mask"] = 0.5 * mask_weight * away.square().sum() / len(look)
        return losses, {"reference_psnr": float(psnr(seen["rgb"].detach(), color).mean())}
