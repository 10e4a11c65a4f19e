"""Silhouettes, pictures, surfaces, meshes: identities, hand-worked cases and independent oracles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.assets import Mesh
from sds3d.core.streams import Streams
from sds3d.evaluate.chamfer import (
    around,
    chamfer,
    mesh_chamfer,
    surface_points,
    visible_chamfer,
    visible_points,
)
from sds3d.evaluate.mesh_quality import mesh_quality
from sds3d.evaluate.pictures import psnr, ssim
from sds3d.evaluate.silhouette import dilate, silhouette_iou

trimesh = pytest.importorskip("trimesh")


def convert(mesh) -> Mesh:
    return Mesh(torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces))


def ball(radius: float, detail: int = 3) -> Mesh:
    return convert(trimesh.creation.icosphere(detail, radius=radius))


def joined(*meshes: Mesh) -> Mesh:
    faces, start = [], 0
    for mesh in meshes:
        faces.append(mesh.faces + start)
        start += len(mesh.vertices)
    return Mesh(torch.cat([m.vertices for m in meshes]), torch.cat(faces))


def noise(seed: int, *shape: int) -> torch.Tensor:
    return Streams(seed).uniform(shape, "noise")[0].float()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_iou_is_symmetric_bounded_and_one_only_for_the_same_outline(seed):
    a, b = noise(seed, 2, 3, 1, 8, 9)
    value = silhouette_iou(a, b)
    assert torch.equal(value, silhouette_iou(b, a))
    assert ((value >= 0) & (value < 1)).all()
    assert torch.equal(silhouette_iou(a, a), torch.ones(3))


def test_iou_by_hand():
    a, b = torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    a[0, 0, :2], b[0, 0, 1:3] = 1.0, 0.6  # rows 0-1 against rows 1-2: 4 of 12 pixels
    a[1, 0, 0], b[1, 0, 3] = 1.0, 1.0  # apart
    b[0, 0, 3] = 0.5  # not above the threshold
    assert silhouette_iou(a, b).tolist() == pytest.approx([1 / 3, 0.0, 1.0])


def test_dilation_grows_a_pixel_to_a_square():
    dot = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    dot[0, 0, 4, 3] = True
    grown = dilate(dot, 2)
    assert int(grown.sum()) == 25
    assert bool(grown[0, 0, 2:7, 1:6].all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), error=st.floats(0.001, 0.5))
def test_psnr_of_a_constant_error_is_its_decibels(seed, error):
    picture = noise(seed, 2, 3, 6, 7).double()
    assert psnr(picture, picture + error).tolist() == pytest.approx([-20 * math.log10(error)] * 2)


def test_psnr_inside_a_mask_sees_nothing_else():
    a, b = noise(1, 1, 3, 6, 6), noise(2, 1, 3, 6, 6)
    inside = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    inside[..., 2:4, 1:5] = True
    wild = torch.where(inside, b, 100.0 + b)
    assert torch.equal(psnr(a, wild, inside), psnr(a, b, inside))
    assert float(psnr(a, b, inside)) == pytest.approx(float(psnr(a[..., 2:4, 1:5], b[..., 2:4, 1:5])))
    assert float(psnr(a, a)) == math.inf


def test_ssim_agrees_with_an_independent_implementation():
    metrics = pytest.importorskip("skimage.metrics")
    smooth = torch.nn.functional.avg_pool2d(noise(4, 2, 3, 44, 50), 5, 1)
    other = (smooth * 0.8 + 0.1 * noise(5, *smooth.shape)).clamp(0, 1)
    expected = [
        metrics.structural_similarity(
            a.numpy(),
            b.numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
        )
        for a, b in zip(smooth.double(), other.double(), strict=True)
    ]
    assert ssim(smooth, other).tolist() == pytest.approx(expected, abs=1e-3)
    assert ssim(smooth, smooth).tolist() == pytest.approx([1.0, 1.0])
    with pytest.raises(ValueError, match="11 × 11"):
        ssim(smooth[..., :8], smooth[..., :8])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 40))
def test_chamfer_is_the_mean_of_brute_force_minima(seed, count):
    a, b = noise(seed, count, 3), noise(seed + 1, count + 5, 3)
    table = torch.cdist(a.double(), b.double())
    found = chamfer(a, b)
    assert found.accuracy == pytest.approx(float(table.min(1).values.mean()), rel=1e-5)
    assert found.completeness == pytest.approx(float(table.min(0).values.mean()), rel=1e-5)
    with pytest.raises(ValueError, match="not defined"):
        chamfer(a[:0], b)


def test_shells_are_apart_by_the_difference_of_their_radii():
    found = mesh_chamfer(ball(0.5, 4), ball(0.6, 4), Streams(0))
    assert found.mean == pytest.approx(0.1, abs=0.003)


def test_what_is_missing_and_what_is_too_much_are_told_apart():
    near, far = ball(0.3), Mesh(ball(0.2).vertices + torch.tensor([0.9, 0.0, 0.0]), ball(0.2).faces)
    less, more = (
        mesh_chamfer(near, joined(near, far), Streams(0)),
        mesh_chamfer(joined(near, far), near, Streams(0)),
    )
    assert less.accuracy < 0.01 < 0.1 < less.completeness
    assert more.completeness < 0.01 < 0.1 < more.accuracy


def test_hidden_surfaces_do_not_count():
    shell, core = ball(0.6, 4), ball(0.25)
    hidden = visible_chamfer(joined(shell, core), shell, Streams(0), count=8000, cameras=around(per_ring=6))
    assert hidden.mean < 0.015
    assert mesh_chamfer(joined(shell, core), shell, Streams(0), count=8000).accuracy > 0.03
    every = surface_points(shell, 3000, Streams(1), "t")
    assert len(visible_points(shell, around(), 3000, Streams(1), "t")) > 0.99 * len(every)


def test_a_ball_is_watertight_and_wounds_are_counted():
    mesh = ball(0.5)
    whole = mesh_quality(mesh)
    assert (whole.watertight, whole.components, whole.open_edges, whole.degenerate_faces) == (True, 1, 0, 0)
    assert whole.volume == pytest.approx(4 / 3 * math.pi * 0.125, rel=0.02)
    assert whole.extent == pytest.approx((1.0, 1.0, 1.0), abs=0.01)
    torn = mesh_quality(Mesh(mesh.vertices, mesh.faces[1:]))
    assert (torn.watertight, torn.open_edges, torn.volume) == (False, 3, 0.0)
    flipped = mesh.faces.clone()
    flipped[0] = flipped[0].flip(0)
    assert not mesh_quality(Mesh(mesh.vertices, flipped)).watertight
    doubled = mesh_quality(Mesh(mesh.vertices, torch.cat([mesh.faces, mesh.faces[:1]])))
    assert (doubled.watertight, doubled.crowded_edges) == (False, 3)
    thin = torch.cat([mesh.faces, torch.tensor([[0, 0, 1]])])
    assert mesh_quality(Mesh(mesh.vertices, thin)).degenerate_faces == 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), kept=st.integers(1, 79))
def test_counts_agree_with_trimesh(seed, kept):
    two = joined(ball(0.4, 1), Mesh(ball(0.2, 1).vertices + 2.0, ball(0.2, 1).faces))
    order = torch.from_numpy(np.argsort(noise(seed, len(two.faces)).numpy()))
    mesh = Mesh(two.vertices, two.faces[order[: 2 * kept]])
    found = mesh_quality(mesh)
    oracle = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=True)
    assert found.watertight == (oracle.is_watertight and oracle.is_winding_consistent)
    graph = trimesh.graph.connected_components(oracle.edges, nodes=np.unique(oracle.faces), min_len=1)
    assert found.components == len(graph)
    assert found.open_edges == len(trimesh.grouping.group_rows(oracle.edges_sorted, require_count=1))


def test_seams_and_nothing():
    mesh = ball(0.5, 1)
    soup = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), torch.arange(3 * len(mesh.faces)).reshape(-1, 3))
    assert mesh_quality(soup) == mesh_quality(mesh)
    nothing = mesh_quality(Mesh(mesh.vertices, mesh.faces[:0]))
    assert (nothing.watertight, nothing.faces, nothing.components) == (False, 0, 0)
    two = mesh_quality(joined(mesh, Mesh(mesh.vertices + 2.0, mesh.faces[:20])))
    assert (two.components, two.largest_component) == (2, 0.8)
