"""Gaussians to meshes, and a small fit from pictures to a mesh."""

from __future__ import annotations

import logging

import pytest
import torch
from gaussian_models import Fit, look_from, one_gaussian, psnr, small_model
from sds3d.representations.gaussians import GaussianModel, Options, surface
from sds3d.representations.raster.gaussians_twin import covariance_matrix

from sds3d.assetio import topology
from sds3d.core.assets import Box
from sds3d.core.cameras import orbit, turntable
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.silhouette import silhouette_iou

BOUNDS = Box((-0.9,) * 3, (0.9,) * 3)


def test_density_is_the_sum_over_all_gaussians():
    p = small_model(count=25).parameters
    p.rotations.copy_(Streams(2).normal((25, 4), "turn")[0])
    p.log_scales.add_(0.3 * Streams(2).normal((25, 3), "scale")[0])
    volume = surface.density_volume(p, BOUNDS, 24)
    line = torch.linspace(-0.9, 0.9, 24)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    offset = torch.stack([x, y, z], dim=-1).reshape(-1, 1, 3) - p.means
    inverse = covariance_matrix(p.scales.clamp_min(0.9 / 23), p.rotations).inverse()
    distance = torch.einsum("mni,nij,mnj->mn", offset, inverse, offset)
    value = torch.where(distance <= surface.REACH**2, (-0.5 * distance).exp(), 0.0) * p.opacities
    assert torch.allclose(volume[..., 0].reshape(-1), value.sum(1), atol=1e-3)
    assert torch.allclose(volume[..., 1:].reshape(-1, 3), value @ p.colors, atol=1e-3)


def test_best_level_splits_where_outline_and_peaks_agree():
    solid = torch.zeros(1, 8, 8, dtype=torch.bool)
    solid[:, 2:6, 2:6] = True
    peak = torch.where(solid, 0.7, 0.3) + 0.01 * torch.arange(64.0).reshape(1, 8, 8) / 64
    level = surface.best_level(peak, solid)
    assert torch.equal(peak > level, solid)
    # some solid pixels below some empty ones: the best of the possible outlines
    peak[0, 2, 2] = 0.0
    assert 0.31 < surface.best_level(peak, solid) < 0.7


def test_peak_along_rays_sees_one_gaussian_where_it_stands():
    model = one_gaussian(opacity=0.8, scale=0.1)
    volume = surface.density_volume(model.parameters, BOUNDS, 65)
    peak = surface.peak_along_rays(volume[..., 0], BOUNDS, orbit([30.0], 10.0, 3.2), 33)
    assert peak.max() == pytest.approx(0.8, rel=0.02)
    assert peak.flatten().argmax() == 16 * 33 + 16
    assert peak[0, 0, 0] == 0


def test_a_ball_of_gaussians_becomes_a_closed_ball_of_its_colour():
    model = small_model(count=800, init={"radius": 0.5, "opacity": 0.9, "scale": 1.0})
    model.parameters.sh_dc[:] = torch.tensor([1.5, 0.0, -1.5])
    mesh = model.to_asset("mesh")
    assert topology.is_watertight(mesh.faces.numpy())
    radius = mesh.vertices.norm(dim=1)
    assert radius.std() < 0.03
    expected = model.parameters.colors[0]
    assert torch.allclose(mesh.colors, expected.expand_as(mesh.colors), atol=0.02)
    cameras = orbit([10.0, 130.0, 250.0], [0.0, 35.0, -10.0])
    alpha = model.render(look_from(cameras, 64))["alpha"]
    assert silhouette_iou(render_mesh(mesh, cameras, (64, 64))["alpha"], alpha).min() > 0.93


def test_a_ring_keeps_its_hole():
    angle = 2 * torch.pi * Streams(0).uniform((600,), "ring")[0].float()
    tube = 0.08 * Streams(0).normal((600, 3), "tube")[0]
    model = small_model(count=600, init={"opacity": 0.9, "scale": 1.0})
    model.parameters.means.copy_(
        torch.stack([0.5 * angle.cos(), torch.zeros(600), 0.5 * angle.sin()], dim=1) + tube
    )
    mesh = model.to_asset("mesh")
    edges = len(mesh.faces) * 3 // 2
    assert topology.is_watertight(mesh.faces.numpy())
    assert len(mesh.vertices) - edges + len(mesh.faces) == 0  # Euler characteristic of one handle


def test_nothing_solid_says_so():
    model = one_gaussian(opacity=1e-5)
    model.parameters.means[:] = torch.tensor([0.0, 0.0, 0.0])
    model.parameters.logit_opacities[:] = -200.0
    with pytest.raises(AssetError, match="no surface"):
        model.to_asset("mesh")


@pytest.mark.parametrize("strategy", ["densify", "mcmc"])
def test_fit_to_pictures_of_a_ball(strategy, caplog):
    caplog.set_level(logging.ERROR)
    options = {
        "init": {"count": 200, "opacity": 0.3, "scale": 1.0},
        "strategy": strategy,
        "densify": {"every": 25, "cap": 300},
        "mcmc": {"every": 25, "cap": 300},
        "lr_means": {"exponential": [1e-2, 1e-3]},
        "lr_scales": 0.02,
        "alpha": 0,
        "entropy": 0,
        "mesh_resolution": 48,
    }
    fit = Fit(small_model(**options), total=150)
    start = psnr(fit.model)
    fit.run(0, 150)
    assert 200 < len(fit.model.parameters) <= 300
    assert psnr(fit.model) > max(24.0, start + 8)
    mesh = fit.model.to_asset("mesh")
    again = GaussianModel.from_asset(mesh, Options(init={"count": 1500, "opacity": 0.9, "scale": 0.7}))
    look = look_from(turntable(4, 10.0), 96)
    with torch.no_grad():
        both = silhouette_iou(again.render(look)["alpha"], fit.model.render(look)["alpha"])
    assert both.min() > 0.85
    # the mesh carries the ball's colours: 0.5 + 0.5 normal
    color = 0.5 + 0.5 * torch.nn.functional.normalize(mesh.vertices, dim=1)
    assert (mesh.colors - color).abs().mean() < 0.1
