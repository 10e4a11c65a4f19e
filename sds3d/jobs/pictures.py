"""Pictures of a finished asset: a contact sheet and a turntable film."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.representations.base import Representation

from ..assetio.files import replacing
from ..assetio.image_bytes import encode_png
from ..core.cameras import Cameras, turntable
from ..core.look import Look
from .runfolder import RunFolder
from .schema import PictureOptions

_AT_ONCE = 4


def render_views(representation: Representation, cameras: Cameras, side: int) -> Float[Tensor, "b 3 s s"]:
    """(B, 3, side, side) views on white, a few at a time to spare memory."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(cameras), _AT_ONCE):
            batch = cameras[start : start + _AT_ONCE]
            look = Look(batch, (side, side), torch.ones(len(batch), 3))
            parts.append(representation.render(look)["rgb"].detach().clamp(0, 1).cpu())
    return torch.cat(parts)


def contact_sheet(views: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "3 h w"]:
    """The views in rows of at most four, empty places white."""
    count, columns = len(views), min(4, len(views))
    rows = math.ceil(count / columns)
    blank = torch.ones(rows * columns - count, *views.shape[1:])
    grid = torch.cat([views, blank]).unflatten(0, (rows, columns))
    return torch.cat([torch.cat(list(row), dim=-1) for row in grid], dim=-2)


def write_mp4(path: Path, frames: Float[Tensor, "b 3 h w"], fps: int) -> None:
    """H.264 in MP4 as browsers play it (yuv420p, index first); equal frames give equal bytes.

    Args:
        frames: sRGB in [0, 1]; height and width even.

    Raises:
        AssetError: the disk refuses; a file that was there is intact.
    """
    import av

    flags = {"movflags": "faststart", "fflags": "+bitexact"}
    with replacing(path, overwrite=True) as part, av.open(str(part), "w", format="mp4", options=flags) as film:
        stream = film.add_stream("libx264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = frames.shape[-2], frames.shape[-1], "yuv420p"
        # one thread: the number of encoder threads changes the bits
        stream.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        for image in (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy():
            film.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        film.mux(stream.encode())


def write_pictures(folder: RunFolder, representation: Representation, options: PictureOptions) -> None:
    """contact.png and turntable.mp4, as far as the options ask for them."""
    if options.contact_views:
        cameras = turntable(options.contact_views, options.elevation_deg)
        sheet = contact_sheet(render_views(representation, cameras, options.contact_size))
        folder.write(folder.contact, encode_png(sheet))
    if options.turntable_frames:
        cameras = turntable(options.turntable_frames, options.elevation_deg)
        frames = render_views(representation, cameras, options.turntable_size)
        write_mp4(folder.turntable, frames, options.turntable_fps)
