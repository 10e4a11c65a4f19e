"""glTF files that are edited: parts as they lie in the document, changed bytes back in, everything else as it was.

A GLB comes back as a GLB whose nodes, materials, untouched accessors and untouched pictures are the file's own; a .gltf
with files beside it as one GLB that holds them.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from . import gltf_draco
from .check import as_numpy, as_tensor
from .color import srgb_to_linear, to_bytes
from .gltf_container import Document
from .gltf_material import Surface, attribute, material_of, surface_of
from .gltf_nodes import placed
from .gltf_read import triangles_of
from .gltf_views import Views
from .original import Source
from .original_mesh import Changes, Part

ARRAY_BUFFER = 34962
_SHOWN = (4, 5, 6)
"""Modes of primitives that are triangles."""


def can_be_patched(source: Source) -> bool:
    """Whether a sound glTF file's numbers lie in it as they are, not compressed by an extension."""
    document = Document(source.data, source.path)
    used = document.take(document.json, "extensionsUsed", list, [])
    return gltf_draco.NAME not in used and not any("meshopt" in str(name) for name in used)


class GltfOriginal:
    """See original_mesh.MeshOriginal."""

    kind = "glb"

    def __init__(self, source: Source):
        self.source, self.document = source, Document(source.data, source.path)
        told: list[str] = []
        if not source.data.startswith(b"glTF"):
            told.append(f"{source.path.name} comes back as one GLB that holds the files beside it")
        self.looks: list[dict] = []
        self.accessors: list[int] = []
        self.images: list[int] = []
        # what the reader leaves out (animations, lines …) is not drawn here either, but it stays in the file
        self.parts = tuple(self._parts([]))
        self.points = tuple(as_tensor(self._positions(index)) for index in self.accessors)
        self.textures = tuple(self.document.image(index) for index in self.images)
        self.notes = tuple(dict.fromkeys(told))

    def _positions(self, accessor: int) -> np.ndarray:
        return self.document.accessor(accessor).astype(np.float32)

    def _parts(self, notes: list[str]) -> list[Part]:
        document, out = self.document, []
        for node, transform in placed(document):
            number = document.take(node, "mesh", int)
            mesh = document.item("meshes", number)
            name = str(node.get("name") or mesh.get("name") or f"mesh {number}")
            for primitive in document.take(mesh, "primitives", list):
                mode = document.take(primitive, "mode", int, 4)
                names = document.take(primitive, "attributes", dict)
                if mode in _SHOWN and "POSITION" in names:
                    out.append(self._part(name, primitive, mode, transform, notes))
        return out

    def _part(self, name: str, primitive: dict, mode: int, transform: np.ndarray, notes: list[str]) -> Part:
        document, names = self.document, primitive["attributes"]
        points = _number(self.accessors, names["POSITION"])
        count = len(self._positions(names["POSITION"]))
        index = np.arange(count)
        if "indices" in primitive:
            index = document.accessor(primitive["indices"])[:, 0].astype(np.int64)
        faces = triangles_of(index, mode)
        if np.linalg.det(transform[:3, :3]) < 0:
            faces = faces[:, ::-1]
        look = next((i for i, known in enumerate(self.looks) if known is primitive), None)
        if look is None:
            self.looks.append(primitive)
            look = len(self.looks) - 1
        surface = surface_of(document, primitive, names, count, notes)
        normals = attribute(document, names, "NORMAL", 3, count)
        material = document.item("materials", primitive["material"]) if "material" in primitive else {}
        textured = surface.skin.base is not None and surface.uv is not None
        return Part(
            name,
            str(material.get("name", "")),
            look,
            points,
            torch.from_numpy(transform.copy()),
            torch.from_numpy(np.ascontiguousarray(faces)),
            None if normals is None else as_tensor(normals),
            None if surface.uv is None else as_tensor(surface.uv),
            _number(self.images, surface.skin.base) if textured else None,  # type: ignore[arg-type]
            surface.skin.factor if textured else (1.0, 1.0, 1.0),
            _colors(surface, count),
            material_of(document, surface.skin),
        )

    def patched(self, changes: Changes) -> bytes:
        """See MeshOriginal."""
        views = Views(self.document)
        primitives = views.primitives(self.looks, self.document.json)
        for number, points in changes.points.items():
            views.set_rows(
                self.accessors[number],
                as_numpy(self.points[number]),
                as_numpy(points),
                ARRAY_BUFFER,
                primitives,
                "POSITION",
            )
        for look, normals in changes.normals.items():
            old = next(part.normals for part in self.parts if part.look == look)
            if old is not None:
                index = primitives[look]["attributes"]["NORMAL"]
                views.set_rows(index, as_numpy(old), as_numpy(normals), ARRAY_BUFFER, primitives, "NORMAL")
        for number, texture in changes.textures.items():
            self._repaint(views, number, texture)
        for look, colors in changes.colors.items():
            self._recolor(views, primitives[look], look, colors)
        return views.glb() if views.changed or not self.source.data.startswith(b"glTF") else self.source.data

    def _repaint(self, views: Views, number: int, texture: Float[Tensor, "3 h w"]) -> None:
        """Replace a picture in which pixels differ; its alpha and all others stay."""
        from PIL import Image

        new, old = (to_bytes(as_numpy(t).transpose(1, 2, 0)) for t in (texture, self.textures[number]))
        changed = (new != old).any(2)
        if not changed.any():
            return
        with Image.open(io.BytesIO(views.image(self.images[number]))) as image:
            clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            pixels = np.array(image.convert("RGBA" if clear else "RGB"))
        pixels[..., :3][changed] = new[changed]
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format="PNG")
        views.set_image(self.images[number], out.getvalue())

    def _recolor(self, views: Views, primitive: dict, look: int, colors: Float[Tensor, "v 3"]) -> None:
        """Give a primitive vertex colours, or change those it has; rows that are the file's stay its bytes."""
        old = next(part.colors for part in self.parts if part.look == look)
        changed = as_numpy((old != colors).any(1), bool)
        if not changed.any():
            return
        linear = srgb_to_linear(as_numpy(colors, np.float64).clip(0.0, 1.0))
        factor = np.ones(3)
        if "COLOR_0" in primitive["attributes"]:
            model = views.material(primitive).get("pbrMetallicRoughness", {})
            factor = np.maximum(np.array(model.get("baseColorFactor", [1.0] * 4)[:3]), 1e-6)
        else:
            # a colour of the vertices is multiplied by the factor, which these colours hold already
            views.own_material(primitive, {"baseColorFactor"})
        views.set_colors(primitive, (linear / factor).clip(0.0, 1.0), changed)


def _number(known: list[int], value: int) -> int:
    """Place of a value in a list, appended where it is new."""
    if value not in known:
        known.append(value)
    return known.index(value)


def _colors(surface: Surface, count: int) -> Float[Tensor, "v 3"]:
    if surface.colors is None or surface.skin.base is not None:
        return torch.ones(count, 3)
    return as_tensor(surface.colors)
