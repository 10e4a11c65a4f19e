"""Small captures of a known object: pictures of it, with the camera files of COLMAP and nerfstudio."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sds3d.assetio.cameras import Shots
from sds3d.assetio.cameras_colmap import encode_colmap
from sds3d.assetio.cameras_nerfstudio import encode_nerfstudio
from sds3d.core.assets import Mesh, PointCloud
from sds3d.core.cameras import Cameras, orbit
from sds3d.core.frame import Frame, upright_along
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.jobs import configs
from sds3d.jobs.batch import create_folder
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import RunConfig
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build

ELSEWHERE = Frame(3.5, upright_along(torch.tensor([0.2, -0.9, 0.3], dtype=torch.float64)), (10.0, -4.0, 7.0))
"""A space of a capture that is turned, shifted and larger than ours, as COLMAP's are."""


SMALL = {
    "optimize.steps": 40,
    "optimize.views": 2,
    "optimize.checkpoint_steps": 15,
    "optimize.preview_steps": 0,
    "representation.init.count": 300,
    "representation.densify.every": 20,
    "representation.densify.cap": 600,
    "pictures": {"turntable_frames": 0, "contact_views": 2, "contact_size": 16},
    "threads": 1,
}
"""Options of a fit that takes a second."""


def snowman() -> Mesh:
    """Something with parts of several colours, in our world."""
    return build(find("snowman")).mesh({"main": (0.95, 0.95, 0.9), "second": (0.1, 0.15, 0.6)}, "snowman")


def around(count: int) -> Cameras:
    """Cameras on a spiral around the object."""
    k = torch.arange(count, dtype=torch.float64)
    return orbit(torch.remainder(k * 137.5, 360.0), -10 + 55 * (k + 0.5) / count)


def pictures(mesh: Mesh, cameras: Cameras, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """rgb (B, 3, H, W) on black, times alpha, and alpha (B, 1, H, W)."""
    seen = render_mesh(mesh, cameras, size, torch.zeros(len(cameras), 3), samples=4)
    return seen["rgb"], seen["alpha"]


def write_png(path: Path, rgb: Tensor, alpha: Tensor | None = None) -> None:
    """An 8-bit picture; `rgb` is straight, not multiplied by alpha."""
    from PIL import Image

    layers = rgb if alpha is None else torch.cat([rgb, alpha])
    pixels = (255 * layers.permute(1, 2, 0)).round().clamp(0, 255).to(torch.uint8).numpy()
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, format="PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())


def write_capture(
    folder: Path,
    kind: str = "nerfstudio",
    count: int = 24,
    size: tuple[int, int] = (64, 64),
    frame: Frame | None = None,
    mesh: Mesh | None = None,
    alpha: bool = False,
    points: PointCloud | None = None,
    behind: float = 1.0,
) -> Cameras:
    """A capture of an object; returns its cameras in our world.

    Args:
        kind: nerfstudio, bin or txt. frame: where our world lies in the capture's space. alpha: pictures with alpha;
            else the object is before grey of the value `behind`.
    """
    cameras = around(count)
    seen = pictures(mesh or snowman(), cameras, size)
    write_views(folder, kind, cameras, seen, frame, alpha, points, behind)
    return cameras


def write_views(
    folder: Path,
    kind: str,
    cameras: Cameras,
    seen: tuple[Tensor, Tensor],
    frame: Frame | None = None,
    alpha: bool = False,
    points: PointCloud | None = None,
    behind: float = 1.0,
) -> None:
    """The files of a capture; arguments as for write_capture, `seen` as `pictures` gives it."""
    rgb, cover = seen
    size = (rgb.shape[-2], rgb.shape[-1])
    names = tuple(f"{k:03d}.png" for k in range(len(rgb)))
    for k, name in enumerate(names):
        if alpha:
            write_png(folder / "images" / name, rgb[k] / cover[k].clamp_min(1e-6), cover[k])
        else:
            write_png(folder / "images" / name, rgb[k] + (1 - cover[k]) * behind)
    there = cameras if frame is None else frame.cameras(cameras)
    if kind == "nerfstudio":
        shots = Shots(there, size, tuple(f"images/{name}" for name in names))
        (folder / "transforms.json").write_bytes(encode_nerfstudio(shots))
        return
    (folder / "sparse" / "0").mkdir(parents=True)
    for name, data in encode_colmap(Shots(there, size, names), points, kind == "bin").items():
        (folder / "sparse" / "0" / name).write_bytes(data)


def fit_config(folder: Path, runs: Path, **changes) -> RunConfig:
    """The config of a fit; `capture__size=16` sets `capture.size`."""
    given = {k.replace("__", "."): v for k, v in changes.items()}
    return configs.from_words([], {"capture.source": str(folder), "runs": str(runs), **SMALL, **given})


def done(config: RunConfig) -> RunFolder:
    """The folder of a run that was carried out."""
    folder = create_folder(config)
    execute(folder)
    return folder


def bytes_of(folder: Path) -> str:
    """A hash of every file of a folder, names included."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()
