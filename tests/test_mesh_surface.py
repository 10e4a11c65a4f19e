"""The surface that is painted: welding, normals, tangents, atlases, and what is baked from other meshes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sds3d.representations.mesh.atlas import spread, texels, unwrap
from sds3d.representations.mesh.options import Options
from sds3d.representations.mesh.shading import bend, frame
from sds3d.representations.mesh.source import baked, fitted, mesh_in, mesh_of
from sds3d.representations.mesh.surface import Surface, corner_normals, surface_of, tangents
from sds3d.representations.raster.triangles import interpolate

from sds3d.core.assets import Material, Mesh, PointCloud
from sds3d.core.errors import AssetError
from sds3d.objects.catalogue import ObjectError, find
from sds3d.objects.shape import build

pytest.importorskip("xatlas")
trimesh = pytest.importorskip("trimesh")

SIZE = 64


def cube() -> Mesh:
    """Eight vertices, no normals; colours are positions."""
    box = trimesh.creation.box(extents=(1.0, 0.8, 0.6))
    vertices = torch.tensor(box.vertices).float()
    return Mesh(vertices, torch.tensor(box.faces).long(), colors=vertices + 0.5)


def ball() -> Mesh:
    """A sphere of radius 0.7."""
    made = trimesh.creation.icosphere(2, radius=0.7)
    vertices = torch.tensor(made.vertices).float()
    return Mesh(vertices, torch.tensor(made.faces).long(), colors=0.5 + 0.5 * vertices)


def apart(mesh: Mesh) -> Mesh:
    """Every corner with a vertex of its own."""
    index = mesh.faces.reshape(-1)
    parts = {n: getattr(mesh, n) for n in ("vertices", "colors", "normals", "uv")}
    parts = {n: None if v is None else v[index] for n, v in parts.items()}
    return replace(mesh, faces=torch.arange(len(index)).reshape(-1, 3), **parts)


def textured(mesh: Mesh, seed: int = 0) -> Mesh:
    """With an atlas and a smooth picture in it, in place of colours."""
    uv, corner = unwrap(mesh.vertices, mesh.faces, SIZE, 4)
    order = corner.reshape(-1).unique(return_inverse=True)[1]
    first = torch.zeros(int(order.max()) + 1, dtype=torch.int64).scatter(0, order, torch.arange(len(order)))
    v, u = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 96), indexing="ij")
    picture = torch.stack([u, v, 0.5 + 0.3 * torch.sin(6 * u + seed)])
    return Mesh(
        mesh.vertices[mesh.faces.reshape(-1)[first]],
        order.reshape(-1, 3),
        uv=uv.reshape(-1, 2)[first],
        texture=picture,
    )


def test_doubled_vertices_are_one() -> None:
    surface, kept = surface_of(apart(cube()), SIZE, 4)
    assert surface.vertices.shape == (8, 3)
    assert torch.equal(kept, torch.arange(12))
    assert (surface.partners >= 0).all()  # closed


def test_faces_without_area_are_left_out() -> None:
    mesh = cube()
    flat = torch.cat([mesh.faces[:3], torch.tensor([[0, 0, 1], [2, 2, 2]]), mesh.faces[3:]])
    surface, kept = surface_of(replace(mesh, faces=flat), SIZE, 4)
    assert kept.tolist() == [0, 1, 2, *range(5, 14)]
    assert len(surface.faces) == 12
    with pytest.raises(AssetError, match="no faces with an area"):
        surface_of(replace(mesh, faces=flat[3:5]), SIZE, 4)


def test_creases_stay_sharp_and_curves_smooth() -> None:
    surface, _ = surface_of(cube(), SIZE, 4)
    a, b, c = surface.vertices[surface.faces].unbind(1)
    flat = F.normalize(torch.linalg.cross(b - a, c - a), dim=1)[:, None].expand(-1, 3, 3)
    torch.testing.assert_close(surface.normals, flat, rtol=0, atol=1e-5)
    surface, _ = surface_of(ball(), SIZE, 4)
    radial = F.normalize(surface.vertices[surface.faces], dim=2)
    assert (surface.normals * radial).sum(2).min() > 0.995


def test_given_normals_are_kept_and_say_what_is_smooth() -> None:
    mesh = apart(ball())
    given = F.normalize(mesh.vertices + torch.tensor([0.0, 0.3, 0.0]), dim=1)
    surface, _ = surface_of(replace(mesh, normals=given), SIZE, 4)
    torch.testing.assert_close(surface.normals.reshape(-1, 3), given, rtol=0, atol=1e-6)
    assert len(surface.around) > 4 * 3 * len(surface.faces)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    faceted = F.normalize(torch.linalg.cross(b - a, c - a), dim=1).repeat_interleave(3, dim=0)
    surface, _ = surface_of(replace(mesh, normals=faceted), SIZE, 4)
    computed = corner_normals(surface.vertices, surface.faces, surface.around)
    torch.testing.assert_close(computed.reshape(-1, 3), faceted, rtol=0, atol=1e-4)


def test_normals_follow_the_vertices() -> None:
    surface, _ = surface_of(ball(), SIZE, 4)
    assert torch.equal(
        surface.moved_normals(surface.vertices), F.normalize(surface.normals, dim=-1, eps=1e-12)
    )
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -0.4, 0.1], [0.4, 0.0, 0.2], [-0.1, -0.2, 0.0]]))
    moved = surface.vertices @ turn.T
    torch.testing.assert_close(surface.moved_normals(moved), surface.normals @ turn.T, rtol=0, atol=1e-5)


def test_tangents_point_along_the_texture() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    for mirror in (False, True):
        u = 1 - vertices[:, 0] if mirror else vertices[:, 0]
        uv = torch.stack([u, 1 - vertices[:, 1]], dim=1)[faces]
        along, across = frame(torch.tensor([0.0, 0, 1]).expand(2, 3, 3), tangents(vertices, faces, uv, faces))
        torch.testing.assert_close(along, torch.tensor([-1.0 if mirror else 1.0, 0, 0]).expand(2, 3, 3))
        torch.testing.assert_close(across, torch.tensor([0.0, 1, 0]).expand(2, 3, 3))  # up, against v


@pytest.mark.parametrize("name", ["chair", "mushroom"])
def test_charts_lie_apart_in_the_unit_square(name) -> None:
    surface, _ = surface_of(build(find(name)).mesh({}), 256, 4)
    assert surface.uv.min() >= 0
    assert surface.uv.max() <= 1
    seen = texels(surface.uv, 256)
    index = torch.arange(3 * len(surface.uv)).reshape(-1, 3)
    where = interpolate(surface.uv.reshape(-1, 2), seen, index)[0]
    v, u = torch.meshgrid((torch.arange(256) + 0.5) / 256, (torch.arange(256) + 0.5) / 256, indexing="ij")
    hit = seen.face[0] >= 0
    torch.testing.assert_close(where[hit], torch.stack([u, v], dim=2)[hit], rtol=0, atol=1e-5)
    (u1, v1), (u2, v2) = ((surface.uv[:, k] - surface.uv[:, 0]).unbind(1) for k in (1, 2))
    area = float((u1 * v2 - u2 * v1).abs().sum() / 2)
    assert area > 0.35  # little is wasted,
    assert float(hit.float().mean()) == pytest.approx(area, rel=0.02)  # and nothing lies on top of another


@pytest.mark.parametrize("padding", [5, 8])
def test_charts_keep_their_distance(padding) -> None:
    surface, _ = surface_of(build(find("car")).mesh({}), 256, padding)
    chart = torch.arange(int(surface.corner.max()) + 1)
    for _ in range(100):  # the least vertex number of each chart
        least = chart[surface.corner].amin(1)
        chart = chart.scatter_reduce(0, surface.corner.reshape(-1), least.repeat_interleave(3), "amin")
    seen = texels(surface.uv, 256).face[0]
    used, label = seen >= 0, chart[surface.corner[seen.clamp_min(0).long(), 0]].double()
    most = F.max_pool2d(torch.where(used, label, -1.0)[None], 2 * padding, 1)
    least = -F.max_pool2d(torch.where(used, -label, -1e9)[None], 2 * padding, 1)
    assert ((most == least) | (most == -1)).all()
    assert len(label[used].unique()) > 20


def test_values_spread_to_the_nearest() -> None:
    values = torch.zeros(5, 6, 2)
    known = torch.zeros(5, 6, dtype=torch.bool)
    values[1, 1], values[3, 5] = 1.0, 2.0
    known[1, 1] = known[3, 5] = True
    out = spread(values, known)
    assert torch.equal(out[0, 0], torch.ones(2))
    assert torch.equal(out[4, 4], 2 * torch.ones(2))
    assert float(spread(values, known, reach=1).sum()) == 2 * (1 * 5 + 2 * 4)
    assert torch.equal(spread(values, known & False), values)


def test_vertex_colors_and_textures_come_along() -> None:
    mesh = ball()
    surface, kept = surface_of(mesh, SIZE, 4)
    found = baked(mesh, kept, surface, SIZE)
    assert found.keys() == {"base_color"}
    seen = texels(surface.uv, SIZE)
    point = interpolate(surface.vertices, seen, surface.faces)[0]
    hit = seen.face[0] >= 0
    # colours are 1/2 + position / 2, the texture's texels are means over theirs
    assert (found["base_color"] - (0.5 + 0.5 * point))[hit].abs().mean() < 0.01
    source = textured(mesh)
    surface, kept = surface_of(source, SIZE, 4)
    color = baked(source, kept, surface, SIZE)["base_color"]
    index = torch.arange(3 * len(kept)).reshape(-1, 3)
    where = interpolate(source.uv[source.faces[kept]].reshape(-1, 2), texels(surface.uv, SIZE), index)[0]
    hit = texels(surface.uv, SIZE).face[0] >= 0
    assert (color[..., :2] - where)[hit].abs().mean() < 0.02  # red is u, green is v
    assert baked(replace(mesh, colors=None), kept, surface, SIZE) == {}


def test_a_normal_map_keeps_its_direction_in_another_atlas() -> None:
    source = textured(ball())
    v, u = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    tilt = torch.stack([0.4 * torch.sin(5 * u), 0.3 * torch.cos(4 * v), torch.ones(64, 64)])
    material = Material(0.3, 0.4, normal=0.5 + 0.5 * F.normalize(tilt, dim=0))
    source = replace(source, material=material)
    surface, kept = surface_of(source, SIZE, 4)
    found = baked(source, kept, surface, SIZE)
    torch.testing.assert_close(found["metallic_roughness"], torch.tensor([[[0.3, 0.4]]]))
    seen, index = texels(surface.uv, SIZE), torch.arange(3 * len(kept)).reshape(-1, 3)

    def at(corners: torch.Tensor) -> torch.Tensor:
        return interpolate(corners.reshape(-1, corners.shape[-1]), seen, index)[0]

    corner = source.faces[kept]
    where = at(source.uv[corner])
    normal = F.normalize(at(surface.normals), dim=2, eps=1e-9)
    own = at(tangents(surface.vertices, surface.faces, source.uv[corner], corner))
    slopes = torch.stack([0.4 * torch.sin(5 * where[..., 0]), 0.3 * torch.cos(4 * where[..., 1])], dim=2)
    wanted = bend(normal, own, slopes)
    got = bend(normal, at(surface.tangents), found["slopes"])
    hit = seen.face[0] >= 0
    angle = (wanted * got).sum(2)[hit].clamp(-1, 1).acos().rad2deg()
    assert angle.mean() < 3
    assert slopes[hit].abs().mean() > 0.1


def test_a_surface_moves_as_a_whole() -> None:
    surface, _ = surface_of(cube(), SIZE, 4)
    there = surface.to(torch.device("meta"))
    assert isinstance(there, Surface)
    assert {value.device.type for value in there.tensors().values()} == {"meta"}


def test_sources(tmp_path) -> None:
    from sds3d import assetio

    far = replace(cube(), vertices=cube().vertices * 30 + 100)
    path = assetio.write(far, tmp_path / "far.glb")[0]
    mesh = mesh_of(Options(file=str(path)))
    assert float(mesh.vertices.norm(dim=1).max()) == pytest.approx(0.75, abs=1e-5)
    assert float((mesh.vertices.amin(0) + mesh.vertices.amax(0)).abs().max()) < 1e-4
    kept = mesh_of(Options(file=str(path), fit_radius=None))
    torch.testing.assert_close(kept.vertices.amax(0), far.vertices.amax(0))
    assert math.isclose(float(mesh_of(Options()).vertices.norm(dim=1).max()), 0.75, rel_tol=1e-3)
    with pytest.raises(ObjectError, match="Did you mean"):
        mesh_of(Options(shape="chiar"))
    with pytest.raises(ValueError, match="both file and shape"):
        Options(file="a.glb", shape="mug")
    points = assetio.write(PointCloud(far.vertices), tmp_path / "points.ply")[0]
    with pytest.raises(AssetError, match="holds no mesh"):
        mesh_of(Options(file=str(points)))
    with pytest.raises(AssetError, match="not from PointCloud"):
        mesh_in(PointCloud(far.vertices))
    with pytest.raises(AssetError, match="no extent"):
        fitted(replace(far, vertices=torch.ones(8, 3)), 1.0)
