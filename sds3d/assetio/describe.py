"""What `sds3d info FILE` prints."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..core.assets import Mesh, PointCloud, Splats
from .check import as_numpy
from .files import read_bytes
from .kinds import read


def describe(path: str | Path) -> dict[str, object]:
    """Facts about a 3D file, ready for JSON.

    Returns:
        file, bytes, sha256, notes, and for what the file holds "mesh" (vertices, faces, low, high, watertight,
        colors, normals, texture), "splats" (count, sh_degree, low, high, mean_opacity) or "points" (count, …).

    Raises:
        AssetError: as `read`.
    """
    path = Path(path)
    scene = read(path)
    data = read_bytes(path)
    out: dict[str, object] = {
        "file": str(path),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if scene.mesh is not None:
        out["mesh"] = _mesh(scene.mesh)
    if scene.splats is not None:
        out["splats"] = _splats(scene.splats)
    if scene.points is not None:
        out["points"] = _points(scene.points)
    out["notes"] = list(scene.notes)
    return out


def _mesh(mesh: Mesh) -> dict[str, object]:
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        **_extent(as_numpy(mesh.vertices)),
        "watertight": is_watertight(mesh),
        "colors": mesh.colors is not None,
        "normals": mesh.normals is not None,
        "texture": None if mesh.texture is None else [mesh.texture.shape[2], mesh.texture.shape[1]],
    }


def _splats(splats: Splats) -> dict[str, object]:
    return {
        "count": len(splats.means),
        "sh_degree": splats.sh_degree,
        **_extent(as_numpy(splats.means)),
        "mean_opacity": round(float(splats.opacities.mean()), 4) if len(splats.means) else None,
    }


def _points(points: PointCloud) -> dict[str, object]:
    return {
        "count": len(points.points),
        **_extent(as_numpy(points.points)),
        "colors": points.colors is not None,
    }


def _extent(rows: np.ndarray) -> dict[str, object]:
    if not len(rows):
        return {"low": None, "high": None}
    return {"low": rows.min(0).tolist(), "high": rows.max(0).tolist()}


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge joins exactly two faces that agree on the outside, seams of uv and normals ignored."""
    _, same = np.unique(as_numpy(mesh.vertices), axis=0, return_inverse=True)
    faces = same.reshape(-1)[as_numpy(mesh.faces, np.int64)]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = len(mesh.vertices)
    forward, backward = edges @ [count, 1], edges @ [1, count]
    distinct = len(np.unique(forward)) == len(forward)
    return bool(len(edges) and distinct and np.array_equal(np.sort(forward), np.sort(backward)))
