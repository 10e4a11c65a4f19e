"""What is written is read back the same, by sds3d and by the libraries that others use."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import meshes, point_clouds, splats, tetrahedron, two_splats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sds3d import assetio
from sds3d.assetio.color import linear_to_srgb, srgb_to_linear, to_bytes
from sds3d.assetio.gltf_read import decode_gltf
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.kinds import kind_of
from sds3d.assetio.obj_read import decode_obj
from sds3d.assetio.obj_write import encode_obj
from sds3d.assetio.ply import decode_ply, encode_ply
from sds3d.assetio.splats import encode_splats
from sds3d.core.assets import Mesh, PointCloud, Splats
from sds3d.core.errors import AssetError

HERE = Path("asset")


def same_geometry(a: Mesh, b: Mesh) -> None:
    assert torch.equal(a.vertices, b.vertices)
    assert torch.equal(a.faces, b.faces)
    for name in ("normals", "colors"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
    if a.colors is not None and b.colors is not None:
        assert (a.colors - b.colors).abs().max() <= 0.5 / 255 + 1e-6
    if a.normals is not None and b.normals is not None:
        assert torch.allclose(a.normals, b.normals, atol=1e-6)


@given(meshes())
def test_glb_returns_the_mesh(mesh: Mesh) -> None:
    back = decode_gltf(encode_glb(mesh), HERE).mesh
    assert back is not None
    same_geometry(mesh, back)
    if mesh.colors is not None:
        assert (mesh.colors - back.colors).abs().max() < 1e-3, (
            "16 bits of linear light keep more than a byte of sRGB"
        )


@given(meshes())
def test_ply_returns_the_mesh(mesh: Mesh) -> None:
    back = decode_ply(encode_ply(mesh), HERE).mesh
    assert back is not None
    same_geometry(mesh, back)


@given(meshes())
def test_obj_returns_the_mesh(mesh: Mesh) -> None:
    back = decode_obj(encode_obj(mesh, HERE)[HERE], HERE).mesh
    assert back is not None
    same_geometry(mesh, back)


@given(meshes(textured=True), st.sampled_from(["glb", "obj"]))
def test_textures_return(tmp_path_factory: pytest.TempPathFactory, mesh: Mesh, kind: str) -> None:
    path = tmp_path_factory.mktemp("textured") / f"model.{kind}"
    written = assetio.write(mesh, path, kind)
    assert written[-1] == path
    assert len(written) == (3 if kind == "obj" else 1)
    back = assetio.read(path).mesh
    assert back is not None
    assert torch.equal(back.vertices, mesh.vertices)
    assert torch.equal(back.faces, mesh.faces)
    assert torch.equal(back.texture, mesh.texture), "PNG is lossless"
    assert torch.allclose(back.uv, mesh.uv, atol=1e-6)


@given(point_clouds())
def test_ply_returns_the_points(cloud: PointCloud) -> None:
    back = decode_ply(encode_ply(cloud), HERE).points
    assert back is not None
    assert torch.equal(back.points, cloud.points)
    assert (cloud.colors is None) == (back.colors is None)
    if cloud.colors is not None:
        assert (cloud.colors - back.colors).abs().max() <= 0.5 / 255 + 1e-6


@given(splats())
def test_splat_ply_returns_the_splats(original: Splats) -> None:
    back = decode_ply(encode_splats(original), HERE).splats
    assert back is not None
    assert torch.equal(back.means, original.means)
    assert torch.equal(back.sh, original.sh)
    assert torch.allclose(back.scales, original.scales, rtol=2e-6)
    assert torch.allclose(back.opacities, original.opacities, atol=2e-7)
    assert torch.allclose(back.rotations, original.rotations, atol=1e-6)


@given(splats())
def test_splat_ply_reads_what_gsplat_writes(original: Splats) -> None:
    exporter = pytest.importorskip("gsplat.exporter")
    data = exporter.export_splats(
        original.means,
        original.scales.log(),
        original.rotations,
        torch.logit(original.opacities, eps=1e-6),
        original.sh[:, :1],
        original.sh[:, 1:],
        format="ply",
    )
    back = decode_ply(data, HERE).splats
    assert back is not None
    assert torch.equal(back.means, original.means)
    assert torch.equal(back.sh, original.sh)
    assert torch.allclose(back.scales, original.scales, rtol=2e-6)
    assert torch.allclose(back.opacities, original.opacities, atol=2e-6)


def test_splat_ply_has_the_columns_of_the_3dgs_release() -> None:
    plyfile = pytest.importorskip("plyfile")
    original = two_splats()
    vertex = plyfile.PlyData.read(io.BytesIO(encode_splats(original)))["vertex"]
    names = [p.name for p in vertex.properties]
    rest = [f"f_rest_{i}" for i in range(9)]
    tail = ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert names == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, *tail]
    # channel-major: all red coefficients first
    assert vertex["f_rest_0"][1] == pytest.approx(float(original.sh[1, 1, 0]))
    assert vertex["f_rest_1"][1] == pytest.approx(float(original.sh[1, 2, 0]))
    assert vertex["f_rest_3"][1] == pytest.approx(float(original.sh[1, 1, 1]))
    assert vertex["opacity"][0] == pytest.approx(np.log(0.25 / 0.75))
    assert vertex["scale_2"][0] == pytest.approx(np.log(0.3))
    assert [float(vertex[f"rot_{i}"][1]) for i in range(4)] == [0.5, 0.5, -0.5, 0.5]
    assert np.isfinite(vertex["opacity"]).all(), "opacity 1 has a finite logit on disk"


@given(meshes())
def test_plyfile_and_sds3d_agree(mesh: Mesh) -> None:
    plyfile = pytest.importorskip("plyfile")
    data = plyfile.PlyData.read(io.BytesIO(encode_ply(mesh)))
    assert np.array_equal(np.stack([data["vertex"][a] for a in "xyz"], 1), mesh.vertices.numpy())
    assert np.array_equal(np.stack(list(data["face"]["vertex_indices"])), mesh.faces.numpy())
    for text in (True, False):
        for order in "<>":
            out = io.BytesIO()
            plyfile.PlyData(data.elements, text=text, byte_order="=" if text else order).write(out)
            back = decode_ply(out.getvalue(), HERE).mesh
            assert back is not None
            same_geometry(mesh, back)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_trimesh_imports_what_is_written(kind: str, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = tetrahedron()
    path = assetio.write(mesh, tmp_path / f"t.{kind}", kind)[-1]
    other = trimesh.load(path, force="mesh", process=False)
    assert np.array_equal(np.asarray(other.vertices, np.float32), mesh.vertices.numpy())
    assert np.array_equal(other.faces, mesh.faces.numpy())
    assert other.volume == pytest.approx(1 / 6), "faces look outwards"


@given(meshes())
def test_equal_assets_give_equal_bytes(mesh: Mesh) -> None:
    twin = Mesh(mesh.vertices.clone(), mesh.faces.clone(), mesh.colors, mesh.normals, name=mesh.name)
    assert encode_glb(mesh) == encode_glb(twin)
    assert encode_ply(mesh) == encode_ply(twin)
    assert encode_obj(mesh, HERE) == encode_obj(twin, HERE)
    assert str(Path.cwd()).encode() not in encode_glb(mesh)


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(0, 1)))
def test_srgb_and_linear_are_inverse(values: np.ndarray) -> None:
    assert np.allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)
    assert np.allclose(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-7)
    assert (srgb_to_linear(values) <= values + 1e-12).all(), "the transfer curve lies below the diagonal"


def test_srgb_has_the_published_values() -> None:
    assert srgb_to_linear(np.array([0.0, 0.04045, 0.5, 1.0])) == pytest.approx(
        [0, 0.0031308, 0.21404, 1], abs=1e-5
    )
    assert to_bytes(np.array([-1.0, 0.0, 0.5, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]


def test_existing_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mine.glb"
    assetio.write(tetrahedron(), path)
    before = path.read_bytes()
    smaller = Mesh(tetrahedron().vertices, tetrahedron().faces[:1])
    with pytest.raises(AssetError, match=r"mine\.glb: exists already"):
        assetio.write(smaller, path)
    assert path.read_bytes() == before
    assetio.write(smaller, path, overwrite=True)
    assert path.read_bytes() != before
    assert [p.name for p in path.parent.iterdir()] == ["mine.glb"], "no temporary file stays"


def test_an_obj_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    textured = Mesh(
        tetrahedron().vertices,
        tetrahedron().faces,
        uv=torch.rand(4, 2),
        texture=torch.ones(3, 2, 2),
        name="t",
    )
    (tmp_path / "t.mtl").write_text("mine")
    with pytest.raises(AssetError, match=r"t\.mtl"):
        assetio.write(textured, tmp_path / "t.obj")
    assert [p.name for p in tmp_path.iterdir()] == ["t.mtl"]


def test_kinds_and_names() -> None:
    assert [kind_of(f"a/b{suffix}") for suffix in assetio.KINDS.values()] == list(assetio.KINDS)
    with pytest.raises(AssetError, match=r"model\.fbx"):
        kind_of("model.fbx")


@pytest.mark.parametrize(
    ("asset", "kind", "reason"),
    [
        (tetrahedron(), "3dgs", "write it as glb or obj or usdz or stl or ply"),
        (two_splats(), "glb", "write it as 3dgs or compressed or splat or spz"),
        (PointCloud(torch.zeros(1, 3)), "obj", "write it as ply"),
        (tetrahedron(), "fbx", "unknown format 'fbx'"),
        (Mesh(torch.full((3, 3), float("nan")), torch.tensor([[0, 1, 2]])), "glb", "vertices row 0"),
        (Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 3]])), "ply", "face 0 refers to vertices"),
        (Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)), "obj", "no faces"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path: Path, asset: object, kind: str, reason: str) -> None:
    with pytest.raises(AssetError, match=reason):
        assetio.write(asset, tmp_path / "x", kind)
    assert not list(tmp_path.iterdir())


def test_describe(tmp_path: Path) -> None:
    glb = assetio.describe(assetio.write(tetrahedron(), tmp_path / "t.glb")[-1])
    assert glb["mesh"] == {
        "vertices": 4,
        "faces": 4,
        "low": [0.0, 0.0, 0.0],
        "high": [1.0, 1.0, 1.0],
        "watertight": True,
        "colors": True,
        "normals": False,
        "texture": None,
        "material": None,
    }
    ply = assetio.describe(assetio.write(two_splats(), tmp_path / "t.3dgs.ply")[-1])
    assert ply["splats"]["count"] == 2
    assert ply["splats"]["sh_degree"] == 1
    assert ply["bytes"] == (tmp_path / "t.3dgs.ply").stat().st_size
