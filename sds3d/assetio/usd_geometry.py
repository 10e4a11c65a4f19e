"""Numbers of USD prims: arrays, transforms, primitive variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import AssetError
from .files import shown
from .usda import Prim

Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""(4, 4) that stands a scene with +Z up upright: (x, y, z) to (x, z, -y)."""


def numbers(value: object, width: int, path: Path, name: str) -> np.ndarray:
    """(n, width) float64 of an array, a tuple or one number; none for a value that is missing.

    Raises:
        AssetError: it holds something else, or numbers that are not finite or no multiple of `width`.
    """
    if value is None:
        return np.zeros((0, width))
    try:
        out = np.asarray(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise AssetError(f"{path}: '{shown(name, 60)}' holds something that is no number.") from error
    if len(out) % width or not np.isfinite(out).all():
        raise AssetError(
            f"{path}: '{shown(name, 60)}' must be finite numbers, {width} a row; it has {len(out)}."
        )
    return out.reshape(-1, width)


def local_transform(prim: Prim, path: Path) -> np.ndarray:
    """(4, 4) local-to-parent, columns as vectors, of a prim's xformOps in their order.

    Raises:
        AssetError: an operation is unknown or malformed.
    """
    order = prim.values.get("xformOpOrder")
    names = order.value if order is not None and isinstance(order.value, list) else []
    out = np.eye(4)
    for name in names:
        text = str(name)
        inverse, key = text.startswith("!invert!"), text.removeprefix("!invert!")
        if text == "!resetXformStack!":
            continue
        held = prim.values.get(key)
        if held is None or not key.startswith("xformOp:"):
            raise AssetError(
                f"{path}: the transform '{shown(text, 60)}' of '{shown(prim.name, 60)}' is nowhere defined."
            )
        step = _operation(key.split(":")[1], held.value, path)
        if inverse and np.linalg.det(step) == 0:
            raise AssetError(f"{path}: the transform '{shown(text, 60)}' cannot be inverted.")
        out = out @ (np.linalg.inv(step) if inverse else step)
    if not np.isfinite(out).all():
        raise AssetError(f"{path}: the transform of '{shown(prim.name, 60)}' overflows.")
    return out


def _operation(kind: str, value: object, path: Path) -> np.ndarray:
    out = np.eye(4)
    width = {"transform": 16, "orient": 4, "rotateX": 1, "rotateY": 1, "rotateZ": 1}.get(kind, 3)
    rows = numbers(value, width, path, f"xformOp:{kind}")
    if len(rows) != 1:
        raise AssetError(f"{path}: 'xformOp:{shown(kind, 30)}' needs {width} numbers.")
    row = rows[0]
    if kind == "transform":
        return row.reshape(4, 4).T  # USD multiplies rows from the left
    if kind == "translate":
        out[:3, 3] = row
    elif kind == "scale":
        out[:3, :3] = np.diag(row)
    elif kind == "orient":
        out[:3, :3] = _quaternion(row)
    elif kind in ("rotateX", "rotateY", "rotateZ"):
        out[:3, :3] = _axis("XYZ".index(kind[-1]), row[0])
    elif kind in ("rotateXYZ", "rotateXZY", "rotateYXZ", "rotateYZX", "rotateZXY", "rotateZYX"):
        for axis in kind[6:]:  # the first named turns first
            out[:3, :3] = _axis("XYZ".index(axis), row["XYZ".index(axis)]) @ out[:3, :3]
    else:
        raise AssetError(f"{path}: 'xformOp:{shown(kind, 30)}' is no transform that sds3d knows.")
    return out


def _axis(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _quaternion(wxyz: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(wxyz)
    unit = wxyz / length if length > 0 else np.array([1.0, 0.0, 0.0, 0.0])
    w, v = unit[0], unit[1:]
    cross = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


@dataclass(frozen=True)
class Variable:
    """A primitive variable: rows of values, and the row of each face corner and, where it does not depend on the face,
    of each vertex."""

    rows: np.ndarray
    of_corner: np.ndarray
    of_vertex: np.ndarray | None


def variable(
    prim: Prim, key: str, width: int, corners: np.ndarray, lengths: np.ndarray, points: int, path: Path
) -> Variable | None:
    """An attribute of a mesh's surface; None where it is absent or empty.

    Args:
        key: the attribute; `key`:indices are followed. width: numbers a row. corners: (C,) vertex of each corner.
        lengths: (F,) corners of each face. points: number of vertices.

    Raises:
        AssetError: its length does not fit its interpolation.
    """
    held = prim.values.get(key)
    if held is None or held.value is None:
        return None
    rows = numbers(held.value, width, path, key)
    listed = prim.values.get(f"{key}:indices")
    if listed is not None and listed.value is not None:
        index = numbers(listed.value, 1, path, f"{key}:indices")[:, 0].astype(np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < len(rows):
            raise AssetError(f"{path}: '{shown(key, 60)}' names row {index.max()} of {len(rows)}.")
        rows = rows[index]
    if not len(rows):
        return None
    kind = str(held.metadata.get("interpolation", "vertex" if key == "normals" else "constant"))
    every, none = np.arange(points), np.zeros(points, np.int64)
    choices: dict[str, tuple[int, np.ndarray, np.ndarray | None]] = {
        "constant": (1, none[corners], none),
        "uniform": (len(lengths), np.repeat(np.arange(len(lengths)), lengths), None),
        "vertex": (points, corners, every),
        "varying": (points, corners, every),
        "faceVarying": (len(corners), np.arange(len(corners)), None),
    }
    count, of_corner, of_vertex = choices.get(kind, (-1, corners, None))
    if len(rows) != count:
        raise AssetError(
            f"{path}: '{shown(key, 60)}' has {len(rows)} rows, which do not fit '{shown(kind, 30)}' on this mesh."
        )
    return Variable(rows, of_corner, of_vertex)
