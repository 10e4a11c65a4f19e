"""Small files to edit, and runs on them that take a moment."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import torch

from sds3d import assetio
from sds3d.assetio.image_bytes import encode_png
from sds3d.core.assets import Material, Mesh, Splats
from sds3d.core.streams import Streams
from sds3d.jobs import configs
from sds3d.jobs.schema import RunConfig
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build

CONDITIONS = {
    "y": {"mean": 0.6, "std": 0.5},
    "null": {"mean": 0.0, "std": 0.5},
    "src": {"mean": -0.4, "std": 0.5},
}


def edit_config(runs: Path, file: Path, **changes) -> RunConfig:
    """An edit by an analytic prior at 8 pixels; `edit__keep="shape"` sets `edit.keep`."""
    values = {
        "prompt": "a blue thing",
        "edit.source": str(file),
        "edit.prompt": "a red thing",
        "edit.up": "+y",
        "prior": {"kind": "analytic", "shape": [3, 8, 8], "conditions": CONDITIONS},
        "optimize.steps": 4,
        "optimize.views": 2,
        "optimize.checkpoint_steps": 2,
        "optimize.preview_steps": 0,
        "pictures": {"turntable_frames": 0, "contact_views": 2, "contact_size": 16},
        "threads": 1,
        "runs": str(runs),
    }
    return configs.from_mapping(values | {k.replace("__", "."): v for k, v in changes.items()})


def some_splats(count: int = 40, degree: int = 1, seed: int = 0) -> Splats:
    """Random Gaussians in a ball of radius one half."""
    streams = Streams(seed)
    normal = streams.normal((count, 10), "splats")[0]
    return Splats(
        means=0.3 * torch.nn.functional.normalize(normal[:, :3], dim=1),
        scales=(0.1 * (0.3 * normal[:, 3:6]).exp()).clamp(0.03, 0.3),
        rotations=torch.nn.functional.normalize(normal[:, 6:10], dim=1),
        opacities=torch.full((count,), 0.8),
        sh=0.5 * streams.normal((count, (degree + 1) ** 2, 3), "colours")[0],
    )


def splat_file(folder: Path, kind: str = "3dgs", **how) -> Path:
    """A splat file."""
    path = folder / f"some{assetio.kinds.KINDS[kind]}"
    assetio.write(some_splats(**how), path, kind)
    return path


def with_columns(path: Path, names: tuple[str, ...]) -> Path:
    """The same PLY with further float columns before and after the others, as some programs write."""
    data = path.read_bytes()
    head, _, body = data.partition(b"end_header\n")
    count = int(head.split(b"element vertex ")[1].split()[0])
    rows = np.frombuffer(body, "u1").reshape(count, -1)
    extra = np.arange(count * len(names), dtype="<f4").reshape(count, -1).view("u1").reshape(count, -1)
    lines = b"".join(b"property float %s\n" % name.encode() for name in names)
    out = path.with_name("wide.ply")
    out.write_bytes(head + lines + b"end_header\n" + np.concatenate([rows, extra], axis=1).tobytes())
    return out


def textured_mesh() -> Mesh:
    """A cube with a texture of its own and a material."""
    cube = build(find("cube")).mesh({})
    u = torch.linspace(0, 1, 16)
    picture = torch.stack([u.expand(16, 16), u[:, None].expand(16, 16), torch.full((16, 16), 0.3)])
    uv = 0.1 + 0.8 * (cube.vertices[:, :2] / cube.vertices.abs().max() * 0.5 + 0.5)
    return Mesh(
        cube.vertices,
        cube.faces,
        normals=cube.normals,
        uv=uv,
        texture=picture,
        material=Material(0.0, 0.8),
        name="cube",
    )


def mesh_file(folder: Path, kind: str = "glb", textured: bool = True) -> Path:
    """A mesh file."""
    mesh = textured_mesh() if textured else build(find("cube")).mesh({"main": (0.8, 0.1, 0.1)}, "cube")
    path = folder / f"cube{assetio.kinds.KINDS[kind]}"
    assetio.write(mesh, path, kind)
    return path


def two_part_glb(folder: Path) -> Path:
    """A GLB that sds3d would not write: two nodes, moved and turned, show two meshes of two materials; one holds a
    picture with alpha and the other a colour, and there are fields that nobody here knows."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], "<u2")
    uv = np.array([[0.1, 0.1], [0.4, 0.1], [0.1, 0.4], [0.4, 0.4]], "<f4")
    picture = _png_with_alpha()
    chunks = [points.tobytes(), faces.tobytes(), uv.tobytes(), picture]
    body, views = b"", []
    for chunk in chunks:
        body += b"\0" * (-len(body) % 4)
        views.append({"buffer": 0, "byteOffset": len(body), "byteLength": len(chunk)})
        body += chunk
    body += b"\0" * (-len(body) % 4)
    vec3 = {"componentType": 5126, "count": 4}
    document = {
        "asset": {"version": "2.0", "generator": "somebody", "extras": {"note": "é"}},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"name": "left", "mesh": 0, "translation": [-2, 0, 0], "scale": [2, 2, 2]},
            {"name": "right", "mesh": 1, "rotation": [0, 0.7071068, 0, 0.7071068]},
        ],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}]},
            {
                "primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 1}],
                "extras": {"x": 1},
            },
        ],
        "materials": [
            {"name": "painted", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
            {"name": "plain", "pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.1, 0.1, 1.0]}},
        ],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": [
            {"bufferView": 0, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 1], **vec3},
            {"bufferView": 1, "type": "SCALAR", "componentType": 5123, "count": 12},
            {"bufferView": 2, "type": "VEC2", **vec3},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(body)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    path = folder / "two.glb"
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(data)) + data)
    return path


def _png_with_alpha() -> bytes:
    import io

    from PIL import Image

    pixels = np.tile(np.arange(64, dtype="u1").reshape(8, 8)[..., None], (1, 1, 4)) * 3
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, format="PNG")
    return out.getvalue()


def glb_parts(data: bytes) -> tuple[dict, bytes]:
    """The JSON and the binary chunk of a GLB."""
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def accessor(data: bytes, number: int) -> bytes:
    """The bytes of an accessor that fills its view."""
    document, body = glb_parts(data)
    view = document["bufferViews"][document["accessors"][number]["bufferView"]]
    return body[view.get("byteOffset", 0) : view.get("byteOffset", 0) + view["byteLength"]]


def image(data: bytes, number: int = 0) -> bytes:
    """The file of a picture in a GLB."""
    document, body = glb_parts(data)
    view = document["bufferViews"][document["images"][number]["bufferView"]]
    return body[view.get("byteOffset", 0) : view.get("byteOffset", 0) + view["byteLength"]]


def mask_file(folder: Path, left: bool) -> Path:
    """A mask that is white on one half."""
    pixels = torch.zeros(3, 32, 32)
    pixels[:, :, :16] = float(left)
    pixels[:, :, 16:] = float(not left)
    path = folder / "mask.png"
    path.write_bytes(encode_png(pixels))
    return path
