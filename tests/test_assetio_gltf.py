"""glTF in detail: node trees, materials, odd accessors, real models, and the Khronos validator.

The validator is an npm package. To run its test: `npm install --prefix FOLDER gltf-validator` and
`SDS3D_GLTF_VALIDATOR=FOLDER make test`; or drop a GLB on https://github.khronos.org/glTF-Validator, which runs
in the browser.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import meshes, tetrahedron
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from sds3d import assetio
from sds3d.assetio.gltf_read import decode_gltf
from sds3d.assetio.gltf_write import encode_glb
from sds3d.core.assets import Mesh, Scene

ROOT = Path(__file__).parents[1]
MODELS = ROOT.parent / "shared" / "data" / "models"
TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype="<f4")
VALIDATE = """
const validator = require(process.argv[1]), fs = require('fs');
(async () => {
  const out = {};
  for (const file of process.argv.slice(2))
    out[file] = (await validator.validateBytes(new Uint8Array(fs.readFileSync(file)))).issues;
  console.log(JSON.stringify(out));
})();
"""


def models() -> list[Path]:
    return sorted(p for p in MODELS.glob("*/*") if p.suffix in (".glb", ".gltf"))


class Builder:
    """A small glTF document whose buffer is a data URI."""

    def __init__(self) -> None:
        self.bytes = b""
        self.json: dict = {
            "asset": {"version": "2.0"},
            "bufferViews": [],
            "accessors": [],
            "meshes": [],
            "nodes": [],
        }

    def view(self, rows: np.ndarray, stride: int | None = None) -> int:
        self.bytes += b"\0" * (-len(self.bytes) % 4)
        view = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": rows.nbytes}
        self.json["bufferViews"].append(view if stride is None else {**view, "byteStride": stride})
        self.bytes += rows.tobytes()
        return len(self.json["bufferViews"]) - 1

    def accessor(self, rows: np.ndarray, **more: object) -> int:
        kinds = {"<f4": 5126, "|u1": 5121, "<u2": 5123, "<u4": 5125, "<i2": 5122, "|i1": 5120}
        spec = {"bufferView": self.view(rows), "componentType": kinds[rows.dtype.str], "count": len(rows)}
        spec["type"] = "SCALAR" if rows.ndim == 1 else f"VEC{rows.shape[1]}"
        self.json["accessors"].append(spec | more)
        return len(self.json["accessors"]) - 1

    def mesh(self, positions: np.ndarray = TRIANGLE, mode: int = 4, **more: object) -> int:
        primitive = {"attributes": {"POSITION": self.accessor(positions)}, "mode": mode}
        primitive["attributes"] |= {k: self.accessor(v) for k, v in more.items() if isinstance(v, np.ndarray)}
        primitive |= {k: v for k, v in more.items() if not isinstance(v, np.ndarray)}
        self.json["meshes"].append({"primitives": [primitive]})
        return len(self.json["meshes"]) - 1

    def read(self, path: Path = Path("built.gltf")) -> Scene:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.bytes).decode()
        self.json["buffers"] = [{"byteLength": len(self.bytes), "uri": uri}]
        return decode_gltf(json.dumps(self.json).encode(), path)


def test_node_transforms_multiply_from_the_root() -> None:
    b = Builder()
    mesh = b.mesh()
    half = float(np.sqrt(0.5))
    b.json["nodes"] = [
        {"translation": [10, 0, 0], "children": [1]},
        {"rotation": [0, half, 0, half], "scale": [2, 1, 1], "mesh": mesh},  # a quarter turn: +x to -z
    ]
    found = b.read().mesh
    assert torch.allclose(found.vertices, torch.tensor([[10.0, 0, 0], [10, 0, -2], [10, 1, 0]]), atol=1e-6)


def test_matrices_are_stored_column_by_column() -> None:
    b = Builder()
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    b.json["nodes"] = [{"matrix": matrix.T.reshape(-1).tolist(), "mesh": b.mesh()}]
    assert b.read().mesh.vertices[0].tolist() == [1, 2, 3]


@given(
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.2),
    st.tuples(*[st.floats(0.25, 4.0)] * 3),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_any_transform_moves_points_and_keeps_normals_upright(
    quaternion: tuple, sizes: tuple, signs: tuple, translation: tuple
) -> None:
    """scipy's rotations are the oracle; the reader's normal is the one of the moved triangle's own winding."""
    rotation = Rotation.from_quat(quaternion)  # x, y, z, w as in glTF
    scale = np.array(sizes) * signs
    tilted = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype="<f4")
    normals = np.full((3, 3), 3**-0.5, dtype="<f4")
    b = Builder()
    node = {
        "rotation": rotation.as_quat().tolist(),
        "scale": scale.tolist(),
        "translation": list(translation),
    }
    b.json["nodes"] = [{**node, "mesh": b.mesh(tilted, NORMAL=normals)}]
    found = b.read().mesh
    assert np.allclose(found.vertices, rotation.apply(tilted * scale) + translation, atol=1e-5)
    p, q, r = found.vertices[found.faces[0]].double().numpy()
    outward = np.cross(q - p, r - p)
    assert np.allclose(found.normals[0], outward / np.linalg.norm(outward), atol=1e-4)


def test_only_the_default_scene_is_read() -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh()}, {"mesh": b.mesh(TRIANGLE + 5)}]
    b.json["scenes"] = [{"nodes": [0]}, {"nodes": [1]}]
    b.json["scene"] = 1
    found = b.read().mesh
    assert len(found.faces) == 1
    assert found.vertices[0].tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    ("mode", "faces"), [(4, [[0, 1, 2]]), (5, [[0, 1, 2], [1, 3, 2]]), (6, [[0, 1, 2], [0, 2, 3]])]
)
def test_strips_and_fans(mode: int, faces: list[list[int]]) -> None:
    b = Builder()
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype="<f4")
    b.json["nodes"] = [{"mesh": b.mesh(square, mode=mode)}]
    assert b.read().mesh.faces.tolist() == faces


def test_points_become_a_point_cloud() -> None:
    b = Builder()
    colors = np.array([[1, 0, 0], [0, 0.21404114, 0], [0, 0, 1]], dtype="<f4")
    b.json["nodes"] = [{"mesh": b.mesh(mode=0, COLOR_0=colors)}]
    found = b.read()
    assert found.mesh is None
    assert found.points.colors[1].tolist() == pytest.approx([0, 0.5, 0], abs=1e-6)


def test_sparse_and_interleaved_and_normalised_accessors() -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh()}]
    index, value = b.view(np.array([1], dtype="<u2")), b.view(np.array([[9, 9, 9]], dtype="<f4"))
    b.json["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": index, "componentType": 5123},
        "values": {"bufferView": value},
    }
    assert b.read().mesh.vertices.tolist() == [[0, 0, 0], [9, 9, 9], [0, 1, 0]]

    b = Builder()
    mixed = np.zeros((3, 4), dtype="<f4")
    mixed[:, :3] = TRIANGLE
    b.json["nodes"] = [{"mesh": b.mesh(), "scale": [2, 2, 2]}]
    b.json["accessors"][0]["bufferView"] = b.view(mixed, stride=16)
    assert b.read().mesh.vertices.tolist() == (2 * TRIANGLE).tolist()

    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh((TRIANGLE * 32767).astype("<i2"))}]
    b.json["accessors"][0]["normalized"] = True
    assert b.read().mesh.vertices.tolist() == TRIANGLE.tolist()


def test_materials_multiply_in_linear_light() -> None:
    b = Builder()
    half = np.full((3, 3), 0.5, dtype="<f4")
    b.json["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 0, 1]}}]
    b.json["nodes"] = [{"mesh": b.mesh(COLOR_0=half, material=0)}]
    color = b.read().mesh.colors[0]
    # 0.25 and 0.5 linear are 0.5371 and 0.7354 in sRGB
    assert color.tolist() == pytest.approx([0.53710, 0.73536, 0.0], abs=1e-4)


def textured(transform: dict | None = None, factor: list[float] | None = None) -> Builder:
    """A triangle with uv in three corners of a 2 x 2 texture: red green / blue white, nearest to texel centres."""
    b = Builder()
    uv = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75]], dtype="<f4")
    mesh = tetrahedron()
    pixels = torch.tensor([[[1.0, 0], [0, 1]], [[0, 1], [0, 1]], [[0, 0], [1, 1]]])
    glb = encode_glb(Mesh(mesh.vertices, mesh.faces, uv=torch.zeros(4, 2), texture=pixels))
    png = glb[glb.index(b"\x89PNG") :]
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    b.json |= {"images": [{"uri": uri}], "textures": [{"source": 0}]}
    reference: dict = {"index": 0}
    if transform:
        reference["extensions"] = {"KHR_texture_transform": transform}
    surface: dict = {"baseColorTexture": reference}
    if factor:
        surface["baseColorFactor"] = factor
    b.json["materials"] = [{"pbrMetallicRoughness": surface}]
    b.json["nodes"] = [{"mesh": b.mesh(TEXCOORD_0=uv, material=0)}]
    return b


def test_textures_are_sampled_and_kept() -> None:
    found = textured().read().mesh
    assert found.colors.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "uv (0, 0) is the top left"
    assert found.texture.shape == (3, 2, 2)
    assert found.uv[1].tolist() == [0.75, 0.25]


def test_a_tinted_texture_is_kept_with_its_tint() -> None:
    found = textured(factor=[0, 1, 1, 1]).read().mesh
    assert found.colors.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
    plain = textured().read().mesh.texture
    assert torch.equal(found.texture[0], torch.zeros(2, 2))
    assert torch.allclose(found.texture[1:], plain[1:], atol=1e-6)


def test_texture_transforms() -> None:
    assert textured({"offset": [0.5, 0]}).read().mesh.colors[0].tolist() == [0, 1, 0]
    assert textured({"scale": [3, 1]}).read().mesh.colors[0].tolist() == [0, 1, 0]
    # a quarter turn about the top left corner: (u, v) goes to (v, -u), which wraps to (v, 1 - u)
    turned = textured({"rotation": float(np.pi / 2)}).read().mesh
    assert np.allclose(turned.colors.tolist(), [[0, 0, 1], [1, 0, 0], [1, 1, 1]], atol=1e-3)


def test_parts_with_and_without_colours_merge() -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh()}, {"mesh": b.mesh(TRIANGLE + 2, COLOR_0=np.zeros((3, 3), "<f4"))}]
    found = b.read().mesh
    assert found.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.colors.tolist() == [[1, 1, 1]] * 3 + [[0, 0, 0]] * 3


def test_what_is_left_out_is_noted() -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh(material=0)}, {"mesh": b.mesh(mode=1)}, {"mesh": b.mesh(mode=0)}]
    b.json["materials"] = [{"alphaMode": "BLEND"}]
    b.json["animations"] = [{}]
    assert b.read().notes == (
        "animations were left out",
        "transparency was left out",
        "lines were left out",
        "points were left out",
    )


def test_external_buffers_are_read(tmp_path: Path) -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh()}]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a b.bin").write_bytes(b.bytes)
    b.json["buffers"] = [{"byteLength": len(b.bytes), "uri": "parts/a%20b.bin"}]
    (tmp_path / "m.gltf").write_text(json.dumps(b.json))
    assert assetio.read(tmp_path / "m.gltf").mesh.vertices.tolist() == TRIANGLE.tolist()


def test_glb_can_be_lit() -> None:
    data = encode_glb(tetrahedron(), unlit=False)
    assert b"KHR_materials_unlit" not in data
    assert b'"metallicFactor":0.0' in data


def test_glb_layout() -> None:
    data = encode_glb(tetrahedron())
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    assert document["asset"] == {"version": "2.0", "generator": "sds3d"}
    assert document["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert document["accessors"][0]["max"] == [1, 1, 1]
    color = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = 28 + size + document["bufferViews"][color["bufferView"]]["byteOffset"]
    grey = struct.unpack_from("<4H", data, start + 3 * 8)
    assert grey == (14027, 14027, 14027, 65535), "0.5 sRGB is 0.21404 linear"


@pytest.mark.skipif(not MODELS.is_dir(), reason="the models of ../shared/data are not here")
def test_real_models_all_load() -> None:
    assert len(models()) == 67
    for path in models():
        mesh = assetio.read(path).mesh
        assert mesh.texture is not None, path.name
        assert mesh.normals is not None, path.name
        assert mesh.colors.std(0).max() > 0, f"{path.name} has more than one colour"


@pytest.mark.skipif(not MODELS.is_dir(), reason="the models of ../shared/data are not here")
@pytest.mark.parametrize("path", models()[::5], ids=lambda p: p.name)
def test_real_models_load_as_trimesh_loads_them(path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = assetio.read(path).mesh
    other = trimesh.load(path, force="mesh", process=False)
    assert len(mesh.faces) == len(other.faces)
    theirs = other.visual.to_color().vertex_colors[:, :3] / 255
    near = cKDTree(other.vertices).query_ball_point(mesh.vertices.numpy(), 1e-5)
    assert all(near), "every vertex stands where trimesh has one"
    pairs = zip(mesh.colors.numpy(), near, strict=True)
    difference = [np.abs(theirs[rows] - color).max(1).min() for color, rows in pairs]
    assert np.quantile(difference, 0.9) < 0.05, "nearest texel there, bilinear here"


@pytest.mark.skipif(not MODELS.is_dir(), reason="the models of ../shared/data are not here")
@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("firehydrant.gltf", 0),
        ("bottle_A_green.gltf.glb", 1),
        ("armchair.gltf", 2),
        ("vehicle-truck-red.glb", 0),
    ],
)
def test_real_models_have_the_colours_of_their_names(name: str, channel: int) -> None:
    path = next(p for p in models() if p.name == name)
    mean = assetio.read(path).mesh.colors.mean(0)
    assert int(mean.argmax()) == channel


@pytest.fixture(scope="session")
def validator() -> Path:
    """The folder of the npm package gltf-validator."""
    homes = [Path(os.environ.get("SDS3D_GLTF_VALIDATOR", "/nonexistent")), ROOT]
    for home in homes:
        if (home / "node_modules" / "gltf-validator").is_dir() and shutil.which("node"):
            return home / "node_modules" / "gltf-validator"
    pytest.skip("gltf-validator is not installed; the head of this file says how")


def issues(validator: Path, files: list[Path]) -> dict[str, dict]:
    command = ["node", "-e", VALIDATE, str(validator), *map(str, files)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, timeout=120).stdout)


@given(st.lists(meshes(), min_size=20, max_size=20), st.lists(meshes(textured=True), min_size=5, max_size=5))
@settings(max_examples=1)
def test_khronos_validator_finds_nothing(
    validator: Path, tmp_path_factory: pytest.TempPathFactory, plain: list[Mesh], with_texture: list[Mesh]
) -> None:
    folder = tmp_path_factory.mktemp("validate")
    files = []
    for index, mesh in enumerate([tetrahedron(), *plain, *with_texture]):
        files += assetio.write(mesh, folder / f"{index}.glb")
    for file, found in issues(validator, files).items():
        serious = [
            m
            for m in found["messages"]
            if m["severity"] < 2 and m["code"] != "ACCESSOR_INDEX_TRIANGLE_DEGENERATE"
        ]
        assert not found["numErrors"], (file, found["messages"][:3])
        assert not serious, (file, serious[:3])


@pytest.mark.skipif(not MODELS.is_dir(), reason="the models of ../shared/data are not here")
def test_khronos_validator_passes_rewritten_models(validator: Path, tmp_path: Path) -> None:
    files = []
    for index, path in enumerate(models()[::5]):
        files += assetio.write(assetio.read(path).mesh, tmp_path / f"{index}.glb")
    for file, found in issues(validator, files).items():
        assert found["numErrors"] == found["numWarnings"] == 0, (file, found["messages"][:3])


def test_validator_would_notice(validator: Path, tmp_path: Path) -> None:
    """The negative control: unnormalised bounds are an error that the tests above would show."""
    data = encode_glb(tetrahedron()).replace(b'"max":[1.0,1.0,1.0]', b'"max":[1.0,2.0,1.0]')
    (tmp_path / "wrong.glb").write_bytes(data)
    assert next(iter(issues(validator, [tmp_path / "wrong.glb"]).values()))["numErrors"] == 1
