"""GLB and glTF reader: all triangles of the default scene as one mesh in world space.

Node transforms are applied; a material's base colour (factor, texture, COLOR_0, multiplied in linear light as glTF
defines) becomes sRGB vertex colours, and stays as uv and texture too where the whole mesh has one material.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.assets import Mesh, PointCloud, Scene
from . import gltf_draco
from .check import as_tensor
from .gltf_container import Document
from .gltf_material import Surface, attribute, base_texture, material_of, surface_of
from .gltf_nodes import instances
from .provenance import foreign

MAX_ELEMENTS = 40_000_000
"""Vertices and triangles together: nodes may show one mesh again and again, so a small file can claim many."""

_READABLE = {
    "KHR_materials_unlit",
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "KHR_materials_specular",
    gltf_draco.NAME,
}


@dataclass(frozen=True)
class _Part:
    """One primitive in world space: (n, 3) positions, (t, 3) triangles, (n, 3) normals or None, its looks."""

    positions: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray | None
    surface: Surface


def decode_gltf(data: bytes, path: Path) -> Scene:
    """The scene of a GLB or glTF file.

    Raises:
        AssetError: the file is cut off, malformed, needs an extension that sds3d does not know, refers to files
            outside its folder, or shows no triangles and no points.
        MissingPackageError: it is Draco-compressed and DracoPy is not installed.
    """
    document = Document(data, path)
    required = set(map(str, document.take(document.json, "extensionsRequired", list, []))) - _READABLE
    if required:
        raise document.error(
            f"needs the extension {', '.join(sorted(required))}, which sds3d does not read; export it again without "
            "compression"
        )
    parts: list[_Part] = []
    notes = [f"{key} were left out" for key in ("animations", "skins", "cameras") if document.json.get(key)]
    total = 0
    for mesh_index, transform in instances(document):
        mesh = document.item("meshes", mesh_index)
        for primitive in document.take(mesh, "primitives", list):
            part = _part(document, primitive, transform, notes)
            total += len(part.positions) + len(part.triangles) if part else 0
            if total > MAX_ELEMENTS:
                raise document.error(f"shows more than {MAX_ELEMENTS} vertices and triangles")
            parts += [part] if part else []
    solid = [part for part in parts if len(part.triangles)]
    if solid and len(solid) < len(parts):
        notes.append("points were left out")
    extras = document.json.get("asset", {}).get("extras")
    origin = foreign(extras.get("sds3d") if isinstance(extras, dict) else None)
    if solid:
        merged = _merge(document, solid, path.name.split(".")[0], notes)
        return Scene(mesh=merged, notes=tuple(dict.fromkeys(notes)), provenance=origin)
    if not parts:
        raise document.error("shows no triangles and no points, so there is nothing to read")
    colors = _stack([p.surface.colors for p in parts], [p.positions for p in parts])
    points = as_tensor(np.concatenate([p.positions for p in parts]))
    cloud = PointCloud(points, _tensor(colors), path.stem)
    return Scene(points=cloud, notes=tuple(dict.fromkeys(notes)), provenance=origin)


def _part(document: Document, primitive: dict, transform: np.ndarray, notes: list[str]) -> _Part | None:
    attributes = document.take(primitive, "attributes", dict)
    if "targets" in primitive:
        notes.append("morph targets were left out")
    mode = document.take(primitive, "mode", int, 4)
    if "POSITION" not in attributes or mode not in (0, 4, 5, 6):
        notes.append("lines were left out")
        return None
    gltf_draco.unpack(document, primitive)
    positions = attribute(document, attributes, "POSITION", 3, None)
    assert positions is not None
    positions = positions.astype(np.float64) @ transform[:3, :3].T + transform[:3, 3]
    indices = np.arange(len(positions))
    if "indices" in primitive:
        indices = document.accessor(primitive["indices"])[:, 0].astype(np.int64)
    if len(indices) and (indices.max() >= len(positions) or indices.min() < 0):
        raise document.error(f"an index names vertex {indices.max()} of {len(positions)}")
    triangles = triangles_of(indices, mode)
    normals = attribute(document, attributes, "NORMAL", 3, len(positions))
    determinant = np.linalg.det(transform[:3, :3])
    if determinant < 0:  # a mirror turns the winding round
        triangles = triangles[:, ::-1]
    if normals is not None and determinant != 0:
        normals = normals.astype(np.float64) @ np.linalg.inv(transform[:3, :3])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = normals / np.where(length > 0, length, 1.0)
    surface = surface_of(document, primitive, attributes, len(positions), notes)
    return _Part(positions, triangles, normals, surface)


def triangles_of(indices: np.ndarray, mode: int) -> np.ndarray:
    """(T, 3) of a list (4), strip (5) or fan (6); none for points (0)."""
    if mode == 0:
        return np.zeros((0, 3), np.int64)
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    count = max(len(indices) - 2, 0)
    k = np.arange(count)
    if mode == 6:
        return np.stack([np.broadcast_to(indices[:1], count), indices[k + 1], indices[k + 2]], axis=1)
    return np.stack([indices[k], indices[k + 1 + k % 2], indices[k + 2 - k % 2]], axis=1)


def _merge(document: Document, parts: list[_Part], name: str, notes: list[str]) -> Mesh:
    """One mesh of all parts; texture and material are kept where every part has the same."""
    positions = [part.positions for part in parts]
    starts = np.cumsum([0] + [len(p) for p in positions])
    faces = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
    skins = {part.surface.skin for part in parts}
    placed = [part.surface.uv for part in parts if part.surface.uv is not None]
    uv = texture = material = None
    if len(skins) == 1 and len(placed) in (0, len(parts)):
        skin = skins.pop()
        uv = np.concatenate(placed) if placed else None
        texture, material = base_texture(document, skin), material_of(document, skin)
    elif any(skin.lit for skin in skins):
        notes.append("the parts have several materials: their colours were kept at the vertices alone")
    complete = [part.normals for part in parts if part.normals is not None]
    colors = _stack([part.surface.colors for part in parts], positions)
    return Mesh(
        vertices=as_tensor(np.concatenate(positions)),
        faces=as_tensor(np.ascontiguousarray(faces), torch.int64),
        colors=_tensor(colors),
        normals=_tensor(np.concatenate(complete)) if len(complete) == len(parts) else None,
        uv=_tensor(uv),
        texture=texture,
        name=name,
        material=material,
    )


def _stack(colors: list[np.ndarray | None], positions: list[np.ndarray]) -> np.ndarray | None:
    """All colours one after the other, white where a part has none; None where none has."""
    if all(c is None for c in colors):
        return None
    return np.concatenate(
        [np.ones((len(p), 3), np.float32) if c is None else c for c, p in zip(colors, positions, strict=True)]
    )


def _tensor(values: np.ndarray | None) -> Tensor | None:
    return None if values is None else as_tensor(values)
