"""Wavefront OBJ writer: vertex colours after the position, or a texture through an MTL file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.assets import Mesh
from .check import as_numpy
from .mtl import encode_mtl
from .provenance import NOTHING, Provenance, comments


def encode_obj(mesh: Mesh, path: Path, provenance: Provenance = NOTHING) -> dict[Path, bytes]:
    """The files of an OBJ at `path`, the OBJ last.

    `v x y z r g b` holds sRGB in [0, 1], as MeshLab and Blender read it; nine digits keep a float32 exact.
    A mesh with a texture or a material adds `<stem>.mtl` and its pictures beside it. The provenance stands in comments.
    """
    files = encode_mtl(mesh, path.with_suffix(".mtl"))
    lines = ["# sds3d: +Y up, front +Z, sRGB colours", *(f"# {line}" for line in comments(provenance))]
    textured = mesh.uv is not None and mesh.texture is not None
    if files:
        lines.append(f"mtllib {path.with_suffix('.mtl').name}")
    lines.append(f"o {'_'.join(mesh.name.split()) or 'mesh'}")
    columns = [as_numpy(mesh.vertices)]
    if mesh.colors is not None and not textured:
        columns.append(as_numpy(mesh.colors).clip(0.0, 1.0))
    lines += _rows("v", np.concatenate(columns, axis=1))
    if mesh.uv is not None:
        # OBJ counts v from the bottom, glTF and sds3d from the top.
        lines += _rows("vt", as_numpy(mesh.uv).astype(np.float64) * [1, -1] + [0, 1])
    if mesh.normals is not None:
        lines += _rows("vn", as_numpy(mesh.normals))
    if files:
        lines.append("usemtl material")
    corner = {
        (False, False): "{0}",
        (True, False): "{0}/{0}",
        (False, True): "{0}//{0}",
        (True, True): "{0}/{0}/{0}",
    }[(mesh.uv is not None, mesh.normals is not None)]
    face = " ".join(["f", *(corner.replace("0", str(i)) for i in range(3))])
    lines += [face.format(*row) for row in (as_numpy(mesh.faces, np.int64) + 1).tolist()]
    files[path] = ("\n".join(lines) + "\n").encode()
    return files


def _rows(keyword: str, rows: np.ndarray) -> list[str]:
    template = " ".join([keyword] + ["%.9g"] * rows.shape[1])
    return [template % tuple(row) for row in rows.tolist()]
