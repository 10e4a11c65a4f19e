"""Every writer has a reader: positions, texture coordinates, textures, axes, colour space, provenance come back."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import finished_meshes, provenances, splats, tetrahedron, two_splats
from hypothesis import given
from hypothesis import strategies as st

from sds3d import assetio
from sds3d.assetio.gltf_read import decode_gltf
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.ply import decode_ply
from sds3d.assetio.ply_compressed import encode_compressed, z_order
from sds3d.assetio.quaternions import from_smallest_three, smallest_three
from sds3d.assetio.splat import SH_C0, decode_splat, encode_splat
from sds3d.assetio.spz import decode_spz, encode_spz
from sds3d.assetio.stl import decode_stl, encode_stl, is_binary
from sds3d.assetio.usd_read import decode_usd
from sds3d.assetio.usd_write import encode_usdz
from sds3d.core.assets import Material, Mesh, Picture, Scene, Sound, Splats
from sds3d.core.errors import AssetError

HERE = Path("asset")
HALF_BYTE = 0.5 / 255 + 1e-6


def same_pictures(a: torch.Tensor | None, b: torch.Tensor | None) -> None:
    assert (a is None) == (b is None)
    if a is not None and b is not None:
        assert a.shape == b.shape
        assert (a - b).abs().max() <= HALF_BYTE


def same_mesh(a: Mesh, b: Mesh | None) -> None:
    """All that a format with textures keeps; vertex colours of a textured mesh are its texture's."""
    assert b is not None
    assert torch.equal(a.vertices, b.vertices)
    assert torch.equal(a.faces, b.faces)
    assert (a.normals is None) == (b.normals is None)
    if a.normals is not None and b.normals is not None:
        assert torch.allclose(a.normals, b.normals, atol=1e-6)
    assert (a.uv is None) == (b.uv is None)
    if a.uv is not None and b.uv is not None:
        assert torch.allclose(a.uv, b.uv, atol=1e-6)
    same_pictures(a.texture, b.texture)
    if a.texture is None and a.colors is not None and b.colors is not None:
        assert (a.colors - b.colors).abs().max() <= HALF_BYTE
    assert (a.material is None) == (b.material is None)
    if a.material is not None and b.material is not None:
        same_pictures(a.material.metallic_roughness, b.material.metallic_roughness)
        same_pictures(a.material.normal, b.material.normal)
        if a.material.metallic_roughness is None:
            assert b.material.metallic == pytest.approx(a.material.metallic, abs=1e-6)
            assert b.material.roughness == pytest.approx(a.material.roughness, abs=1e-6)


@given(finished_meshes(), provenances)
def test_glb_returns_texture_material_and_provenance(mesh: Mesh, origin: dict[str, str]) -> None:
    scene = decode_gltf(encode_glb(mesh, provenance=origin), HERE)
    same_mesh(mesh, scene.mesh)
    assert scene.provenance == origin


@given(finished_meshes(), provenances)
def test_usdz_returns_texture_material_and_provenance(mesh: Mesh, origin: dict[str, str]) -> None:
    scene = decode_usd(encode_usdz(mesh, origin), HERE)
    same_mesh(mesh, scene.mesh)
    assert scene.provenance == origin


@given(finished_meshes(), provenances)
def test_obj_returns_texture_material_and_provenance(
    tmp_path_factory: pytest.TempPathFactory, mesh: Mesh, origin: dict[str, str]
) -> None:
    path = assetio.write(mesh, tmp_path_factory.mktemp("obj") / "a.obj", provenance=origin)[-1]
    scene = assetio.read(path)
    same_mesh(mesh, scene.mesh)
    assert scene.provenance == origin


@given(finished_meshes())
def test_stl_returns_the_triangles(mesh: Mesh) -> None:
    back = decode_stl(encode_stl(mesh), HERE).mesh
    assert back is not None
    assert torch.equal(back.vertices[back.faces], mesh.vertices[mesh.faces] + 0.0)
    assert len(torch.unique(back.vertices, dim=0)) == len(back.vertices), (
        "corners at one place are one vertex"
    )


def test_stl_stands_upright_for_printers_and_faces_them() -> None:
    up_and_front = Mesh(torch.tensor([[0.0, 0, 0], [0, 2, 0], [0, 0, 3]]), torch.tensor([[0, 1, 2]]))
    rows = np.frombuffer(encode_stl(up_and_front), "<f4", 12, 84)
    assert rows.reshape(4, 3)[1:].tolist() == [[0, 0, 0], [0, 0, 2], [0, -3, 0]]
    assert rows.reshape(4, 3)[0].tolist() == [1, 0, 0], "its normal follows the corners' order"


def test_ascii_stl() -> None:
    corners = b"vertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
    text = b"solid t\nfacet normal 0 0 1\nouter loop\n" + corners + b"endloop\nendfacet\nendsolid t\n"
    assert not is_binary(text)
    mesh = decode_stl(text, HERE).mesh
    assert mesh is not None
    assert mesh.vertices[mesh.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, -1]]
    with pytest.raises(AssetError, match="three vertices"):
        decode_stl(text.replace(b"vertex 1 0 0\n", b""), HERE)
    with pytest.raises(AssetError, match="no number"):
        decode_stl(text.replace(b"1 0 0\n", b"1 x 0\n"), HERE)


def sorted_rows(splats: Splats) -> np.ndarray:
    return np.argsort(splats.means.numpy()[:, 0], kind="stable")


def same_splats(a: Splats, b: Splats, scale: float, turn: float, means: float, dc: float) -> None:
    """Means to `means`, scales to a factor of 1 + `scale`, rotation matrices' quaternions to `turn`, dc to `dc`."""
    assert (a.means - b.means).abs().max() <= means
    assert ((a.scales / b.scales).log()).abs().max() <= scale
    cosine = (a.rotations * b.rotations).sum(1).abs().clamp(max=1)
    assert (1 - cosine).max() <= turn
    assert (a.opacities - b.opacities).abs().max() <= HALF_BYTE
    assert (a.sh[:, 0] - b.sh[:, 0]).abs().max() <= dc


def tame(found: Splats) -> Splats:
    """Colours within [0, 1] and places within reach, which the small formats ask for; every splat at its own place."""
    count = len(found.means)
    return replace(
        found,
        means=torch.arange(count * 3).reshape(count, 3) * 0.125 - 1,
        sh=torch.cat([(found.sh[:, :1].sigmoid() - 0.5) / SH_C0, found.sh[:, 1:].clamp(-0.99, 0.99)], dim=1),
        scales=found.scales.clamp(1e-4, 100),
    )


@given(splats().map(tame))
def test_splat_files_return_the_splats(original: Splats) -> None:
    back = decode_splat(encode_splat(original), HERE)
    order = sorted_rows(back)
    back = replace(
        back, **{k: getattr(back, k)[order] for k in ("means", "scales", "rotations", "opacities", "sh")}
    )
    same_splats(original, back, scale=1e-6, turn=1e-3, means=0.0, dc=HALF_BYTE / SH_C0)


@given(splats().map(tame))
def test_spz_returns_the_splats(original: Splats) -> None:
    back = decode_spz(encode_spz(original), HERE)
    same_splats(original, back, scale=1 / 32 + 1e-6, turn=2e-5, means=2.0**-20, dc=0.5 / 255 / 0.15 + 1e-6)
    assert back.sh.shape == original.sh.shape
    assert (
        (back.sh[:, 1:] - original.sh[:, 1:]).abs().max().item() <= 0.5 / 128 + 1e-6
        if back.sh_degree
        else True
    )


@given(splats().map(tame))
def test_compressed_ply_returns_the_splats(original: Splats) -> None:
    back = decode_ply(encode_compressed(original), HERE).splats
    assert back is not None
    order = sorted_rows(back)
    back = replace(
        back, **{k: getattr(back, k)[order] for k in ("means", "scales", "rotations", "opacities", "sh")}
    )
    span = float(np.ptp(original.means.numpy()))
    same_splats(
        original, back, scale=14 / 2046 + 1e-5, turn=1e-5, means=span / 2046 + 1e-6, dc=0.51 / 255 / SH_C0
    )
    if back.sh_degree:
        assert (back.sh[:, 1:] - original.sh[:, 1:]).abs().max() <= 4 / 256 + 1e-6


def test_spz_and_splat_hold_what_their_makers_say() -> None:
    """Fields at the bytes where the published layouts put them."""
    body = zlib.decompress(encode_spz(two_splats()), 31)
    assert struct.unpack_from("<IIIBBBB", body) == (0x5053474E, 3, 2, 1, 20, 0, 0)
    x, y, z = (int.from_bytes(body[25 + 3 * i : 28 + 3 * i], "little", signed=True) for i in range(3))
    assert (x, y, z) == (1 << 20, 2 << 20, 3 << 20)
    assert list(body[34:36]) == [64, 255], "opacities"
    assert body[36] == round((0.0 * 0.15 + 0.5) * 255), "colours, 0.15 a unit"
    assert body[42] == round((np.log(0.1) + 10) * 16), "log scales in sixteenths from -10"
    first = encode_splat(two_splats())[32:]
    assert struct.unpack_from("<6f", first)[:3] == (0, 0, 0), "the small one comes last"
    assert first[24:28] == bytes(
        [128, round((0.5 + SH_C0 * 0.1) * 255), round((0.5 + SH_C0 * 0.2) * 255), 64]
    )
    assert first[28:] == bytes([255, 128, 128, 128])


def test_old_spz_rotations() -> None:
    header = struct.pack("<IIIBBBB", 0x5053474E, 2, 1, 0, 12, 0, 0)
    row = bytes(9) + bytes([255]) + bytes([128] * 3) + bytes([160] * 3) + bytes([255, 128, 128])
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    back = decode_spz(packer.compress(header + row) + packer.flush(), HERE)
    assert back.rotations[0].tolist() == pytest.approx([0.0, 1.0, 0.0, 0.0], abs=0.01)
    assert back.scales[0].tolist() == [1.0] * 3


@given(splats())
def test_the_smallest_three_are_enough(found: Splats) -> None:
    unit = found.rotations.double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    largest, rest = smallest_three(unit)
    assert (np.abs(rest) <= 0.5**0.5 + 1e-12).all()
    assert np.allclose(np.abs((from_smallest_three(largest, rest) * unit).sum(1)), 1.0)


def test_z_order_keeps_neighbours_together() -> None:
    cell = np.stack(np.meshgrid(*[np.arange(8.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    ordered = cell[z_order(cell)].reshape(64, 8, 3)
    assert (np.ptp(ordered, axis=1) == 1).all(), "each run of eight is a cube of two cells an axis"


def test_usdz_is_a_stored_archive_aligned_to_64_bytes() -> None:
    mesh = replace(tetrahedron(), colors=None, uv=torch.rand(4, 2), texture=torch.rand(3, 4, 4))
    data = encode_usdz(mesh)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        assert entries[0].filename.endswith(".usda"), "the layer comes first"
        for entry in entries:
            name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert data == encode_usdz(mesh)


@pytest.mark.parametrize("lit", [True, False])
def test_usd_of_another_maker(tmp_path: Path, lit: bool) -> None:
    """Z up, centimetres, quads, turned, one colour, texture coordinates a corner."""
    text = """#usda 1.0
( upAxis = "Z" doc = "someone's" )
# a comment { that "means nothing
def Xform "World" {
    double3 xformOp:translate = (0, 0, 100)
    float xformOp:rotateZ = 90
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateZ"]
    def Mesh "Quad" (prepend apiSchemas = ["MaterialBindingAPI"]) {
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        point3f[] points = [(0, 0, 0), (100, 0, 0), (100, 100, 0), (0, 100, 0)]
        texCoord2f[] primvars:st = [(0, 0), (1, 1)] ( interpolation = "faceVarying" )
        int[] primvars:st:indices = [0, 1, 1, 0]
        rel material:binding = </World/Red>
        custom string note = "a } brace" }
    def Material "Red" {
        token outputs:surface.connect = </World/Red/S.outputs:surface>
        def Shader "S" {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (1, 0, 0)
            float inputs:roughness = 0.25
            token outputs:surface } } }
"""
    path = tmp_path / "a.usda"
    path.write_text(text if lit else text.replace("rel material:binding", "rel other:binding"))
    mesh = assetio.read(path).mesh
    assert mesh is not None
    corner = mesh.vertices[mesh.faces].reshape(-1, 3)
    expected = torch.tensor([[0.0, 1, 0], [0, 1, -1], [-1, 1, -1], [0, 1, 0], [-1, 1, -1], [-1, 1, 0]])
    assert torch.allclose(corner, expected, atol=1e-6)
    assert mesh.uv is not None
    assert mesh.uv[mesh.faces[0]].tolist() == [[0, 1], [1, 0], [1, 0]]
    if lit:
        assert mesh.material == Material(0.0, 0.25)
        assert mesh.colors is not None
        assert mesh.colors.tolist() == [[1, 0, 0]] * len(mesh.vertices)


def test_openusd_finds_nothing_wrong(tmp_path: Path) -> None:
    validation = pytest.importorskip("pxr.UsdValidation")
    usd, geometry = pytest.importorskip("pxr.Usd"), pytest.importorskip("pxr.UsdGeom")
    uv = torch.rand(4, 2)
    material = Material(0.2, 0.4, torch.rand(2, 4, 4), torch.rand(3, 4, 4))
    textured = replace(tetrahedron(), colors=None, uv=uv, texture=torch.rand(3, 4, 4))
    validators = validation.ValidationRegistry().GetOrLoadAllValidators()
    for index, mesh in enumerate((tetrahedron(), textured, replace(textured, material=material))):
        path = assetio.write(mesh, tmp_path / f"{index}.usdz", provenance={"prompt": "x"})[-1]
        stage = usd.Stage.Open(str(path))
        found = validation.ValidationContext(validators).Validate(stage)
        assert not [error.GetMessage() for error in found]
        assert geometry.GetStageUpAxis(stage) == "Y"
        points = geometry.Mesh(stage.GetPrimAtPath("/Asset/Mesh")).GetPointsAttr().Get()
        assert np.array_equal(np.array(points), mesh.vertices.numpy())


def test_binary_usd_is_read_through_openusd(tmp_path: Path) -> None:
    sdf = pytest.importorskip("pxr.Sdf")
    (tmp_path / "a.usda").write_bytes(
        zipfile.ZipFile(io.BytesIO(encode_usdz(tetrahedron()))).read("asset.usda")
    )
    sdf.Layer.FindOrOpen(str(tmp_path / "a.usda")).Export(str(tmp_path / "b.usdc"))
    same_mesh(replace(tetrahedron(), name="b"), assetio.read(tmp_path / "b.usdc").mesh)


@given(provenances)
def test_png_and_ply_keep_provenance(
    tmp_path_factory: pytest.TempPathFactory, origin: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("origin")
    picture = Picture(torch.rand(3, 2, 3))
    for asset, name in (
        (picture, "a.png"),
        (tetrahedron(), "a.ply"),
        (two_splats(), "a.3dgs.ply"),
        (two_splats(), "b.compressed.ply"),
    ):
        path = assetio.write(asset, folder / name, provenance=origin)[-1]
        assert assetio.read(path).provenance == origin, name


@pytest.mark.parametrize(
    ("name", "value"), [("Prompt", "x"), ("a b", "x"), ("prompt", "x" * 5000), ("prompt", "a\0b")]
)
def test_provenance_is_short_text(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(AssetError, match="provenance"):
        assetio.write(tetrahedron(), tmp_path / "a.glb", provenance={name: value})


def test_foreign_extras_are_no_provenance() -> None:
    data = encode_glb(tetrahedron(), provenance={"prompt": "good"})
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    for extras in (None, 7, {"sds3d": 7}, {"sds3d": {"prompt": 7, "BAD": "x", "seed": "1"}}):
        document["asset"]["extras"] = extras
        text = json.dumps(document).encode().ljust(size + 64)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + data[20 + size :]
        scene: Scene = decode_gltf(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks, HERE)
        assert set(scene.provenance) <= {"seed"}


@given(st.sampled_from(sorted(assetio.KINDS)), provenances)
def test_equal_assets_give_equal_files(
    tmp_path_factory: pytest.TempPathFactory, kind: str, origin: dict[str, str]
) -> None:
    asset = next(
        a
        for a in (
            tetrahedron(),
            two_splats(),
            Picture(torch.ones(3, 2, 2) / 3),
            Sound(torch.ones(1, 9) / 3, 8000),
        )
        if kind in assetio.kinds_for(a)
    )
    written = []
    for _ in range(2):
        path = tmp_path_factory.mktemp("twin") / f"a{assetio.KINDS[kind]}"
        written.append([f.read_bytes() for f in assetio.write(asset, path, kind, provenance=origin)])
    assert written[0] == written[1]
