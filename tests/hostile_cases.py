"""Sound files to break, and what a refusal has to be."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from assetio_cases import tetrahedron, two_splats

from sds3d import assetio
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.obj_write import encode_obj
from sds3d.assetio.ply import encode_ply
from sds3d.assetio.splats import encode_splats
from sds3d.core.assets import Mesh
from sds3d.core.errors import AssetError

TEXTURED = Mesh(
    tetrahedron().vertices, tetrahedron().faces, uv=tetrahedron().vertices[:, :2], texture=torch.ones(3, 2, 2)
)
GOOD = {
    "mesh.glb": encode_glb(tetrahedron()),
    "textured.glb": encode_glb(TEXTURED),
    "mesh.ply": encode_ply(tetrahedron()),
    "splats.3dgs.ply": encode_splats(two_splats()),
    "mesh.obj": encode_obj(tetrahedron(), Path("mesh.obj"))[Path("mesh.obj")],
}
FACES = b"property list uchar int vertex_indices\n"
PLY = b"ply\nformat ascii 1.0\nelement vertex %d\n%selement face %d\n" + FACES + b"end_header\n%s"
XYZ = b"property float x\nproperty float y\nproperty float z\n"
HUGE = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 100000000\n" + XYZ + b"end_header\n" + b"\0" * 12
)


def refused(path: Path, *reasons: str) -> None:
    """Reading fails with one AssetError that names the file and holds each reason, and changes nothing."""
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    with pytest.raises(AssetError) as caught:
        assetio.read(path)
    text = str(caught.value)
    assert path.name in text
    for reason in reasons:
        assert reason in text
    assert "\n" not in text, "one paragraph"
    assert len(text) < 600
    assert before == {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}


def edited_glb(data: bytes, edit: dict[str, object]) -> bytes:
    """The GLB with values of its JSON replaced, by dotted path."""
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    for dotted, value in edit.items():
        at: object = document
        *parents, last = [int(k) if k.isdigit() else k for k in dotted.split(".")]
        for key in parents:
            at = at[key]
        at[last] = value
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + rest
