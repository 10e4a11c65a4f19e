"""Masks painted on a view of an object, lifted onto what that view shows of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sds3d import assetio
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError
from sds3d.core.frame import Frame
from sds3d.core.look import Look, Render

from .region import Asked, Test, View

SIDE = 256
"""Pixels of the depth map that tells what a view shows."""
BEHIND = 0.04
"""World units behind the depth map up to which a point counts as seen: about two splats."""


def lifted(view: View, render: Callable[[Look], Render], frame: Frame) -> Test:
    """The test of a painted mask: points that the view sees, under a pixel that is lighter than middle grey.

    Args:
        render: draws the object in our world. frame: from the file's space to our world.

    Raises:
        AssetError: the picture cannot be read, or is not square as the view is.
    """
    picture = assetio.read(Path(view.file)).picture
    if picture is None or picture.pixels.shape[1] != picture.pixels.shape[2]:
        raise AssetError(f"{view.file}: a mask is a square picture, painted over a view of the object.")
    mask = picture.pixels.mean(0)
    cameras = orbit([view.azimuth_deg], view.elevation_deg)
    with torch.no_grad():
        depth = render(Look(cameras, (SIDE, SIDE), torch.zeros(1, 3)))["depth"].cpu()
    # the outline's own points lie on pixels that may show nothing
    depth = F.max_pool2d(depth, 3, stride=1, padding=1)[0, 0]
    world_to_camera, focal = cameras.world_to_camera()[0].double(), float(cameras.focal(1)[0])

    def inside(asked: Asked) -> Tensor:
        world = frame.to_world(asked.points)
        local = world @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        ahead = -local[:, 2]
        # (x, y) of grid_sample: the picture from -1 to 1, y downwards
        place = 2 * focal * torch.stack([local[:, 0], -local[:, 1]], dim=1) / ahead.clamp_min(1e-6)[:, None]
        seen = ahead <= _at(depth, place, "nearest") + BEHIND
        return seen & (ahead > 0) & (place.abs() <= 1).all(1) & (_at(mask, place, "bilinear") > 0.5)

    return inside


def _at(image: Tensor, place: Tensor, mode: str) -> Tensor:
    """(N,) values of a picture at places from -1 to 1."""
    grid = place.to(image)[None, None]
    return F.grid_sample(image[None, None], grid, mode=mode, padding_mode="border", align_corners=False)[
        0, 0, 0
    ]
