"""Gaussians as surfels: starts, regularisers, exact state, exports."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations.base import Representation
from sds3d.representations.gaussians import GaussianModel, Options, create, from_asset
from sds3d.representations.gaussians.init import as_asked, neighbour_normals, product
from sds3d.representations.gaussians.parameters import FLAT
from sds3d.representations.gaussians.surfels import SOLID, depth_normals
from sds3d.representations.raster.gaussians_twin import covariance_matrix, rotation_matrix
from toys import store, toy_stage

from sds3d import assetio
from sds3d.assetio import topology
from sds3d.core.assets import PointCloud, Splats
from sds3d.core.cameras import orbit, rays
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.optimize.loop import Session, train

FLAT_ONES = {"surfels": True, "init": {"count": 60}}


def look(size: int = 24, views: int = 2) -> Look:
    return Look(
        orbit([40.0 + 360.0 * k / views for k in range(views)], 20.0), (size, size), torch.ones(views, 3)
    )


def sphere(count: int = 1500) -> PointCloud:
    points = 0.5 * torch.nn.functional.normalize(Streams(0).normal((count, 3), "ball")[0], dim=1)
    return PointCloud(points, torch.tensor([0.2, 0.7, 0.3]).expand(count, 3))


def test_it_is_a_representation_with_normals():
    model = create(Options(**FLAT_ONES), Streams(0))
    assert isinstance(model, Representation)
    with torch.no_grad():
        render = model.render(look())
    assert model.provides == {"rgb", "alpha", "depth", "normal"}
    assert model.provides <= set(render)
    assert "bent" not in render
    assert create(Options(init={"count": 9}), Streams(0)).provides == {"rgb", "alpha", "depth"}


def test_points_of_a_sphere_get_its_normals():
    cloud = sphere()
    assert ((neighbour_normals(cloud.points) * 2 * cloud.points).sum(1) > 0.95).float().mean() > 0.99
    model = from_asset(cloud, Options(surfels=True, init={"opacity": 0.9}), Streams(0))
    out = model.render(look(32))
    middle = (slice(None), slice(None), 16, 16)
    assert torch.allclose(out["depth"][middle], torch.full((2, 1), 1.9), atol=0.05)
    towards = torch.nn.functional.normalize(look().cameras.position, dim=1)
    assert ((out["normal"][middle] * towards).sum(1) > 0.95).all()


@given(st.permutations([0.01, 0.1, 0.3]), st.integers(0, 1000))
def test_solid_ones_become_flat_along_their_shortest_axis(scales, seed):
    turn = Streams(seed).normal((1, 4), "turn")[0]
    solid = Splats(
        torch.zeros(1, 3), torch.tensor([scales]), turn / turn.norm(), torch.ones(1) / 2, torch.zeros(1, 1, 3)
    )
    flat = from_asset(solid, Options(surfels=True), Streams(0)).parameters
    assert flat.scales[0, 2] == pytest.approx(FLAT, rel=1e-5)
    assert sorted(flat.scales[0, :2].tolist()) == pytest.approx([0.1, 0.3], rel=1e-5)
    before = covariance_matrix(solid.scales, solid.rotations)
    after = covariance_matrix(flat.scales, flat.rotations)
    shortest = rotation_matrix(solid.rotations)[0, :, scales.index(0.01)]
    without = before[0] - 0.01**2 * torch.outer(shortest, shortest)
    assert torch.allclose(after[0], without, atol=1e-6)
    assert as_asked(flat, Options()) is flat


@given(st.integers(0, 1000))
def test_a_product_of_quaternions_is_that_of_their_rotations(seed):
    a, b = torch.nn.functional.normalize(Streams(seed).normal((2, 3, 4), "turns")[0], dim=2)
    assert torch.allclose(rotation_matrix(product(a, b)), rotation_matrix(a) @ rotation_matrix(b), atol=1e-5)


def test_a_depth_map_of_a_plane_has_its_normal():
    cameras = orbit([25.0], 35.0)
    normal = torch.nn.functional.normalize(torch.tensor([0.3, 0.2, 1.0]), dim=0)
    origin, direction = rays(cameras, (12, 12))
    along = -(origin @ normal) / (direction @ normal)
    depth = (along * (direction @ -cameras.c2w[0, :3, 2]))[:, None]
    alpha = torch.ones(1, 1, 12, 12)
    alpha[0, 0, 5, 5] = SOLID / 2
    found, known = depth_normals(alpha, depth, cameras)
    assert torch.allclose(found[0, :, 3:9, 8], normal[:, None].expand(3, 6), atol=1e-4)
    assert not known[0, 0, 4:7, 4:7].any()
    assert known[0, 0, 7:11, 7:11].all()
    assert not known[0, 0, 0].any()


def test_what_is_bent_or_deep_costs_and_gets_better():
    off = dict.fromkeys(("alpha", "entropy", "opacity", "scale", "anisotropy"), 0.0)
    options = Options(surfels=True, strategy="fixed", init={"opacity": 0.9, "count": 800}, **off)
    cloud = sphere(800)
    noisy = PointCloud(cloud.points + 0.06 * Streams(1).normal((800, 3), "rough")[0], cloud.colors)
    smooth, rough = (from_asset(c, options, Streams(0)) for c in (cloud, noisy))

    def costs(model: GaussianModel) -> dict[str, float]:
        model.parameters.means.requires_grad_()
        return {k: float(v.detach()) for k, v in model.regularise(model.render(look(32)), 1.0).items()}

    assert set(costs(smooth)) == {"normal_consistency", "distortion"}
    better, worse = costs(smooth), costs(rough)
    assert all(better[name] < 0.5 * worse[name] for name in better)


@pytest.mark.parametrize("strategy", ["mcmc", "densify"])
def test_a_run_stopped_and_resumed_is_the_same_to_the_last_bit(strategy, tmp_path):
    every = {"mcmc": {"every": 2}, "densify": {"every": 2, "start": 0.0, "gradient": 0.5}}
    options = Options(**FLAT_ONES, strategy=strategy, **every)

    def stage():
        return toy_stage(steps=6, representation=create(options, Streams(1)))

    whole = train(stage(), store(tmp_path / "whole"))
    first = Session(stage())
    for _ in range(3):
        first.apply(first.gradients())
    store(tmp_path).save(first.state())
    resumed = train(stage(), store(tmp_path), start=store(tmp_path).latest())
    assert resumed.hash() == whole.hash()
    assert len(whole.representation["parameters"]["means"]) != 60
    assert (whole.representation["parameters"]["log_scales"][:, 2].exp() < 2 * FLAT).all()


def test_exports_are_flat_splats_and_a_closed_mesh(tmp_path):
    model = from_asset(sphere(), Options(surfels=True, init={"opacity": 0.9}, mesh_resolution=48), Streams(0))
    splats = model.to_asset("splats")
    assert (splats.scales[:, 2] < 2 * FLAT).all()
    assetio.write(splats, tmp_path / "s.ply", "3dgs")
    again = create(Options(surfels=True, init={"file": str(tmp_path / "s.ply")}), Streams(0))
    assert torch.allclose(again.render(look())["rgb"], model.render(look())["rgb"], atol=1e-3)
    mesh = model.to_asset("mesh")
    assert topology.is_watertight(mesh.faces.numpy())
    assert mesh.vertices.norm(dim=1).mean() == pytest.approx(0.5, abs=0.08)


def test_kernels_that_draw_no_surfels_are_refused_with_a_way_out():
    assert "gsplat draws no surfels" in Options(surfels=True, rasterizer="gsplat").unserved(
        torch.device("cpu")
    )
    assert Options(surfels=True, rasterizer="warp").kernels == ("native", "warp")
    assert Options(surfels=True).unserved(torch.device("cpu")) == ""
