"""Captures of nerfstudio, instant-ngp and the synthetic scenes of NeRF: a transforms.json and its pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.assets import PointCloud
from ..core.errors import AssetError
from ..core.lenses import Lens
from .cameras import MAX_VIEWS
from .capture import MAX_SIDE, Capture, Photo, check_photos
from .files import read_bytes, shown, sibling
from .kinds import read

_BROWN = ("k1", "k2", "k3", "k4", "k5", "k6")
_SUFFIXES = ("", ".png", ".jpg")
"""What the synthetic scenes leave out of their names."""


def read_nerfstudio_capture(path: Path) -> Capture:
    """The capture of a transforms.json, in the space of the file.

    Raises:
        AssetError: see read_capture.
    """
    try:
        document = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise AssetError(f"{path}: is no JSON: {shown(error)}.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise AssetError(f"{path}: has no list of frames, so that it is no transforms.json.")
    if len(frames) > MAX_VIEWS:
        raise AssetError(f"{path}: has {len(frames)} frames; more than {MAX_VIEWS} are not read.")
    photos = [_photo(document | frame, f"frames[{k}]", path) for k, frame in enumerate(frames)]
    points = _points(document["ply_file_path"], path) if "ply_file_path" in document else None
    return Capture(path, "nerfstudio", check_photos(photos, path), points, (path,))


def _photo(values: Mapping[str, Any], where: str, path: Path) -> Photo:
    name = values.get("file_path")
    if not isinstance(name, str) or not name:
        raise AssetError(f"{path}: {where}.file_path is missing.")
    file = _file(name, path)
    mask = values.get("mask_path")
    if mask is not None and not isinstance(mask, str):
        raise AssetError(f"{path}: {where}.mask_path is no text.")
    lens = _lens(values, where, path, file)
    return Photo(
        name,
        file,
        _pose(values.get("transform_matrix"), where, path),
        lens,
        None if mask is None else sibling(path, _literal(mask), must_exist=False),
    )


def _literal(name: str) -> str:
    """A name for `sibling`, which reads URIs: a % is meant as it stands."""
    return name.replace("%", "%25")


def _file(name: str, path: Path) -> Path:
    """The picture of that name, whose ending may have been left out."""
    tries = [sibling(path, _literal(name + suffix), must_exist=False) for suffix in _SUFFIXES]
    return next((file for file in tries if file.is_file()), tries[0])


def _pose(matrix: Any, where: str, path: Path) -> Tensor:
    try:
        pose = torch.tensor(matrix, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise AssetError(f"{path}: {where}.transform_matrix is no matrix: {shown(error)}.") from error
    if pose.shape not in ((4, 4), (3, 4)):
        raise AssetError(f"{path}: {where}.transform_matrix has the shape {tuple(pose.shape)}, not (4, 4).")
    last = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    return torch.cat([pose[:3], last])


def _number(
    values: Mapping[str, Any], key: str, where: str, path: Path, default: float | None = None
) -> float:
    found = values.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int | float):
        what = "is missing" if found is None else f"is {shown(found)}, not a number"
        raise AssetError(f"{path}: {where}.{key} {what}; it may stand at the top of the file too.")
    try:
        return float(found)
    except OverflowError as error:
        raise AssetError(f"{path}: {where}.{key} is larger than any number of a camera.") from error


def _lens(values: Mapping[str, Any], where: str, path: Path, file: Path) -> Lens:
    """Focal lengths in pixels, or the angle of view of a side; sizes from the picture where the file has none."""

    def number(key: str, default: float | None = None) -> float:
        return _number(values, key, where, path, default)

    model = str(values.get("camera_model", "OPENCV"))
    if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "OPENCV_FISHEYE"):
        raise AssetError(
            f"{path}: {where}.camera_model is {model[:40]}; sds3d reads OPENCV, PINHOLE, SIMPLE_PINHOLE and "
            "OPENCV_FISHEYE. Make pictures of a plain lens first, with colmap image_undistorter."
        )
    if "w" in values and "h" in values:
        width, height = number("w"), number("h")
    else:
        width, height = _size(file, path)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise AssetError(
            f"{path}: {where}: w and h are {width:g} and {height:g}; a picture is 1 to {MAX_SIDE} pixels."
        )
    if "fl_x" in values or "fl_y" in values:
        fx = number("fl_x") if "fl_x" in values else number("fl_y")
        fy = number("fl_y") if "fl_y" in values else fx
    else:
        key, side = ("camera_angle_x", width) if "camera_angle_x" in values else ("camera_angle_y", height)
        angle = number(key)
        if not 0.0 < angle < math.pi:
            raise AssetError(f"{path}: {where}.{key} is {angle:g}; an angle of view lies between 0 and pi.")
        fx = fy = 0.5 * side / math.tan(0.5 * angle)
    fisheye = model == "OPENCV_FISHEYE"
    radial = tuple(number(key, 0.0) for key in (_BROWN[:4] if fisheye else _BROWN))
    if not fisheye and "PINHOLE" in model:
        radial = ()
    return Lens(
        int(width),
        int(height),
        fx,
        fy,
        number("cx", width / 2),
        number("cy", height / 2),
        "fisheye" if fisheye else "brown",
        radial if any(radial) or fisheye else (),
        (0.0, 0.0) if fisheye else (number("p1", 0.0), number("p2", 0.0)),
    )


def _size(file: Path, path: Path) -> tuple[float, float]:
    """Width and height of a picture, by its head."""
    from .capture_photos import size_of

    if not file.is_file():
        raise AssetError(f"{path}: names the picture {shown(file)}, which does not exist.")
    width, height = size_of(file)
    return float(width), float(height)


def _points(name: Any, path: Path) -> PointCloud:
    """The cloud that the file names; a mesh counts by its vertices."""
    if not isinstance(name, str):
        raise AssetError(f"{path}: ply_file_path is no text.")
    file = sibling(path, _literal(name))
    scene = read(file)
    if scene.points is None:
        raise AssetError(f"{path}: ply_file_path {shown(name)} holds no point cloud.")
    return scene.points
