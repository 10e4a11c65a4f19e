"""Signed distances on a lattice: of balls, boxes and meshes, open and overlapping ones too."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from ball_cases import icosphere
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations import distance
from sds3d.representations.lattice import Lattice
from sds3d.representations.surface_samples import barycentric, spread_over

from sds3d.core.assets import Mesh
from sds3d.core.streams import Streams


def samples_of(mesh: Mesh, count: int = 4000):
    return spread_over(mesh, Streams(0).uniform((count, 3), "test")[0])


def together(*meshes: Mesh) -> Mesh:
    starts = [sum(len(m.vertices) for m in meshes[:k]) for k in range(len(meshes))]
    faces = [m.faces + start for m, start in zip(meshes, starts, strict=True)]
    return Mesh(torch.cat([m.vertices for m in meshes]), torch.cat(faces))


def test_distance_to_a_mesh_is_that_to_the_ball_it_shows():
    lattice, centre = Lattice(12, 0.85), (0.1, 0.05, -0.2)
    mesh = icosphere(0.4, centre)
    found = distance.of_mesh(mesh, samples_of(mesh), lattice)
    assert torch.allclose(found, distance.ball(lattice.points() - torch.tensor(centre), 0.4), atol=5e-3)


def test_parts_that_overlap_count_as_their_union_and_shells_have_an_inside():
    lattice = Lattice(12, 0.85)
    p = lattice.points()
    left, right = icosphere(0.35, (-0.2, 0, 0)), icosphere(0.35, (0.2, 0, 0))
    either = (distance.ball(p + p.new_tensor([0.2, 0, 0]), 0.349) < 0) | (
        distance.ball(p - p.new_tensor([0.2, 0, 0]), 0.349) < 0
    )
    assert torch.equal(distance.inside(together(left, right), lattice), either)
    wall = icosphere(0.3)
    hollow = together(icosphere(0.6), Mesh(wall.vertices, wall.faces.flip(1)))
    radius = p.norm(dim=1)
    clear = ((radius - 0.3).abs() > 0.01) & ((radius - 0.6).abs() > 0.01)
    assert torch.equal(distance.inside(hollow, lattice)[clear], ((radius > 0.3) & (radius < 0.6))[clear])


def test_a_hole_is_outvoted_and_a_sheet_has_no_inside():
    lattice, ball = Lattice(12, 0.85), icosphere(0.5)
    lid = ball.vertices[ball.faces].mean(1)[:, 1] > 0.45
    assert 0 < lid.sum() < len(ball.faces) / 8
    holed = Mesh(ball.vertices, ball.faces[~lid])
    assert torch.equal(distance.inside(holed, lattice), distance.inside(ball, lattice))
    sheet = Mesh(torch.tensor([[-0.5, 0.0, -0.5], [0.5, 0, -0.5], [0, 0, 0.5]]), torch.tensor([[0, 1, 2]]))
    assert not distance.inside(sheet, lattice).any()


@given(seed=st.integers(0, 10**6))
def test_distance_to_a_triangle_is_the_smallest_over_it(seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randn(1, 3, 3, generator=generator, dtype=torch.float64)
    point = 2 * torch.randn(1, 3, generator=generator, dtype=torch.float64)
    grid = (
        torch.tensor([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)], dtype=torch.float64) / 60
    )
    nearest = (grid @ corner[0] - point).norm(dim=1).min()
    found = distance.to_triangle(point, corner)[0]
    reach = max(float((a - b).norm()) for a, b in combinations(corner[0], 2)) / 60
    assert nearest - reach <= found <= nearest + 1e-9


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_barycentric_weights_come_back(raw):
    weight = torch.tensor([raw], dtype=torch.float64) / sum(raw)
    corner = torch.tensor([[[0.0, 0, 0], [1, 0.2, 0], [0.3, 1, 0.5]]], dtype=torch.float64)
    assert torch.allclose(barycentric((weight[:, :, None] * corner).sum(1), corner), weight, atol=1e-9)


def test_a_box_has_its_distances():
    points = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0.5, 0.6, 0], [0.2, 0.1, 0]])
    expected = torch.tensor([-0.2, 0.2, math.hypot(0.2, 0.4), -0.1])
    assert torch.allclose(distance.box(points, (0.3, 0.2, 0.4)), expected, atol=1e-6)
