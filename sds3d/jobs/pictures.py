"""Pictures of a finished asset: a contact sheet and a turntable film."""

from __future__ import annotations

import torch
from torch import Tensor

from sds3d.representations.base import Representation

from ..assetio import pictures
from ..core.cameras import Cameras, turntable
from ..core.look import Look
from .runfolder import RunFolder
from .schema import PictureOptions

_AT_ONCE = 4


def render_views(representation: Representation, cameras: Cameras, side: int) -> list[Tensor]:
    """Views (3, side, side) on white, rendered a few at a time to spare memory."""
    images: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(cameras), _AT_ONCE):
            batch = cameras[start : start + _AT_ONCE]
            look = Look(batch, (side, side), torch.ones(len(batch), 3))
            images += list(representation.render(look)["rgb"].detach().clamp(0, 1).cpu())
    return images


def write_pictures(folder: RunFolder, representation: Representation, options: PictureOptions) -> None:
    """contact.png and turntable.mp4, as far as the options ask for them."""
    if options.contact_views:
        cameras = turntable(options.contact_views, options.elevation_deg)
        views = render_views(representation, cameras, options.contact_size)
        pictures.contact_sheet(views, folder.contact, overwrite=True)
    if options.turntable_frames:
        cameras = turntable(options.turntable_frames, options.elevation_deg)
        frames = render_views(representation, cameras, options.turntable_size)
        pictures.turntable(frames, folder.turntable, options.turntable_fps, overwrite=True)
