"""Pictures for runs to follow, and small scenes that follow them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from test_reference_pictures import disc
from toys import toy_stage

from sds3d.assetio.cutout import Cutout, cut_out
from sds3d.assetio.photo import Photo
from sds3d.assetio.pictures import save_png
from sds3d.core.schedules import constant
from sds3d.optimize.reference import Reference
from sds3d.optimize.stage import Stage


class Silence:
    """A guidance that asks for nothing."""

    def __init__(self, guidance):
        self.needs, self.image_post = guidance.needs, ()

    def init(self, streams):
        return {}

    def guide(self, views, step, streams, state):
        return {"rgb": torch.zeros_like(views.media["rgb"])}, state, {"t": 0.5}

    def learn(self, views, step, streams, state):
        return state


def two_halves() -> torch.Tensor:
    """(3, 96, 96): a disc on white, red at the left and green at the right."""
    red, green = disc(color=(0.9, 0.2, 0.1), radius=0.3), disc(color=(0.1, 0.7, 0.2), radius=0.3)
    return torch.where(torch.arange(96) < 48, red, green)


def picture_file(folder: Path, name: str = "picture.png", picture: torch.Tensor | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save_png(two_halves() if picture is None else picture, folder / name, overwrite=True)


def halves() -> Cutout:
    return cut_out(Photo(two_halves(), None), "auto", True, "it")


def referring(weight: float = 1.0, mask_weight: float = 1.0, every: int = 1, **place) -> Reference:
    """The two halves seen from the front, or from another place."""
    camera = {"azimuth_deg": 0.0, "elevation_deg": 15.0, "distance": 2.4, "fov_y_deg": 45.0} | place
    return Reference(
        halves(), **camera, weight=constant(weight), mask_weight=constant(mask_weight), every=every
    )


def silent_stage(reference: Reference, **changes) -> Stage:
    """A toy stage on which the picture alone has a say."""
    stage = toy_stage(**changes)
    return replace(stage, guidance=Silence(stage.guidance), reference=reference)
