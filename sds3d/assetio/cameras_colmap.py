"""COLMAP models: cameras, images and points3D as text or binary files in one folder.

World-to-camera as quaternion w x y z and translation, camera axes right, down, forward (OpenCV). COLMAP's world has no
up of its own; sds3d's axes go out as they are. points3D holds the surface points that are handed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..core.assets import PointCloud
from ..core.errors import AssetError
from ..core.lenses import COLMAP, Lens, of_colmap
from .cameras import MAX_VIEWS, Shots, shots_of
from .check import as_numpy, as_tensor
from .color import to_bytes
from .files import read_bytes, shown
from .provenance import NOTHING, Provenance, comments

_FLIP = np.diag([1.0, -1.0, -1.0])
_PINHOLE = 1
_NAMES = tuple(COLMAP)
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


@dataclass(frozen=True)
class Model:
    """A COLMAP model as its files have it.

    Args:
        lenses: number of a camera -> its lens. images: the pictures, in the order of the file.
        points: the sparse cloud, None where there is none. file: that names the pictures, for messages.
    """

    lenses: dict[int, Lens]
    images: list[Image]
    points: PointCloud | None
    file: Path

    def c2w(self) -> np.ndarray:
        """(B, 4, 4) float64, OpenGL axes.

        Raises:
            AssetError: a rotation or a place is none; the text names the picture.
        """
        return _camera_to_world(self.images, self.file)


@dataclass(frozen=True)
class Image:
    """A picture: quaternion w x y z and translation of the world in its camera, number of the camera, file name."""

    turn: list[float]
    move: list[float]
    camera: int
    name: str


def read_model(folder: str | Path) -> Model:
    """What a folder that holds cameras and images, .bin or .txt, says.

    Raises:
        AssetError: files are missing, cut off or malformed, or of a camera model without a formula here.
    """
    folder = Path(folder)
    binary = (folder / "images.bin").exists()
    ending = "bin" if binary else "txt"
    files = {name: folder / f"{name}.{ending}" for name in ("cameras", "images", "points3D")}
    lenses = (_cameras_bin if binary else _cameras_txt)(read_bytes(files["cameras"]), files["cameras"])
    images = (_images_bin if binary else _images_txt)(read_bytes(files["images"]), files["images"])
    unknown = [image for image in images if image.camera not in lenses]
    if not images or unknown:
        raise AssetError(f"{files['images']}: names no cameras, or one that the cameras file lacks.")
    points = None
    if files["points3D"].exists():
        points = (_points_bin if binary else _points_txt)(read_bytes(files["points3D"]), files["points3D"])
    return Model(lenses, images, points, files["images"])


def read_colmap(folder: str | Path) -> tuple[Shots, PointCloud | None]:
    """The cameras and points of a folder that holds cameras and images, .bin or .txt.

    Raises:
        AssetError: as `read_model`; a lens that bends, or pictures of several sizes.
    """
    model = read_model(folder)
    lenses = [model.lenses[image.camera] for image in model.images]
    if not all(lens.straight for lens in lenses):
        raise AssetError(f"{folder}: a camera's lens bends lines, and cameras of views have none that does.")
    sizes = {(lens.height, lens.width) for lens in lenses}
    if len(sizes) != 1:
        raise AssetError(f"{folder}: its pictures have {len(sizes)} sizes; sds3d reads one.")
    focal = np.array([lens.fy for lens in lenses])
    names = [image.name for image in model.images]
    return shots_of(model.c2w(), focal, sizes.pop(), names, model.file), model.points


def _words(*values: object) -> str:
    return " ".join(f"{v:.17g}" if isinstance(v, float) else str(v) for v in values)


def _cut(path: Path) -> AssetError:
    return AssetError(f"{path}: is cut off or malformed. Copy or export it again.")


def _lens(model: str, width: int, height: int, values: list[float], path: Path) -> Lens:
    try:
        lens = of_colmap(model, width, height, values)
    except ValueError as error:
        raise AssetError(
            f"{path}: a camera {error}. Make pictures of a plain lens with: colmap image_undistorter "
            f"--image_path IMAGES --input_path {path.parent} --output_path UNDISTORTED"
        ) from error
    if not np.isfinite(lens.numbers).all() or min(lens.fx, lens.fy, width, height) <= 0:
        raise AssetError(f"{path}: a camera has a size or a focal length that no camera has.")
    return lens


def _cameras_bin(data: bytes, path: Path) -> dict[int, Lens]:
    out: dict[int, Lens] = {}
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(_few(count, path)):
            key, number, width, height = struct.unpack_from("<IiQQ", data, at)
            name = _NAMES[number] if 0 <= number < len(_NAMES) else f"number {number}"
            values = list(struct.unpack_from(f"<{COLMAP.get(name, 0)}d", data, at + 24))
            out[key] = _lens(name, width, height, values, path)
            at += 24 + 8 * len(values)
    except struct.error as error:
        raise _cut(path) from error
    return out


def _cameras_txt(data: bytes, path: Path) -> dict[int, Lens]:
    out: dict[int, Lens] = {}
    for line in _lines(data):
        if line:
            try:
                key, model, width, height, *values = line.split()
                numbers = [float(v) for v in values]
                out[int(key)] = _lens(model, int(width), int(height), numbers, path)
            except ValueError as error:
                raise _cut(path) from error
    return out


def _few(count: int, path: Path) -> int:
    """The count of a file, which has to be one that can be meant."""
    if count > MAX_VIEWS:
        raise AssetError(f"{path}: claims {count} entries; more than {MAX_VIEWS} are not read.")
    return count


def _images_bin(data: bytes, path: Path) -> list[Image]:
    out: list[Image] = []
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(_few(count, path)):
            _, *numbers, camera = struct.unpack_from("<I4d3dI", data, at)
            end = data.index(b"\0", at + 64)
            name = data[at + 64 : end].decode("utf-8", errors="replace")
            (marks,) = struct.unpack_from("<Q", data, end + 1)
            at = end + 9 + 24 * marks
            out.append(Image(numbers[:4], numbers[4:], camera, name))
    except (struct.error, ValueError, OverflowError) as error:
        raise _cut(path) from error
    return out


def _images_txt(data: bytes, path: Path) -> list[Image]:
    out: list[Image] = []
    try:
        for line in _lines(data)[::2]:  # every second line lists points
            if line:
                _, *numbers, camera, name = line.split(None, 9)
                values = [float(v) for v in numbers]
                out.append(Image(values[:4], values[4:], int(camera), name))
    except ValueError as error:
        raise _cut(path) from error
    if any(len(image.move) != 3 for image in out):
        raise _cut(path)
    _few(len(out), path)
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


def _camera_to_world(images: list[Image], path: Path) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    wxyz, move = np.array([image.turn for image in images]), np.array([image.move for image in images])
    good = np.isfinite(wxyz).all(1) & np.isfinite(move).all(1)
    good &= np.linalg.norm(np.where(good[:, None], wxyz, 0.0), axis=1) >= 1e-12
    if not good.all():
        bad = images[int(np.argmin(good))]
        raise AssetError(
            f"{path}: the pose of the picture {shown(bad.name)} is none: rotation {bad.turn}, translation {bad.move}."
        )
    rotation = Rotation.from_quat(np.roll(wxyz, -1, axis=1)).as_matrix()
    out = np.zeros((len(wxyz), 4, 4))
    out[:, :3, :3] = (_FLIP @ rotation).transpose(0, 2, 1)
    out[:, :3, 3] = -(rotation.transpose(0, 2, 1) @ move[:, :, None])[:, :, 0]
    out[:, 3, 3] = 1.0
    return out
