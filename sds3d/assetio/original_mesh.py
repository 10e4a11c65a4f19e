"""Mesh files that are edited: their parts as they lie in the file, and what of them was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..core.assets import Material, Mesh
from ..core.errors import AssetError
from .check import as_numpy
from .color import to_bytes
from .gltf_write import encode_glb
from .kinds import read
from .original import COLOUR_NAMES, Source, sort_of
from .original_splats import patched_ply
from .ply_format import parse_ply


@dataclass(frozen=True)
class Part:
    """Triangles of one material, where one node shows them.

    Args:
        name: of the node or the mesh. material: its name. look: number of what is shown; nodes may show it again.
        points: number of its array of positions, which other parts may share.
        transform: (4, 4) float64, from these positions to the file's world.
        faces: (F, 3) rows of the positions. normals: (V, 3) as the file has them, before the transform, or None.
        uv: (V, 2), glTF's convention, or None. texture: number of its base colour's picture, or None.
        factor: linear RGB that the picture is multiplied by.
        colors: (V, 3) sRGB where no picture colours it; white where the file says nothing.
        reflection: None for colours that have their light in them; its pictures are nobody's to edit.
    """

    name: str
    material: str
    look: int
    points: int
    transform: Float[Tensor, "4 4"]
    faces: Int[Tensor, "f 3"]
    normals: Float[Tensor, "v 3"] | None
    uv: Float[Tensor, "v 2"] | None
    texture: int | None
    factor: tuple[float, float, float]
    colors: Float[Tensor, "v 3"]
    reflection: Material | None


@dataclass(frozen=True)
class Changes:
    """New values by number; what equals the file's own is not written.

    Args:
        points: (V, 3) positions as the file has them. normals: (V, 3), by look. textures: (3, H, W) sRGB in [0, 1].
        colors: (V, 3) sRGB of the vertices, by look.
    """

    points: Mapping[int, Float[Tensor, "v 3"]] = field(default_factory=dict)
    normals: Mapping[int, Float[Tensor, "v 3"]] = field(default_factory=dict)
    textures: Mapping[int, Float[Tensor, "3 h w"]] = field(default_factory=dict)
    colors: Mapping[int, Float[Tensor, "v 3"]] = field(default_factory=dict)


class MeshOriginal(Protocol):
    """A mesh file that can be written again.

    `kind` is that of the files it writes, of assetio.kinds; `points` (V, 3) and `textures` (3, H, W) are what the
    parts name by number; `notes` say what does not come back as it was.
    """

    source: Source
    kind: str
    parts: tuple[Part, ...]
    points: tuple[Tensor, ...]
    textures: tuple[Tensor, ...]
    notes: tuple[str, ...]

    def patched(self, changes: Changes) -> bytes:
        """The file with nothing changed but that."""
        ...


def open_mesh(source: Source) -> MeshOriginal:
    """A mesh file of any format.

    Raises:
        AssetError: it is broken, or holds no mesh.
    """
    scene = read(source.path)
    if scene.mesh is None:
        raise AssetError(f"{source.path}: holds no mesh to edit.")
    if sort_of(source).kind == "ply":
        return PlyMeshOriginal(source, scene.mesh)
    if source.data.startswith(b"glTF") or source.path.suffix.lower() == ".gltf":
        from .original_gltf import GltfOriginal, can_be_patched

        if can_be_patched(source):
            return GltfOriginal(source)
    return Rewritten(source, scene.mesh)


def whole(mesh: Mesh) -> tuple[tuple[Part, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Parts, positions and textures of a mesh that is one part."""
    textured = mesh.texture is not None and mesh.uv is not None
    colors = mesh.colors if mesh.colors is not None else torch.ones_like(mesh.vertices)
    part = Part(
        mesh.name,
        "",
        0,
        0,
        torch.eye(4, dtype=torch.float64),
        mesh.faces,
        mesh.normals,
        mesh.uv,
        0 if textured else None,
        (1.0, 1.0, 1.0),
        colors,
        mesh.material,
    )
    return (part,), (mesh.vertices,), (mesh.texture,) if mesh.texture is not None and textured else ()


class Rewritten:
    """A format in which the parts have no bytes of their own, or that holds no colours: it comes back as a GLB."""

    kind = "glb"

    def __init__(self, source: Source, mesh: Mesh):
        self.source, self.mesh = source, mesh
        self.parts, self.points, self.textures = whole(mesh)
        self.notes: tuple[str, ...] = (
            f"{source.path.name} comes back as a GLB with the same numbers, not in its own format",
        )

    def patched(self, changes: Changes) -> bytes:
        """See MeshOriginal."""
        mesh = replace(
            self.mesh,
            vertices=changes.points.get(0, self.mesh.vertices),
            normals=changes.normals.get(0, self.mesh.normals),
            texture=changes.textures.get(0, self.mesh.texture),
            colors=changes.colors.get(0, self.mesh.colors),
        )
        return encode_glb(mesh)


class PlyMeshOriginal:
    """A binary PLY mesh; columns that sds3d does not know are kept too."""

    kind = "ply"
    notes: tuple[str, ...] = ()

    def __init__(self, source: Source, mesh: Mesh):
        self.source = source
        self.parts, self.points, self.textures = whole(mesh)
        columns = parse_ply(source.data, source.path)["vertex"].columns
        self.color_names = next(names for names in COLOUR_NAMES if names[0] in columns)
        self.code = columns[self.color_names[0]].dtype

    def patched(self, changes: Changes) -> bytes:
        """See MeshOriginal."""
        part = self.parts[0]
        columns = _beside(("x", "y", "z"), self.points[0], changes.points.get(0, self.points[0]))
        if part.normals is not None:
            columns |= _beside(("nx", "ny", "nz"), part.normals, changes.normals.get(0, part.normals))
        colors = _beside(self.color_names, part.colors, changes.colors.get(0, part.colors))
        columns |= {n: (_coded(old, self.code), _coded(new, self.code)) for n, (old, new) in colors.items()}
        return patched_ply(self.source, columns)


def _beside(names: tuple[str, ...], old: Tensor, new: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> (old, new) column."""
    return {n: (a, b) for n, a, b in zip(names, as_numpy(old).T, as_numpy(new).T, strict=True)}


def _coded(values: np.ndarray, code: np.dtype) -> np.ndarray:
    """Colours in [0, 1] as a column of that type."""
    if code.kind == "f":
        return values
    if code == np.uint8:
        return to_bytes(values)
    return np.rint(values.astype(np.float64).clip(0, 1) * np.iinfo(code).max).astype(code)
