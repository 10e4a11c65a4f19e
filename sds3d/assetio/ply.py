"""PLY meshes and point clouds: positions, normals, 8-bit sRGB colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.assets import Mesh, PointCloud, Scene
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .color import to_bytes
from .ply_compressed import decode_compressed, is_compressed
from .ply_format import Table, build_ply, parse_ply, ply_comments
from .polygons import fan
from .provenance import NOTHING, Provenance, comments, from_comments
from .sample import vertex_colors
from .splats import is_splats, splats_from_table


def encode_ply(asset: Mesh | PointCloud, provenance: Provenance = NOTHING) -> bytes:
    """A binary PLY file: float x y z, float nx ny nz where known, uchar red green blue where coloured.

    A texture becomes vertex colours, for PLY has no common way to hold one.
    """
    positions = asset.vertices if isinstance(asset, Mesh) else asset.points
    colors = vertex_colors(asset) if isinstance(asset, Mesh) else asset.colors
    layout: list[tuple[str, str]] = [(axis, "f4") for axis in "xyz"]
    parts = [as_numpy(positions)]
    if isinstance(asset, Mesh) and asset.normals is not None:
        layout += [(f"n{axis}", "f4") for axis in "xyz"]
        parts.append(as_numpy(asset.normals))
    if colors is not None:
        layout += [(name, "u1") for name in ("red", "green", "blue")]
        parts.append(to_bytes(as_numpy(colors)))
    rows = np.empty(len(positions), dtype=layout)
    for (name, _), column in zip(layout, (c for part in parts for c in part.T), strict=True):
        rows[name] = column
    tables = [("vertex", rows)]
    if isinstance(asset, Mesh):
        faces = np.empty(len(asset.faces), dtype=[("vertex_indices", "i4", (3,))])
        faces["vertex_indices"] = as_numpy(asset.faces, np.int32)
        tables.append(("face", faces))
    return build_ply(tables, ("sds3d: +Y up, front +Z, sRGB colours", *comments(provenance)))


def decode_ply(data: bytes, path: Path) -> Scene:
    """A mesh (elements vertex and face), splats (f_dc_0 … or packed) or, without faces, a point cloud.

    Raises:
        AssetError: the file is no PLY, cut off, or holds no positions.
    """
    tables = parse_ply(data, path)
    return replace(_scene(tables, path), provenance=from_comments(ply_comments(data)))


def _scene(tables: dict[str, Table], path: Path) -> Scene:
    vertex = tables.get("vertex")
    if vertex is None or vertex.count == 0:
        raise AssetError(f"{path}: holds no 'vertex' element, so there is nothing to read.")
    if is_compressed(vertex):
        return Scene(splats=decode_compressed(tables, path))
    if is_splats(vertex):
        return Scene(splats=splats_from_table(vertex, path))
    points = _columns(vertex, ("x", "y", "z"))
    if points is None:
        raise AssetError(f"{path}: its 'vertex' element has no x, y, z columns.")
    colors = _colors(vertex)
    faces = _faces(tables.get("face"))
    if faces is None:
        tensors = as_tensor(points), None if colors is None else as_tensor(colors)
        return Scene(points=PointCloud(*tensors, name=path.stem))
    normals = _columns(vertex, ("nx", "ny", "nz"))
    return Scene(
        mesh=Mesh(
            as_tensor(points),
            as_tensor(faces).long(),
            colors=None if colors is None else as_tensor(colors),
            normals=None if normals is None else as_tensor(normals),
            name=path.stem,
        )
    )


def _columns(table: Table, names: tuple[str, ...]) -> np.ndarray | None:
    if any(name not in table.columns for name in names):
        return None
    return np.stack([table.columns[name].astype(np.float32) for name in names], axis=1)


def _colors(table: Table) -> np.ndarray | None:
    """sRGB in [0, 1]: integer columns are full-range, floating ones are in [0, 1] already."""
    for names in (
        ("red", "green", "blue"),
        ("r", "g", "b"),
        ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ):
        values = _columns(table, names)
        if values is not None:
            kind = table.columns[names[0]].dtype
            return values / np.float32(np.iinfo(kind).max) if kind.kind in "iu" else values
    return None


def _faces(table: Table | None) -> np.ndarray | None:
    if table is None or table.count == 0:
        return None
    for name in ("vertex_indices", "vertex_index"):
        if name in table.lists:
            ragged = table.lists[name]
            return fan(ragged.lengths, ragged.values.astype(np.int64))
    return None
