"""STL (3D Systems 1988), the format of printing: triangles alone, no colours.

Printing programs take +Z as up and look along +Y, so sds3d's (x, y, z) is written as (x, -z, y) and read back the
other way. Numbers keep their value: STL has no unit, slicers take millimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.assets import Mesh, Scene
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .files import shown

_ROW = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 80


def encode_stl(mesh: Mesh) -> bytes:
    """A binary STL file."""
    corners = _z_up(as_numpy(mesh.vertices))[as_numpy(mesh.faces, np.int64)]
    normal = np.cross(*(corners[:, i].astype(np.float64) - corners[:, 0] for i in (1, 2)))
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    rows = np.zeros(len(corners), dtype=_ROW)
    rows["normal"] = normal / np.where(length > 0, length, 1.0)
    rows["corners"] = corners
    # "solid" at the start would make readers take the file for text
    header = b"sds3d STL: +Z up".ljust(_HEADER, b"\0")
    return header + np.uint32(len(rows)).astype("<u4").tobytes() + rows.tobytes()


def decode_stl(data: bytes, path: Path) -> Scene:
    """A mesh of a binary or ASCII STL file; corners at equal positions become one vertex.

    Raises:
        AssetError: the file is cut off, holds no triangles, or numbers that are none.
    """
    corners = _binary(data, path) if is_binary(data) else _ascii(data, path)
    if not len(corners):
        raise AssetError(f"{path}: holds no triangles, so there is nothing to read.")
    points = _y_up(corners.reshape(-1, 3))
    # + 0.0 turns -0 into 0, which np.unique would keep apart
    vertices, faces = np.unique(points + np.float32(0.0), axis=0, return_inverse=True)
    mesh = Mesh(as_tensor(vertices), as_tensor(faces.reshape(-1, 3)).long(), name=path.stem)
    return Scene(mesh=mesh)


def is_binary(data: bytes) -> bool:
    """Whether the count of triangles fits the length, as it does in no text; or the text's first word is missing."""
    if len(data) >= _HEADER + 4 and len(data) == _HEADER + 4 + _ROW.itemsize * _count(data):
        return True
    return not data.lstrip().startswith(b"solid")


def _count(data: bytes) -> int:
    return int(np.frombuffer(data, "<u4", 1, _HEADER)[0])


def _binary(data: bytes, path: Path) -> np.ndarray:
    have = max(len(data) - _HEADER - 4, 0) // _ROW.itemsize
    count = _count(data) if len(data) >= _HEADER + 4 else 1
    if count > have:
        raise AssetError(
            f"{path}: is cut off: it promises {count} triangles and has {have}. Copy or download the file again."
        )
    return np.frombuffer(data, _ROW, count, _HEADER + 4)["corners"].astype(np.float32)


def _ascii(data: bytes, path: Path) -> np.ndarray:
    """(T, 3, 3) of the `vertex x y z` lines between `facet` and `endfacet`."""
    words = data.split()
    starts = [i for i, word in enumerate(words) if word == b"vertex"]
    if words[-1] == b"vertex" or len(starts) % 3 or words.count(b"endfacet") * 3 != len(starts):
        raise AssetError(f"{path}: is cut off or malformed: its facets do not have three vertices each.")
    try:
        numbers = [float(words[i + k]) for i in starts for k in (1, 2, 3)]
    except (ValueError, IndexError) as error:
        raise AssetError(f"{path}: a vertex holds something that is no number: {shown(error)}.") from error
    return np.array(numbers, dtype=np.float64).astype(np.float32).reshape(-1, 3, 3)


def _z_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def _y_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)
