"""Sound files of the formats that optional packages unpack: SPZ of version 4, Draco-compressed GLB."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from itertools import pairwise

import DracoPy
import numpy as np
import torch
import zstandard
from assetio_cases import tetrahedron, two_splats

from sds3d.assetio.color import srgb_to_linear
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.spz import encode_spz
from sds3d.core.assets import Mesh

WIDTHS = (9, 1, 3, 3, 4)


def spz4(edit=lambda rows, streams: None, extensions: bytes = b"", sized: bool = True, **header) -> bytes:
    """The two splats as version 4, by the published layout; `edit` may change the table and the streams in place."""
    splats = replace(two_splats(), sh=two_splats().sh[:, :1])
    body = zlib.decompress(encode_spz(splats), 31)
    count = len(splats.means)
    ends = [16 + count * sum(WIDTHS[:k]) for k in range(len(WIDTHS) + 1)]
    packer = zstandard.ZstdCompressor(write_content_size=sized)
    streams = [packer.compress(body[a:b]) for a, b in pairwise(ends)]
    rows = [[len(s), b - a] for s, (a, b) in zip(streams, pairwise(ends), strict=True)]
    edit(rows, streams)
    fields = {"version": 4, "count": count, "degree": 0, "bits": body[13], "streams": len(rows)}
    fields |= {"flags": 2 if extensions else 0, "table": 32 + len(extensions)} | header
    order = ("version", "count", "degree", "bits", "flags", "streams", "table")
    head = struct.pack("<IIIBBBBI12x", 0x5053474E, *(fields[name] for name in order))
    return head + extensions + b"".join(struct.pack("<QQ", *row) for row in rows) + b"".join(streams)


def painted() -> Mesh:
    """A tetrahedron with everything that a vertex can have."""
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.25]])
    return replace(
        tetrahedron(), uv=uv, texture=None, normals=torch.nn.functional.normalize(tetrahedron().vertices + 1)
    )


def draco_glb(mesh: Mesh, edit=lambda document: None, packed: bytes | None = None) -> bytes:
    """The mesh with its primitive compressed as KHR_draco_mesh_compression wants it."""
    plain = encode_glb(mesh)
    size = struct.unpack_from("<I", plain, 12)[0]
    document = json.loads(plain[20 : 20 + size])
    primitive = document["meshes"][0]["primitives"][0]
    assert mesh.normals is not None
    assert mesh.uv is not None
    assert mesh.colors is not None
    linear = np.rint(srgb_to_linear(mesh.colors.numpy()) * 255).astype(np.uint8)
    data = packed or DracoPy.encode(
        mesh.vertices.numpy(),
        mesh.faces.numpy().astype(np.uint32),
        quantization_bits=20,
        preserve_order=True,
        normals=mesh.normals.double().numpy(),
        tex_coord=mesh.uv.double().numpy(),
        generic_attributes={40: linear},
    )
    ids = {a["attribute_type"]: a["unique_id"] for a in DracoPy.decode(data).attributes}
    names = {"POSITION": ids[0], "NORMAL": ids[1], "TEXCOORD_0": ids[3], "COLOR_0": 40}
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": names}}
    for name in (*primitive["attributes"].values(), primitive["indices"]):
        accessor = document["accessors"][name]
        accessor.pop("bufferView"), accessor.pop("byteOffset", None)
    document["accessors"][primitive["attributes"]["COLOR_0"]] |= {
        "componentType": 5121,
        "normalized": True,
        "type": "VEC3",
    }
    document["bufferViews"] = [{"buffer": 0, "byteLength": len(data)}]
    document["buffers"] = [{"byteLength": len(data)}]
    document["extensionsUsed"] = document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    edit(document)
    text, data = json.dumps(document).encode(), data + bytes(-len(data) % 4)
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(data))
    return (
        head
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(data), b"BIN\0")
        + data
    )
