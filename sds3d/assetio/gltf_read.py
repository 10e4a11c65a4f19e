"""GLB and glTF reader: all triangles of the default scene as one mesh in world space.

Node transforms are applied; a material's base colour (factor, texture, COLOR_0, multiplied in linear light as glTF
defines) becomes sRGB vertex colours, and stays as uv and texture too where the whole mesh has one texture alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.assets import Mesh, PointCloud, Scene
from .check import as_numpy, as_tensor
from .color import linear_to_srgb, srgb_to_linear
from .gltf_container import Document
from .gltf_nodes import instances
from .sample import sample_texture

MAX_VERTICES = 50_000_000

_READABLE = {
    "KHR_materials_unlit",
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "KHR_materials_specular",
}
_WRAPS = {10497: "repeat", 33071: "clamp", 33648: "mirror"}


@dataclass(frozen=True)
class _Part:
    """One primitive in world space; colours (n, 3) sRGB or None; `image` only where a texture alone colours it."""

    positions: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray | None
    colors: np.ndarray | None
    uv: np.ndarray | None
    image: int | None


def decode_gltf(data: bytes, path: Path) -> Scene:
    """The scene of a GLB or glTF file.

    Raises:
        AssetError: the file is cut off, malformed, needs an extension that sds3d does not know, refers to files
            outside its folder, or shows no triangles and no points.
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
            total += len(part.positions) if part else 0
            if total > MAX_VERTICES:
                raise document.error(f"shows more than {MAX_VERTICES} vertices")
            parts += [part] if part else []
    solid = [part for part in parts if len(part.triangles)]
    if solid and len(solid) < len(parts):
        notes.append("points were left out")
    unique_notes = tuple(dict.fromkeys(notes))
    if solid:
        return Scene(mesh=_merge(document, solid, path.name.split(".")[0]), notes=unique_notes)
    if not parts:
        raise document.error("shows no triangles and no points, so there is nothing to read")
    colors = _stack([p.colors for p in parts], [p.positions for p in parts])
    points = as_tensor(np.concatenate([p.positions for p in parts]))
    return Scene(
        points=PointCloud(points, None if colors is None else as_tensor(colors), path.stem),
        notes=unique_notes,
    )


def _part(document: Document, primitive: dict, transform: np.ndarray, notes: list[str]) -> _Part | None:
    attributes = document.take(primitive, "attributes", dict)
    if "targets" in primitive:
        notes.append("morph targets were left out")
    mode = document.take(primitive, "mode", int, 4)
    if "POSITION" not in attributes or mode not in (0, 4, 5, 6):
        notes.append("lines were left out")
        return None
    positions = _attribute(document, attributes, "POSITION", 3, None)
    assert positions is not None
    positions = positions.astype(np.float64) @ transform[:3, :3].T + transform[:3, 3]
    indices = np.arange(len(positions))
    if "indices" in primitive:
        indices = document.accessor(primitive["indices"])[:, 0].astype(np.int64)
    if len(indices) and (indices.max() >= len(positions) or indices.min() < 0):
        raise document.error(f"an index names vertex {indices.max()} of {len(positions)}")
    triangles = _triangles(indices, mode)
    normals = _attribute(document, attributes, "NORMAL", 3, len(positions))
    determinant = np.linalg.det(transform[:3, :3])
    if determinant < 0:  # a mirror turns the winding round
        triangles = triangles[:, ::-1]
    if normals is not None and determinant != 0:
        normals = normals.astype(np.float64) @ np.linalg.inv(transform[:3, :3])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = normals / np.where(length > 0, length, 1.0)
    colors, uv, image = _surface(document, primitive, attributes, len(positions), notes)
    return _Part(positions, triangles, normals, colors, uv, image)


def _triangles(indices: np.ndarray, mode: int) -> np.ndarray:
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


def _attribute(
    document: Document, attributes: dict, name: str, width: int, count: int | None
) -> np.ndarray | None:
    if name not in attributes:
        return None
    values = document.accessor(attributes[name])
    if values.shape[1] < width or (count is not None and len(values) != count):
        raise document.error(f"attribute {name} has the shape {values.shape}, which does not fit its mesh")
    return values[:, :width]


def _surface(
    document: Document, primitive: dict, attributes: dict, count: int, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None, int | None]:
    """Vertex colours (count, 3) sRGB, uv and image number of a primitive, each None where it has none."""
    material = document.item("materials", primitive["material"]) if "material" in primitive else {}
    surface = document.take(material, "pbrMetallicRoughness", dict, {})
    factor = document.numbers(surface, "baseColorFactor", [1.0, 1.0, 1.0, 1.0])[:3]
    painted = _attribute(document, attributes, "COLOR_0", 3, count)
    if material.get("alphaMode", "OPAQUE") != "OPAQUE":
        notes.append("transparency was left out")
    linear = np.broadcast_to(factor, (count, 3))
    if painted is not None:
        linear = linear * painted
    if "baseColorTexture" not in surface:
        plain = painted is None and "baseColorFactor" not in surface
        return (None if plain else _display(linear)), None, None
    reference = document.take(surface, "baseColorTexture", dict)
    uv = _texture_uv(document, reference, attributes, count)
    texture = document.item("textures", reference.get("index"))
    image = document.take(texture, "source", int)
    sampler = document.item("samplers", texture["sampler"]) if "sampler" in texture else {}
    wrap = tuple(_WRAPS.get(document.take(sampler, key, int, 10497), "repeat") for key in ("wrapS", "wrapT"))
    texels = as_numpy(document.image(image)).transpose(1, 2, 0)
    sampled = sample_texture(texels, uv, (wrap[0], wrap[1]))
    alone = painted is None and bool((factor == 1).all())
    return _display(linear * srgb_to_linear(sampled)), uv, image if alone else None


def _display(linear: np.ndarray) -> np.ndarray:
    return linear_to_srgb(np.asarray(linear, dtype=np.float64).clip(0.0, 1.0)).astype(np.float32)


def _texture_uv(document: Document, reference: dict, attributes: dict, count: int) -> np.ndarray:
    """(count, 2) coordinates, with KHR_texture_transform applied."""
    extension = document.take(
        document.take(reference, "extensions", dict, {}), "KHR_texture_transform", dict, {}
    )
    channel = document.take(extension, "texCoord", int, document.take(reference, "texCoord", int, 0))
    values = _attribute(document, attributes, f"TEXCOORD_{channel}", 2, count)
    if values is None:
        raise document.error(f"a texture wants TEXCOORD_{channel}, which its mesh lacks")
    if not extension:
        return values.astype(np.float32)
    angle = float(document.take(extension, "rotation", (int, float), 0.0))
    cosine, sine = np.cos(angle), np.sin(angle)
    scaled = values.astype(np.float64) * document.numbers(extension, "scale", [1.0, 1.0])
    turned = scaled @ np.array([[cosine, -sine], [sine, cosine]])
    return (turned + document.numbers(extension, "offset", [0.0, 0.0])).astype(np.float32)


def _merge(document: Document, parts: list[_Part], name: str) -> Mesh:
    """One mesh of all parts; the texture is kept where every part has the same one and nothing else."""
    positions = [part.positions for part in parts]
    starts = np.cumsum([0] + [len(p) for p in positions])
    faces = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
    colors = _stack([part.colors for part in parts], positions)
    normals = [part.normals for part in parts]
    images = {part.image for part in parts}
    uv = texture = None
    if len(images) == 1 and None not in images:
        uv = _tensor(np.concatenate([part.uv for part in parts if part.uv is not None]))
        texture = document.image(images.pop() or 0)
    complete = [n for n in normals if n is not None]
    return Mesh(
        vertices=as_tensor(np.concatenate(positions)),
        faces=as_tensor(np.ascontiguousarray(faces), torch.int64),
        colors=_tensor(colors),
        normals=_tensor(np.concatenate(complete)) if len(complete) == len(parts) else None,
        uv=uv,
        texture=texture,
        name=name,
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
