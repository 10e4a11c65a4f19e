"""GLB writer: one mesh, one node, glTF 2.0 binary (Khronos, ISO/IEC 12113).

+Y is up and the front faces +Z in glTF as in sds3d, so positions go out as they are. Nothing in the file depends
on when or where it was written: equal meshes give equal bytes.
"""

from __future__ import annotations

import json
import struct

import numpy as np
import torch
from torch import Tensor

from ..core.assets import Material, Mesh
from .check import as_numpy
from .color import srgb_to_linear
from .image_bytes import encode_png
from .provenance import NOTHING, Provenance

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENTS = {"<f4": 5126, "<u2": 5123, "<u4": 5125}


def encode_glb(mesh: Mesh, unlit: bool | None = None, provenance: Provenance = NOTHING) -> bytes:
    """A GLB file.

    Colours go out as COLOR_0, linear, 16 bits a channel (8 would lose the dark half of sRGB). A mesh with a texture
    shows the texture alone, for glTF would multiply the two.

    Args:
        unlit: declare KHR_materials_unlit: the colours hold their light already (a prior paints it in), and a
            viewer shall not shade them again. Default: where the mesh has no material.
        provenance: goes to asset.extras.sds3d.
    """
    buffer = _Buffer()
    attributes = {"POSITION": buffer.add(as_numpy(mesh.vertices), ARRAY_BUFFER, bounds=True)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffer.add(_unit(as_numpy(mesh.normals)), ARRAY_BUFFER)
    textured = mesh.uv is not None and mesh.texture is not None
    if mesh.uv is not None:
        attributes["TEXCOORD_0"] = buffer.add(as_numpy(mesh.uv), ARRAY_BUFFER)
    if mesh.colors is not None and not textured:
        attributes["COLOR_0"] = buffer.add(
            _linear_rgba16(as_numpy(mesh.colors)), ARRAY_BUFFER, normalized=True
        )
    # The largest index of a width restarts a strip, so it may not name a vertex.
    index_type = np.uint16 if len(mesh.vertices) < 65536 else np.uint32
    indices = buffer.add(as_numpy(mesh.faces, index_type).reshape(-1), ELEMENT_ARRAY_BUFFER)
    asset: dict = {"version": "2.0", "generator": "sds3d"}
    if provenance:
        asset["extras"] = {"sds3d": dict(sorted(provenance.items()))}
    pictures: list[Tensor] = []
    material = _material(mesh, pictures)
    document: dict = {
        "asset": asset,
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": mesh.name, "mesh": 0}],
        "meshes": [
            {"name": mesh.name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}
        ],
        "materials": [material],
    }
    if mesh.material is None if unlit is None else unlit:
        document["extensionsUsed"] = ["KHR_materials_unlit"]
        material["extensions"] = {"KHR_materials_unlit": {}}
    if pictures:
        document["images"] = [
            {"bufferView": buffer.add_view(encode_png(p)), "mimeType": "image/png"} for p in pictures
        ]
        document["textures"] = [{"source": i, "sampler": 0} for i in range(len(pictures))]
        document["samplers"] = [{"magFilter": 9729, "minFilter": 9987}]
    return buffer.finish(document)


def _material(mesh: Mesh, pictures: list[Tensor]) -> dict:
    """The glTF material of a mesh; its textures are appended to `pictures`."""
    look = mesh.material or Material()

    def texture(picture: Tensor) -> dict:
        pictures.append(picture)
        return {"index": len(pictures) - 1}

    model: dict = {"metallicFactor": float(look.metallic), "roughnessFactor": float(look.roughness)}
    out: dict = {"name": mesh.name, "pbrMetallicRoughness": model, "doubleSided": True}
    if mesh.uv is None:
        return out
    if mesh.texture is not None:
        model["baseColorTexture"] = texture(mesh.texture)
    if look.metallic_roughness is not None:
        metallic, roughness = look.metallic_roughness.cpu().float()
        # green is roughness, blue metallic; red, which glTF leaves free, reads as "not occluded" in viewers
        packed = torch.stack([torch.ones_like(metallic), roughness, metallic])
        model |= {"metallicFactor": 1.0, "roughnessFactor": 1.0}
        model["metallicRoughnessTexture"] = texture(packed)
    if look.normal is not None:
        out["normalTexture"] = texture(look.normal)
    return out


class _Buffer:
    """Accessors and views over one growing binary chunk, each view 4-byte aligned."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add_view(self, data: bytes, target: int | None = None) -> int:
        """The index of a new buffer view over `data`."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view if target is None else {**view, "target": target})
        self.data.extend(data)
        return len(self.views) - 1

    def add(self, rows: np.ndarray, target: int, normalized: bool = False, bounds: bool = False) -> int:
        """The index of a new accessor over (n,) or (n, k) rows."""
        accessor: dict = {
            "bufferView": self.add_view(rows.tobytes(), target),
            "componentType": _COMPONENTS[rows.dtype.str],
            "count": len(rows),
            "type": "SCALAR" if rows.ndim == 1 else f"VEC{rows.shape[1]}",
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            # Exact float32 bounds as doubles: JSON prints them without loss.
            accessor["min"] = [float(x) for x in rows.min(0)]
            accessor["max"] = [float(x) for x in rows.max(0)]
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def finish(self, document: dict) -> bytes:
        """Header, JSON chunk padded with spaces, binary chunk padded with zeros."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        document["buffers"] = [{"byteLength": len(self.data)}]
        document["bufferViews"], document["accessors"] = self.views, self.accessors
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.data), b"BIN\0") + bytes(self.data)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _linear_rgba16(srgb: np.ndarray) -> np.ndarray:
    """(V, 4) uint16 with full alpha: four channels keep every row 4-byte aligned, as glTF asks."""
    linear = srgb_to_linear(srgb.astype(np.float64).clip(0.0, 1.0))
    out = np.full((len(srgb), 4), 65535, dtype="<u2")
    out[:, :3] = np.rint(linear * 65535)
    return out


def _unit(normals: np.ndarray) -> np.ndarray:
    """Unit normals; a zero one (a vertex of no face) points up, for glTF admits no zero."""
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    return np.where(length > 0, normals / np.where(length > 0, length, 1.0), up).astype("<f4")
