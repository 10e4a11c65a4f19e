"""Surfaces cut out of a lattice: marching tetrahedra, FlexiCubes, and distances to cut from."""

from __future__ import annotations

import math

import pytest
import torch
from ball_cases import icosphere
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from sds3d.representations import distance, tetmesh
from sds3d.representations.faces import face_normals
from sds3d.representations.lattice import Lattice, crossed_cubes, crossed_edges, edge_corners
from sds3d.representations.raster.triangles_antialias import topology as partners_of
from sds3d.representations.tetmesh import regularise
from sds3d.representations.tetmesh.crumbs import without_crumbs
from sds3d.representations.tetmesh.cube_cycles import ambiguous_faces, cycle_table, face_edges
from sds3d.representations.tetmesh.flexicubes import Weights, dual_surface
from sds3d.representations.tetmesh.tetrahedra import (
    EDGES,
    kuhn,
    march_tetrahedra,
    triangle_table,
    zero_between,
)
from torch import Tensor

from sds3d.assetio import topology
from sds3d.core.assets import Mesh, sample_surface
from sds3d.core.streams import Streams
from sds3d.optimize.adam import Adam

trimesh = pytest.importorskip("trimesh")

SURFACES = ("dmtet", "flexicubes")


def ones(lattice: Lattice, dtype=torch.float32) -> Weights:
    v = lattice.size
    return Weights(torch.ones(v, 8, dtype=dtype), torch.ones(v, 12, dtype=dtype), torch.ones(v, dtype=dtype))


def cut(name: str, lattice: Lattice, sdf: Tensor, fans: bool = True) -> tuple[Tensor, Tensor]:
    """Vertices and faces of the undeformed lattice."""
    if name == "dmtet":
        return march_tetrahedra(lattice.points(), sdf, lattice)
    dual = dual_surface(lattice.points(), sdf, ones(lattice), lattice, fans)
    return dual.vertices, dual.faces


def euler(vertices: Tensor, faces: Tensor) -> int:
    """V - E + F of a closed surface."""
    return len(vertices) - 3 * len(faces) // 2 + len(faces)


def volume(vertices: Tensor, faces: Tensor) -> float:
    a, b, c = vertices.double()[faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def area(vertices: Tensor, faces: Tensor) -> float:
    return float(face_normals(vertices.double(), faces).norm(dim=1).sum() / 2)


def is_manifold(vertices: Tensor, faces: Tensor) -> bool:
    """Closed, oriented, and one fan of faces around every vertex."""
    sheets = topology.close(vertices.double().numpy(), faces.numpy())[0]
    return topology.is_watertight(faces.numpy()) and len(sheets) == len(vertices)


def noise(seed: int, cells: int, dtype=torch.float32) -> tuple[Lattice, Tensor]:
    """A lattice of random distances with nothing inside on its border."""
    lattice = Lattice(cells, 1.0)
    sdf = torch.randn(lattice.size, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    at = lattice.place(torch.arange(lattice.size))
    border = ((at == 0) | (at == cells)).any(1)
    return lattice, torch.where(border, sdf.abs(), sdf)


# --- the tables


def test_six_tetrahedra_fill_the_cube():
    corners = torch.tensor([[c & 1, c >> 1 & 1, c >> 2 & 1] for c in range(8)], dtype=torch.float64)
    p = corners[kuhn()]
    volumes = torch.linalg.det(p[:, 1:] - p[:, :1]) / 6
    assert torch.allclose(volumes, torch.full((6,), 1 / 6, dtype=torch.float64))
    inside = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    offset = (inside[:, None] - p[None, :, 0])[..., None]
    weight = torch.linalg.solve((p[:, 1:] - p[:, :1]).transpose(1, 2)[None], offset)[..., 0]
    assert (((weight >= 0).all(2) & (weight.sum(2) <= 1)).sum(1) == 1).all()


@pytest.mark.parametrize("case", range(16))
def test_each_case_of_a_tetrahedron(case):
    """In a tetrahedron the distance is linear: the triangles lie in its zero plane, and look along its slope."""
    generator = torch.Generator().manual_seed(case)
    table = triangle_table()[case]
    triangles = table[table[:, 0] >= 0]
    assert len(triangles) == [0, 1, 2, 1, 0][case.bit_count()]
    for _ in range(10):
        p = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        if torch.linalg.det(p[1:] - p[0]) < 0:
            p = p[[0, 2, 1, 3]]
        sign = torch.tensor([-1.0 if case >> i & 1 else 1.0 for i in range(4)], dtype=torch.float64)
        s = sign * (0.1 + torch.rand(4, generator=generator, dtype=torch.float64))
        slope = torch.linalg.solve(p[1:] - p[0], s[1:] - s[0])
        ends = torch.tensor(EDGES)[triangles]
        at = zero_between(
            *(p[ends[..., k]].reshape(-1, 3) for k in (0, 1)), *(s[ends[..., k]].reshape(-1) for k in (0, 1))
        )
        assert torch.allclose(
            (at - p[0]) @ slope + s[0], torch.zeros(len(at), dtype=torch.float64), atol=1e-9
        )
        a, b, c = at.reshape(-1, 3, 3).unbind(1)
        normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
        assert torch.allclose(normal @ slope, slope.norm().expand(len(normal)), atol=1e-6)
    if len(triangles) == 2:
        common = set(triangles[0].tolist()) & set(triangles[1].tolist())
        assert len(common) == 2


def test_cycles_of_every_cube():
    """Every crossed edge is in one cycle of at least three; a flip of a face that one cycle meets twice splits it."""
    edges = torch.tensor(edge_corners())
    for code in range(256):
        crossed = (code >> edges[:, 0] & 1) != (code >> edges[:, 1] & 1)
        usual = cycle_table()[code, 0]
        assert torch.equal(usual >= 0, crossed)
        counts = torch.bincount(usual[crossed])
        assert (counts >= 3).all()
        assert counts.numel() <= 4
        for face in ambiguous_faces()[code].nonzero()[:, 0].tolist():
            four = usual[list(face_edges()[face])]
            flipped = cycle_table()[code, 1 << face]
            change = int(flipped.max()) - int(usual.max())
            assert change == (1 if four.unique().numel() == 1 else -1)


# --- the surfaces


@pytest.mark.parametrize("name", SURFACES)
def test_a_ball_is_closed_of_genus_0_and_converges(name):
    radius, errors = 0.5, []
    for cells in (8, 16, 32):
        lattice = Lattice(cells, 0.85)
        vertices, faces = cut(name, lattice, distance.ball(lattice.points(), radius))
        assert is_manifold(vertices, faces)
        assert euler(vertices, faces) == 2
        true = (4 / 3 * math.pi * radius**3, 4 * math.pi * radius**2)
        found = (volume(vertices, faces), area(vertices, faces))
        errors.append([abs(f / t - 1) for f, t in zip(found, true, strict=True)])
    for finer, coarser in ((1, 0), (2, 1)):
        # second order: a quarter at half the cell, with room
        assert all(e < 0.35 * f for e, f in zip(errors[finer], errors[coarser], strict=True))
    assert max(errors[-1]) < 0.02


@pytest.mark.parametrize("name", SURFACES)
def test_a_ring_has_genus_1(name):
    lattice = Lattice(24, 0.85)
    x, y, z = lattice.points().unbind(1)
    sdf = (((x * x + z * z).sqrt() - 0.5).square() + y * y).sqrt() - 0.2
    vertices, faces = cut(name, lattice, sdf)
    assert is_manifold(vertices, faces)
    assert euler(vertices, faces) == 0
    assert volume(vertices, faces) == pytest.approx(2 * math.pi**2 * 0.5 * 0.2**2, rel=0.06)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), fans=st.booleans())
def test_random_signs_give_manifolds(seed, fans):
    lattice, sdf = noise(seed, 6)
    for name in SURFACES:
        vertices, faces = cut(name, lattice, sdf, fans)
        assert is_manifold(vertices, faces)
        assert volume(vertices, faces) > 0


def test_distances_of_zero_are_outside_and_keep_the_surface_closed():
    lattice = Lattice(6, 1.0)
    sdf = lattice.points().abs().amax(1) - 1 / 3
    sdf = torch.where(sdf.abs() < 1e-6, 0.0, sdf)
    assert (sdf == 0).sum() == 26
    for name in SURFACES:
        vertices, faces = cut(name, lattice, sdf)
        assert topology.is_watertight(faces.numpy())
        assert torch.isfinite(vertices).all()


def test_crossed_cubes_and_edges_are_those_with_two_signs():
    lattice, sdf = noise(3, 5)
    cubes, code = crossed_cubes(sdf, lattice)
    every = torch.arange(lattice.size)
    real = every[(lattice.place(every) < lattice.cells).all(1)]
    inside = (sdf < 0)[lattice.corners(real)]
    mixed = inside.any(1) & ~inside.all(1)
    assert torch.equal(cubes, real[mixed])
    assert torch.equal(code, (inside[mixed] * 2 ** torch.arange(8)).sum(1))
    low, high = crossed_edges(sdf, lattice)
    ends = lattice.corners(real)[:, torch.tensor(edge_corners())].reshape(-1, 2).unique(dim=0)
    wanted = ends[(sdf[ends[:, 0]] < 0) != (sdf[ends[:, 1]] < 0)]
    assert torch.equal(torch.stack([low, high], 1).unique(dim=0), wanted)


def test_gradients_of_marching_tetrahedra_are_finite_differences():
    lattice, sdf = noise(0, 3, torch.float64)
    points = lattice.points().double().requires_grad_()
    probe = torch.randn(1000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def projected(points, sdf):
        vertices, _ = march_tetrahedra(points, sdf, lattice)
        return (vertices * probe[: len(vertices)]).sum()

    assert torch.autograd.gradcheck(
        projected, (points, sdf.requires_grad_()), eps=1e-6, atol=1e-5, fast_mode=True
    )


def test_gradients_of_flexicubes_are_finite_differences():
    lattice, sdf = noise(0, 3, torch.float64)
    generator = torch.Generator().manual_seed(1)
    probe = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    cubes, _ = crossed_cubes(sdf, lattice)
    alpha, beta, gamma = (
        0.5 + torch.rand(lattice.size, *shape, generator=generator, dtype=torch.float64)
        for shape in ((8,), (12,), ())
    )
    row = int(cubes[len(cubes) // 2])

    def projected(points, sdf, one_alpha, one_beta, one_gamma):
        rows = torch.arange(lattice.size) == row
        weights = Weights(
            torch.where(rows[:, None], one_alpha, alpha),
            torch.where(rows[:, None], one_beta, beta),
            torch.where(rows, one_gamma, gamma),
        )
        dual = dual_surface(points, sdf, weights, lattice)
        return (dual.vertices * probe[: len(dual.vertices)]).sum(), dual.deviation.sum()

    inputs = (lattice.points().double(), sdf, alpha[row], beta[row], gamma[row])
    assert torch.autograd.gradcheck(
        projected, tuple(v.clone().requires_grad_() for v in inputs), eps=1e-6, atol=1e-5, fast_mode=True
    )


def test_flexicubes_keeps_the_edges_of_a_box_sharper():
    """Both are fitted to a box in the same way; what is measured are distances between the surfaces, and of the
    box's edges."""
    size, found = (0.43, 0.37, 0.31), {}
    numbers = Streams(0).uniform((6000, 3), "box")[0].float()
    edges = (2 * numbers[:600] - 1) * torch.tensor(size)
    row, axis = torch.arange(600), torch.arange(600) % 3
    for other in (axis, (axis + 1) % 3):
        edges[row, other] = torch.tensor(size)[other] * edges[row, other].sign()
    for name in SURFACES:
        options = tetmesh.Options(surface=name, cells=12, init={"shape": "box", "box": size})
        model, adam = tetmesh.create(options, Streams(0)), Adam()
        params = {k: v.requires_grad_() for k, v in model.cut.named().items() if v.numel()}
        for _ in range(60):
            surface = model.surface()
            middle = surface.vertices[surface.faces].mean(1)
            loss = distance.box(torch.cat([surface.vertices, middle]), size).square().mean()
            slopes = torch.autograd.grad(loss, list(params.values()))
            grads = dict(zip(params, slopes, strict=True))
            adam.step(({k: p}, grads, 0.002 if k == "sdf" else 0.02) for k, p in params.items())
        with torch.no_grad():
            surface = model.surface(fans=False)
        points, _ = sample_surface(Mesh(surface.vertices, surface.faces), len(numbers), numbers)
        off = distance.box(points, size).abs().mean()
        missed = cKDTree(points.numpy()).query(edges.numpy())[0].mean()
        found[name] = (float(off), float(missed))
    assert found["flexicubes"][0] < 0.7 * found["dmtet"][0]
    assert found["flexicubes"][1] < 0.8 * found["dmtet"][1]


# --- regularisers


def test_losses_of_a_plane_and_of_a_ball():
    lattice = Lattice(16, 1.0)
    p = lattice.points()
    slanted = p @ torch.nn.functional.normalize(torch.tensor([0.3, 0.5, 0.2]), dim=0)
    assert regularise.eikonal(slanted - 0.1, lattice) < 1e-9
    assert regularise.eikonal(2 * slanted, lattice) == pytest.approx(1.0, abs=1e-5)
    ball = icosphere(0.5)

    def bend(mesh: Mesh) -> float:
        partners = partners_of(mesh.faces, len(mesh.vertices))
        return float(regularise.normal_consistency(mesh.vertices, mesh.faces, partners))

    coarse = icosphere(0.5, detail=2)
    # the angle halves with the edges, 1 - cos falls to a quarter
    assert bend(ball) == pytest.approx(bend(coarse) / 4, rel=0.05)
    assert bend(Mesh(-3 * ball.vertices, ball.faces.flip(1))) == pytest.approx(bend(ball), rel=1e-3)


def test_laplacian_is_the_distance_to_the_neighbours_mean():
    # an octahedron: the neighbours' mean of every vertex is the centre
    octa = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = torch.tensor(
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    )
    assert topology.is_watertight(faces.numpy())
    assert regularise.laplacian(0.5 * octa, faces) == pytest.approx(0.25)


def test_sign_change_is_the_cross_entropy_of_crossed_edges():
    lattice = Lattice(2, 1.0)
    sdf = torch.full((27,), 0.7)
    sdf[13] = -0.4
    # six edges between the middle and its neighbours, in cells of width 1
    expected = math.log1p(math.exp(0.4)) + math.log1p(math.exp(0.7))
    assert float(regularise.sign_change(sdf, lattice)) == pytest.approx(expected, rel=1e-6)


def test_crumbs_go_and_the_object_stays():
    lattice = Lattice(20, 0.85)
    p = lattice.points()
    object_, crumb = distance.ball(p, 0.4), distance.ball(p - p.new_tensor([0.65, 0.0, 0.0]), 0.1)
    both = torch.minimum(object_, crumb)
    cleared, count = without_crumbs(both, lattice, 0.05)
    assert count == 1
    assert torch.equal(cleared < 0, object_ < 0)
    assert torch.equal(without_crumbs(both, lattice, 1e-4)[0], both)
    assert without_crumbs(object_, lattice, 0.5)[1] == 0
