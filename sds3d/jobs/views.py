"""Views of a finished asset for other programs: a repeating GIF, and pictures with camera files to train from."""

from __future__ import annotations

from pathlib import Path

import torch

from sds3d.representations.base import Framed, Representation

from ..assetio import pictures
from ..assetio.cameras import Shots
from ..assetio.cameras_colmap import encode_colmap
from ..assetio.cameras_nerfstudio import FILE, encode_nerfstudio
from ..assetio.files import refuse_existing, write_atomic
from ..assetio.image_bytes import encode_png
from ..assetio.provenance import Provenance
from ..assetio.splat import SH_C0
from ..core.assets import Asset, Mesh, PointCloud, Splats
from ..core.cameras import orbit, turntable
from .pictures import render_views
from .schema import PictureOptions

RINGS = (-15.0, 15.0, 45.0)
"""Elevations in degrees of the views' three rings."""
PER_RING = 12


def write_gif(
    representation: Representation, path: Path, options: PictureOptions, overwrite: bool
) -> list[Path]:
    """A full turn at half the film's frame rate and number of frames, for GIFs are large.

    Raises:
        AssetError: the file exists and `overwrite` is False, or it cannot be written.
    """
    cameras = turntable(max(options.turntable_frames // 2, 2), options.elevation_deg)
    frames = render_views(representation, cameras, options.turntable_size)
    return [pictures.animation(frames, path, max(options.turntable_fps // 2, 1), overwrite)]


def write_views(
    representation: Representation,
    kind: str,
    folder: Path,
    options: PictureOptions,
    overwrite: bool,
    origin: Provenance,
    surface: Asset | None,
) -> list[Path]:
    """A folder of three rings of views on white with their cameras; returned as its path.

    The cameras stand where the asset is exported: of one that has a space of its own, in that space.

    Args:
        kind: "nerfstudio" (transforms.json, images/) or "colmap" (sparse/0/, images/). options: contact_size is the
            side of a view. surface: its vertices or Gaussians go to COLMAP's points3D.

    Raises:
        AssetError: a file exists and `overwrite` is False, or it cannot be written.
    """
    azimuth = torch.arange(PER_RING) * (360.0 / PER_RING)
    cameras = orbit(azimuth.repeat(len(RINGS)), torch.tensor(RINGS).repeat_interleave(PER_RING))
    names = [f"{index:03d}.png" for index in range(len(cameras))]
    side = options.contact_size
    frame = representation.frame if isinstance(representation, Framed) else None
    there = cameras if frame is None else frame.cameras(cameras)
    files = camera_files(kind, Shots(there, (side, side), tuple(names)), origin, surface, frame is None)
    targets = [folder / "images" / name for name in names] + [folder / name for name in files]
    refuse_existing(targets, overwrite)
    images = render_views(representation, cameras, side)
    for path, image in zip(targets, images, strict=False):
        write_atomic(path, encode_png(image, origin), overwrite)
    for name, data in files.items():
        write_atomic(folder / name, data, overwrite)
    return [folder]


def camera_files(
    kind: str, shots: Shots, origin: Provenance, surface: Asset | None, turned: bool
) -> dict[str, bytes]:
    """The camera files by path in the folder; pictures are found under images/ as each program expects.

    Args:
        turned: nerfstudio's world is ours with +Z up; else both keep the space that the cameras stand in.
    """
    if kind == "nerfstudio":
        named = Shots(shots.cameras, shots.size, tuple(f"images/{name}" for name in shots.names))
        return {FILE: encode_nerfstudio(named, origin, turned)}
    files = encode_colmap(shots, _points(surface), True, origin)
    return {f"sparse/0/{name}": data for name, data in files.items()}


def _points(surface: Asset | None) -> PointCloud | None:
    """The points of a surface: vertices of a mesh, centres of Gaussians with their base colours."""
    if isinstance(surface, Splats):
        return PointCloud(surface.means, (0.5 + SH_C0 * surface.sh[:, 0]).clamp(0, 1))
    return PointCloud(surface.vertices, surface.colors) if isinstance(surface, Mesh) else None
