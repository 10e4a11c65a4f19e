"""Density fields become clean meshes: checked against solids with known volume, distance and colour."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from sds3d.representations.bake import field_to_mesh, sample_density
from torch import Tensor

from sds3d.assetio import topology
from sds3d.core.assets import Box, Mesh
from sds3d.core.errors import AssetError

BOX = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def ball(center: tuple[float, float, float], radius: float):
    """A linear density that is 1 on a sphere."""
    return lambda p: 1 + 10 * (radius - (p - torch.tensor(center)).norm(dim=-1))


def solid(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)


@given(st.tuples(*[st.floats(-0.3, 0.3)] * 3), st.floats(0.3, 0.6), st.sampled_from([200, 1000, 100_000]))
@settings(max_examples=15)
def test_a_ball_comes_out_where_it_is(
    center: tuple[float, float, float], radius: float, max_faces: int
) -> None:
    mesh = field_to_mesh(
        sample_density(ball(center, radius), BOX, 40), 1.0, lambda p: (p + 1) / 2, BOX, max_faces=max_faces
    )
    assert len(mesh.faces) <= max_faces
    assert solid(mesh).is_watertight
    assert solid(mesh).volume == pytest.approx(
        4 / 3 * math.pi * radius**3, rel=0.05 if max_faces > 200 else 0.15
    )
    out = mesh.vertices - torch.tensor(center)
    assert (out.norm(dim=1) - radius).abs().max() < 0.03
    assert ((out / out.norm(dim=1, keepdim=True)) * mesh.normals).sum(1).min() > 0.9, "normals look outwards"
    assert (mesh.colors - (mesh.vertices + 1) / 2).abs().max() < 0.03, "colours belong to their place"


def test_axes_are_x_y_z_and_bounds_may_differ() -> None:
    box = Box((-1.0, 0.0, 2.0), (1.0, 3.0, 2.5))

    def slab(p: Tensor) -> Tensor:
        high = torch.tensor([0.5, 2.0, 2.4])
        low = torch.tensor([-0.25, 1.0, 2.2])
        return 1 + torch.minimum(p - low, high - p).min(dim=-1).values

    z, y, x = (torch.linspace(box.low[i], box.high[i], n) for i, n in ((2, 51), (1, 61), (0, 41)))
    grid = torch.stack([a.reshape(-1) for a in torch.meshgrid(z, y, x, indexing="ij")[::-1]], dim=1)
    mesh = field_to_mesh(slab(grid).reshape(51, 61, 41), 1.0, None, box, smooth_iterations=0)
    assert mesh.colors is None
    assert mesh.bounds().low == pytest.approx((-0.25, 1.0, 2.2), abs=0.01)
    assert mesh.bounds().high == pytest.approx((0.5, 2.0, 2.4), abs=0.01)
    assert solid(mesh).volume == pytest.approx(0.75 * 1.0 * 0.2, rel=0.02)


def test_the_surface_closes_at_the_bounds() -> None:
    mesh = field_to_mesh(sample_density(ball((0.0, 0.0, 0.0), 1.2), BOX, 32), 1.0, lambda p: p * 0 + 0.5, BOX)
    assert solid(mesh).is_watertight
    assert mesh.vertices.abs().max() <= 1 + 1 / 31 + 1e-5, "no further out than half a voxel"


def test_colours_are_asked_for_inside_the_bounds_and_the_surface() -> None:
    asked = []

    def color_at(points: Tensor) -> Tensor:
        asked.append(points)
        return torch.full_like(points, 2.0)

    mesh = field_to_mesh(sample_density(ball((0.0, 0.0, 0.0), 0.5), BOX, 48), 1.0, color_at, BOX)
    points = torch.cat(asked)
    assert points.norm(dim=1).max() < 0.5
    assert points.norm(dim=1).min() > 0.5 - 2 * 2 / 47
    assert (mesh.colors == 1).all(), "clipped to what a display shows"


def test_colours_of_a_cut_object_are_asked_for_inside_the_bounds() -> None:
    def color_at(points: Tensor) -> Tensor:
        assert points.abs().max() <= 1
        return points * 0 + 0.5

    volume = sample_density(ball((0.0, 0.0, 0.0), 1.2), BOX, 16)
    mesh = field_to_mesh(volume, 1.0, color_at, BOX, color_inset=0.0, smooth_iterations=0)
    assert mesh.vertices.abs().max() > 1 + 0.05 * 2 / 15, "the surface itself lies beyond, without slivers"


def test_floaters_go_and_second_objects_stay() -> None:
    balls = [ball((0.0, 0.0, 0.0), 0.5), ball((0.8, 0.8, 0.8), 0.1), ball((-0.7, -0.7, 0.0), 0.25)]

    def field(p: Tensor) -> Tensor:
        return torch.stack([b(p) for b in balls]).max(0).values

    volume = sample_density(field, BOX, 48)
    parts = {
        keep: solid(field_to_mesh(volume, 1.0, None, BOX, keep_fraction=keep)).body_count
        for keep in (0.0, 0.02, 0.5)
    }
    assert parts == {0.0: 3, 0.02: 2, 0.5: 1}


@pytest.mark.parametrize("keep_fraction", [0.0, 0.02])
def test_hollow_objects_are_filled(keep_fraction: float) -> None:
    def shell(p: Tensor) -> Tensor:
        return 1 + 10 * (0.1 - (p.norm(dim=-1) - 0.5).abs())

    mesh = solid(field_to_mesh(sample_density(shell, BOX, 48), 1.0, None, BOX, keep_fraction=keep_fraction))
    assert mesh.body_count == 1
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * 0.6**3, rel=0.03)


@given(st.integers(0, 10_000), st.floats(0.6, 2.0), st.floats(-0.3, 0.3))
@settings(max_examples=12)
def test_even_noise_becomes_a_closed_surface(seed: int, blur: float, level: float) -> None:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((20, 20, 20)), blur)
    volume = torch.from_numpy(noise / np.abs(noise).max())
    full = solid(field_to_mesh(volume, level, None, BOX, max_faces=10**6))
    assert full.is_watertight
    assert full.volume > 0
    small = solid(field_to_mesh(volume, level, None, BOX, max_faces=1500))
    assert small.is_watertight
    assert small.is_winding_consistent
    assert len(small.faces) < 1.1 * 1500 or len(small.faces) < 0.5 * len(full.faces)


@given(st.integers(0, 10_000))
def test_samples_exactly_on_the_level_do_not_tear_the_surface(seed: int) -> None:
    volume = torch.from_numpy(np.random.default_rng(seed).integers(-1, 2, (6, 6, 6)))
    volume[3, 3, 3], volume[0, 0, 0] = 1, -1
    mesh = field_to_mesh(volume.double(), 0.0, None, BOX, smooth_iterations=0, keep_fraction=0.0)
    assert solid(mesh).is_watertight


def test_equal_fields_give_equal_meshes() -> None:
    volume = sample_density(ball((0.1, 0.0, 0.0), 0.5), BOX, 32)
    first, second = (
        field_to_mesh(volume.clone(), 1.0, lambda p: p.abs(), BOX, max_faces=500) for _ in range(2)
    )
    for name in ("vertices", "faces", "normals", "colors"):
        assert torch.equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (torch.zeros(4, 4, 4), "Lower the level"),
        (torch.full((4, 4, 4), 9.0), "Raise the level"),
        (torch.full((4, 4, 4), float("nan")), r"nan at index \(0, 0, 0\)"),
        (torch.zeros(1, 4, 4), "at least 2 samples"),
    ],
)
def test_fields_without_a_surface_get_advice(volume: Tensor, reason: str) -> None:
    with pytest.raises(AssetError, match=reason):
        field_to_mesh(volume, 1.0, None, BOX)


def test_a_wrong_colour_function_is_named() -> None:
    with pytest.raises(AssetError, match="colour function"):
        field_to_mesh(
            sample_density(ball((0.0, 0.0, 0.0), 0.5), BOX, 16), 1.0, lambda p: p * float("nan"), BOX
        )


def test_what_cannot_be_closed_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "close", lambda vertices, faces: (vertices, faces[1:]))
    volume = sample_density(ball((0.0, 0.0, 0.0), 0.5), BOX, 24)
    with caplog.at_level(logging.WARNING):
        field_to_mesh(volume, 1.0, None, BOX, max_faces=200)
    assert "not watertight" in caplog.text


@given(st.integers(0, 1000), st.integers(1, 12))
def test_holes_are_filled_outwards(seed: int, count: int) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    keep = np.random.default_rng(seed).permutation(len(sphere.faces))[count:]
    torn = sphere.faces[keep].astype(np.int64)
    assert not topology.is_watertight(torn)
    vertices, faces = topology.close(np.asarray(sphere.vertices), torn)
    assert topology.is_watertight(faces)
    assert trimesh.Trimesh(vertices, faces, process=False).volume == pytest.approx(sphere.volume, rel=0.1)


def test_faces_back_to_back_are_dropped() -> None:
    solid_ = trimesh.creation.box()
    flap = np.array([[0, 1, 8], [1, 0, 8]])
    corners = np.concatenate([solid_.vertices, [[0.0, 0.0, 5.0]]])
    vertices, faces = topology.close(corners, np.concatenate([solid_.faces, flap]))
    assert topology.is_watertight(faces)
    assert len(faces) == 12
    assert vertices[:, 2].max() < 1


def test_two_solids_that_share_an_edge_are_parted() -> None:
    corners = np.array(
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [0.5, 1, 0], [-1, 0, 0], [-0.5, -1, 0]], dtype=np.float64
    )
    faces = []
    for a, b, c, d in ((0, 1, 2, 3), (0, 1, 4, 5)):
        hull = trimesh.Trimesh(
            corners[[a, b, c, d]], [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], process=False
        )
        local = hull.faces if hull.volume > 0 else hull.faces[:, ::-1]
        faces.append(np.array([a, b, c, d])[local])
    pinched = np.concatenate(faces)
    assert not topology.is_watertight(pinched)
    vertices, parted = topology.close(corners, pinched)
    assert topology.is_watertight(parted)
    assert len(vertices) == 8, "the shared edge's two ends are doubled"
    assert len(np.unique(topology.components(parted))) == 2
    assert (topology.signed_volumes(vertices, parted, topology.components(parted)) > 0).all()


def test_smoothing_keeps_the_volume_and_flattens_steps() -> None:
    volume = (sample_density(ball((0.0, 0.0, 0.0), 0.6), BOX, 40) > 1).double()
    rough, even = (field_to_mesh(volume, 0.5, None, BOX, smooth_iterations=n) for n in (0, 10))
    spread = [float(m.vertices.norm(dim=1).std()) for m in (rough, even)]
    assert spread[1] < 0.6 * spread[0]
    assert solid(even).volume == pytest.approx(solid(rough).volume, rel=0.02)
