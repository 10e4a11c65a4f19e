"""COLMAP models: cameras, images and points3D as text or binary files in one folder.

World-to-camera as quaternion w x y z and translation, camera axes right, down, forward (OpenCV). COLMAP's world has no
up of its own; sds3d's axes go out as they are. points3D holds the surface points that are handed over.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from ..core.assets import PointCloud
from ..core.errors import AssetError
from .cameras import MAX_VIEWS, Shots, shots_of
from .check import as_numpy, as_tensor
from .color import to_bytes
from .files import read_bytes
from .provenance import NOTHING, Provenance, comments

_FLIP = np.diag([1.0, -1.0, -1.0])
_PINHOLE, _SIMPLE = 1, 0
_MODELS = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4}
_POINT = struct.Struct("<QdddBBBdQ")


def encode_colmap(
    shots: Shots, points: PointCloud | None = None, binary: bool = True, provenance: Provenance = NOTHING
) -> dict[str, bytes]:
    """The three files by name: cameras, images and points3D, .bin or .txt (which holds the provenance)."""
    shots.check(Path("images"))
    height, width = shots.size
    focal = as_numpy(shots.cameras.focal(height), np.float64)
    turn, move = _world_to_camera(as_numpy(shots.cameras.c2w, np.float64))
    intrinsics = [(float(f), float(f), width / 2, height / 2) for f in focal]
    cloud = PointCloud(torch.zeros(0, 3)) if points is None else points
    xyz = as_numpy(cloud.points, np.float64)
    rgb = np.full((len(xyz), 3), 128) if cloud.colors is None else to_bytes(as_numpy(cloud.colors))
    if binary:
        cameras = struct.pack("<Q", len(focal))
        images = struct.pack("<Q", len(focal))
        for i, (values, name) in enumerate(zip(intrinsics, shots.names, strict=True), start=1):
            cameras += struct.pack("<IiQQ4d", i, _PINHOLE, width, height, *values)
            images += struct.pack("<I4d3dI", i, *turn[i - 1], *move[i - 1], i)
            images += name.encode() + b"\0" + struct.pack("<Q", 0)
        rows = [_POINT.pack(i, *xyz[i - 1], *rgb[i - 1], 0.0, 0) for i in range(1, len(xyz) + 1)]
        found = {
            "cameras": cameras,
            "images": images,
            "points3D": struct.pack("<Q", len(xyz)) + b"".join(rows),
        }
        return {f"{name}.bin": data for name, data in found.items()}
    origin = [f"# {line}" for line in comments(provenance)]
    lines = {
        "cameras": [_words(i, "PINHOLE", width, height, *v) for i, v in enumerate(intrinsics, start=1)],
        "images": [
            line
            for i, name in enumerate(shots.names, start=1)
            for line in (_words(i, *turn[i - 1], *move[i - 1], i, name), "")
        ],
        "points3D": [
            _words(i, *p, *map(int, c), 0.0) for i, (p, c) in enumerate(zip(xyz, rgb, strict=True), 1)
        ],
    }
    return {f"{name}.txt": ("\n".join([*origin, *rows]) + "\n").encode() for name, rows in lines.items()}


def read_colmap(folder: str | Path) -> tuple[Shots, PointCloud | None]:
    """The cameras and points of a folder that holds cameras and images, .bin or .txt.

    Raises:
        AssetError: files are missing, cut off or malformed, of a camera model with lens distortion, or of pictures of
            several sizes.
    """
    folder = Path(folder)
    binary = (folder / "images.bin").exists()
    ending = "bin" if binary else "txt"
    files = {name: folder / f"{name}.{ending}" for name in ("cameras", "images", "points3D")}
    cameras = (_cameras_bin if binary else _cameras_txt)(read_bytes(files["cameras"]), files["cameras"])
    rows = (_images_bin if binary else _images_txt)(read_bytes(files["images"]), files["images"])
    unknown = [row for row in rows if row[2] not in cameras]
    if not rows or unknown:
        raise AssetError(f"{files['images']}: names no cameras, or one that the cameras file lacks.")
    sizes = {cameras[row[2]][:2] for row in rows}
    if len(sizes) != 1:
        raise AssetError(f"{folder}: its pictures have {len(sizes)} sizes; sds3d reads one.")
    c2w = _camera_to_world(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), folder)
    focal = np.array([cameras[row[2]][2] for row in rows])
    shots = shots_of(c2w, focal, sizes.pop(), [row[3] for row in rows], files["images"])
    if not files["points3D"].exists():
        return shots, None
    return shots, (_points_bin if binary else _points_txt)(read_bytes(files["points3D"]), files["points3D"])


_Camera = tuple[int, int, float]
"""Height, width, vertical focal length in pixels."""
_Image = tuple[list[float], list[float], int, str]
"""Quaternion w x y z, translation, camera, name."""


def _words(*values: object) -> str:
    return " ".join(f"{v:.17g}" if isinstance(v, float) else str(v) for v in values)


def _cut(path: Path) -> AssetError:
    return AssetError(f"{path}: is cut off or malformed. Copy or export it again.")


def _camera(model: str, height: int, width: int, values: list[float], path: Path) -> _Camera:
    if model not in _MODELS or len(values) != _MODELS[model]:
        raise AssetError(
            f"{path}: a camera is of the model {model[:40]}; sds3d reads {' and '.join(_MODELS)}."
        )
    return height, width, values[1 if model == "PINHOLE" else 0]


def _cameras_bin(data: bytes, path: Path) -> dict[int, _Camera]:
    out: dict[int, _Camera] = {}
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(min(count, MAX_VIEWS)):
            key, model, width, height = struct.unpack_from("<IiQQ", data, at)
            name = {_SIMPLE: "SIMPLE_PINHOLE", _PINHOLE: "PINHOLE"}.get(model, f"number {model}")
            size = _MODELS.get(name, 0)
            values = list(struct.unpack_from(f"<{size}d", data, at + 24))
            out[key] = _camera(name, height, width, values, path)
            at += 24 + 8 * size
    except struct.error as error:
        raise _cut(path) from error
    return out


def _cameras_txt(data: bytes, path: Path) -> dict[int, _Camera]:
    out: dict[int, _Camera] = {}
    for line in _lines(data):
        if line:
            try:
                key, model, width, height, *values = line.split()
                out[int(key)] = _camera(model, int(height), int(width), [float(v) for v in values], path)
            except ValueError as error:
                raise _cut(path) from error
    return out


def _images_bin(data: bytes, path: Path) -> list[_Image]:
    out: list[_Image] = []
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(min(count, MAX_VIEWS)):
            _, *numbers, camera = struct.unpack_from("<I4d3dI", data, at)
            end = data.index(b"\0", at + 64)
            name = data[at + 64 : end].decode("utf-8", errors="replace")
            (marks,) = struct.unpack_from("<Q", data, end + 1)
            at = end + 9 + 24 * marks
            out.append((numbers[:4], numbers[4:], camera, name))
    except (struct.error, ValueError, OverflowError) as error:
        raise _cut(path) from error
    return out


def _images_txt(data: bytes, path: Path) -> list[_Image]:
    out: list[_Image] = []
    try:
        for line in _lines(data)[::2]:  # every second line lists points
            if line:
                _, *numbers, camera, name = line.split(None, 9)
                values = [float(v) for v in numbers]
                out.append((values[:4], values[4:], int(camera), name))
    except ValueError as error:
        raise _cut(path) from error
    if any(len(row[1]) != 3 for row in out):
        raise _cut(path)
    return out


def _lines(data: bytes) -> list[str]:
    """The lines that are no comments; empty ones count, for an image may see no points."""
    text = data.decode("utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if not line.startswith("#")]


def _points_bin(data: bytes, path: Path) -> PointCloud | None:
    rows: list[tuple[float, ...]] = []
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(count):
            _, x, y, z, r, g, b, _, track = _POINT.unpack_from(data, at)
            rows.append((x, y, z, r, g, b))
            at += _POINT.size + 8 * track
    except struct.error as error:
        raise _cut(path) from error
    return _cloud(rows, path)


def _points_txt(data: bytes, path: Path) -> PointCloud | None:
    try:
        rows = [tuple(float(v) for v in line.split()[1:7]) for line in _lines(data) if line]
        return _cloud(rows, path)
    except ValueError as error:
        raise _cut(path) from error


def _cloud(rows: list[tuple[float, ...]], path: Path) -> PointCloud | None:
    if not rows:
        return None
    table = np.array(rows, dtype=np.float64)
    if table.shape[1:] != (6,) or not np.isfinite(table).all():
        raise _cut(path)
    return PointCloud(as_tensor(table[:, :3]), as_tensor(table[:, 3:].clip(0, 255) / 255))


def _world_to_camera(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 4) quaternions w x y z and (B, 3) translations, OpenCV axes."""
    from scipy.spatial.transform import Rotation

    rotation = _FLIP @ c2w[:, :3, :3].transpose(0, 2, 1)
    xyzw = Rotation.from_matrix(rotation).as_quat(canonical=True)
    return np.roll(xyzw, 1, axis=1), -(rotation @ c2w[:, :3, 3:])[:, :, 0]


def _camera_to_world(wxyz: np.ndarray, move: np.ndarray, path: Path) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    length = np.linalg.norm(wxyz, axis=1)
    if not np.isfinite(wxyz).all() or (length < 1e-12).any():
        raise AssetError(f"{path}: an image's rotation is none.")
    rotation = Rotation.from_quat(np.roll(wxyz, -1, axis=1)).as_matrix()
    out = np.zeros((len(wxyz), 4, 4))
    out[:, :3, :3] = (_FLIP @ rotation).transpose(0, 2, 1)
    out[:, :3, 3] = -(rotation.transpose(0, 2, 1) @ move[:, :, None])[:, :, 0]
    out[:, 3, 3] = 1.0
    return out
