"""Gaussians as a representation: start, render, harmonics, regularisers, state, export."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_models import Fit, look_from, one_gaussian, small_model
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations.alpha import alpha_entropy, alpha_sparsity
from sds3d.representations.base import Representation
from sds3d.representations.gaussians import GaussianModel, Options, create, regularise
from sds3d.representations.gaussians.init import from_z_to, neighbour_distance
from sds3d.representations.gaussians.model import sh_degree
from sds3d.representations.gaussians.parameters import logit, project
from sds3d.representations.raster.gaussians_twin import rotation_matrix

from sds3d import assetio
from sds3d.core.assets import Mesh, PointCloud, Splats
from sds3d.core.cameras import turntable
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash

CUBE = torch.tensor([[x, y, z] for x in (-0.4, 0.4) for y in (-0.4, 0.4) for z in (-0.4, 0.4)])
SQUARE = Mesh(
    vertices=torch.tensor([[-0.5, -0.5, 0.2], [0.5, -0.5, 0.2], [0.5, 0.5, 0.2], [-0.5, 0.5, 0.2]]),
    faces=torch.tensor([[0, 1, 2], [0, 2, 3]]),
    colors=torch.tensor([[0.0, 0.0, 0.3], [1.0, 0.0, 0.3], [1.0, 1.0, 0.3], [0.0, 1.0, 0.3]]),
)


def test_it_is_a_representation():
    model = small_model()
    assert isinstance(model, Representation)
    render = model.render(look_from(turntable(3), 16))
    assert model.provides <= render.keys()
    assert render["rgb"].shape == (3, 3, 16, 16)
    assert "means2d" not in render  # nothing requires a gradient yet


def test_every_tensor_gets_a_gradient_and_the_probe_too():
    model = small_model(sh_degree=1, sh_every=0)
    params = {k: p for g in model.param_groups() for k, p in g.params.items()}
    assert set(params) == set(model.parameters.named())
    for p in params.values():
        p.requires_grad_(True)
    render = model.render(look_from(turntable(2), 16))
    (render["rgb"] * torch.linspace(0, 1, 16)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in params.values())
    # moving every Gaussian in the picture and nothing else pulls at the probe
    assert render["means2d"].grad.abs().sum() > 0


@pytest.mark.parametrize("shape", ["ball", "shell"])
def test_the_start_fills_its_shape_evenly(shape):
    model = small_model(init={"shape": shape, "radius": 0.4}, count=4000)
    radius = model.parameters.means.norm(dim=1)
    assert radius.max() <= 0.4 + 1e-6
    if shape == "shell":
        assert radius.min() >= 0.4 - 1e-6
    else:
        # volume within r grows as r³: the median radius is 0.4 · 2^(-1/3)
        assert radius.median() == pytest.approx(0.4 * 0.5 ** (1 / 3), rel=0.02)
    direction = torch.nn.functional.normalize(model.parameters.means, dim=1)
    assert direction.mean(0).abs().max() < 0.05
    assert (direction.T @ direction / 4000 - torch.eye(3) / 3).abs().max() < 0.03
    assert torch.allclose(model.parameters.opacities, torch.tensor(0.3), atol=1e-6)
    assert (model.parameters.colors - 0.5).std() == pytest.approx(0.05, rel=0.05)


def test_scales_follow_the_distance_of_the_neighbours():
    line = torch.stack([torch.arange(5.0), torch.zeros(5), torch.zeros(5)], dim=1)
    # three nearest of the middle point: 1, 1, 2; of the end point: 1, 2, 3
    expected = [math.sqrt(14 / 3), math.sqrt(6 / 3), math.sqrt(6 / 3), math.sqrt(6 / 3), math.sqrt(14 / 3)]
    assert neighbour_distance(line).tolist() == pytest.approx(expected)
    assert neighbour_distance(torch.zeros(1, 3)).tolist() == pytest.approx([0.1])
    assert (neighbour_distance(torch.zeros(7, 3)) > 0).all()
    options = Options(init={"scale": 0.5}, half_extent=10.0)
    model = GaussianModel.from_asset(PointCloud(line), options)
    assert torch.allclose(model.parameters.scales, 0.5 * torch.tensor(expected)[:, None].expand(5, 3))


def test_the_start_is_a_function_of_the_seed():
    assert tree_hash(small_model(3).state_dict()) == tree_hash(small_model(3).state_dict())
    assert tree_hash(small_model(3).state_dict()) != tree_hash(small_model(4).state_dict())


def test_mesh_gives_flat_gaussians_on_its_surface_with_its_colours():
    model = GaussianModel.from_asset(SQUARE, Options(init={"count": 500, "flatness": 0.2}))
    p = model.parameters
    assert torch.allclose(p.means[:, 2], torch.tensor(0.2), atol=1e-6)
    assert torch.allclose(p.scales[:, 2], 0.2 * p.scales[:, 0])
    normal = rotation_matrix(p.rotations)[:, :, 2]
    assert torch.allclose(normal.abs(), torch.tensor([0.0, 0, 1]).expand(500, 3), atol=1e-5)
    # the colours of the square are linear in x and y
    assert torch.allclose(p.colors[:, :2], p.means[:, :2] + 0.5, atol=1e-4)
    assert torch.allclose(p.colors[:, 2], torch.tensor(0.3), atol=1e-5)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: sum(x * x for x in v) > 1e-3))
def test_shortest_turn_from_z(values):
    normal = torch.nn.functional.normalize(torch.tensor([values]), dim=1)
    turn = from_z_to(normal)
    assert torch.allclose(rotation_matrix(turn)[:, :, 2], normal, atol=1e-3)
    assert turn.norm() == pytest.approx(1.0, abs=1e-5)
    assert turn[0, 3] == 0.0  # about an axis in the plane of x and y: no twist


def test_point_cloud_above_the_count_is_thinned():
    cloud = PointCloud(Streams(1).normal((100, 3), "points")[0] * 0.1, torch.rand(100, 3))
    model = GaussianModel.from_asset(cloud, Options(init={"count": 30}))
    assert len(model.parameters) == 30
    # each Gaussian is one of the points, with that point's colour
    distance, nearest = torch.cdist(
        model.parameters.means, cloud.points, compute_mode="donot_use_mm_for_euclid_dist"
    ).min(1)
    assert distance.max() < 1e-6
    assert len(nearest.unique()) == 30
    assert torch.allclose(model.parameters.colors, cloud.colors[nearest], atol=1e-5)


def test_start_from_a_file(tmp_path):
    path = tmp_path / "cloud.ply"
    assetio.write(PointCloud(CUBE, CUBE + 0.5), path, "ply")
    model = create(Options(init={"file": str(path)}), Streams(0))
    assert torch.allclose(model.parameters.means.sort(0).values, CUBE.sort(0).values, atol=1e-6)
    with pytest.raises(AssetError, match=r"missing\.ply"):
        create(Options(init={"file": str(tmp_path / "missing.ply")}), Streams(0))


@pytest.mark.parametrize(
    "asset",
    [
        PointCloud(torch.zeros(0, 3)),
        Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)),
        Splats(*(torch.zeros(0, *s) for s in ((3,), (3,), (4,), (), (1, 3)))),
    ],
)
def test_empty_assets_are_refused(asset):
    with pytest.raises(AssetError, match=r"nothing to start|no surface to start"):
        GaussianModel.from_asset(asset, Options())


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_splats_round_trip(degree):
    model = small_model(sh_degree=degree, sh_every=0)
    model.parameters.sh_rest.copy_(Streams(0).normal((40, (degree + 1) ** 2 - 1, 3), "rest")[0] * 0.1)
    model.parameters.rotations.copy_(Streams(0).normal((40, 4), "turn")[0])
    again = GaussianModel.from_asset(model.to_asset("splats"), model.options)
    look = look_from(turntable(3, 30.0), 24)
    first, second = model.render(look), again.render(look)
    assert torch.allclose(first["rgb"], second["rgb"], atol=1e-5)
    assert torch.allclose(first["alpha"], second["alpha"], atol=1e-5)


def test_harmonics_are_cut_or_filled_to_the_degree():
    splats = small_model(sh_degree=2).to_asset("splats")
    for degree in (0, 1, 3):
        model = GaussianModel.from_asset(splats, Options(sh_degree=degree))
        assert model.parameters.sh_rest.shape == (40, (degree + 1) ** 2 - 1, 3)


def test_fully_opaque_and_empty_splats_stay_finite():
    splats = one_gaussian().to_asset("splats")
    for opacity in (0.0, 1.0):
        edge = Splats(splats.means, splats.scales, splats.rotations, torch.tensor([opacity]), splats.sh)
        model = GaussianModel.from_asset(edge, Options())
        assert model.parameters.opacities.item() == pytest.approx(opacity, abs=2e-6)
        assert torch.isfinite(model.parameters.logit_opacities).all()


def test_degree_grows_with_progress():
    options = Options(sh_degree=3, sh_every=0.25)
    assert [sh_degree(options, p) for p in (0, 0.24, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 1, 2, 3, 3]
    assert sh_degree(Options(sh_degree=2, sh_every=0), 0.0) == 2
    model = small_model(sh_degree=1, sh_every=0.5, strategy="fixed")
    model.parameters.sh_rest[:] = 1.0
    look = look_from(turntable(1), 16)
    before = model.render(look)["rgb"]
    assert "sh_rest" not in {g.name for g in model.param_groups()}
    fit = Fit(model, total=2, side=8)
    kept = model.parameters.sh_rest.clone()
    fit.step(0)
    assert model.degree == 1
    assert torch.equal(model.parameters.sh_rest, kept)
    assert "sh_rest" in {g.name for g in model.param_groups()}
    with torch.no_grad():
        assert (model.render(look)["rgb"] - before).abs().max() > 0.1


def test_gamut_passes_only_gradients_that_lead_back():
    value = torch.tensor([-0.5, -0.5, 0.5, 1.5, 1.5], requires_grad=True)
    out = regularise.gamut(value)
    assert out.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    out.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert value.grad.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]


def test_regularisers_at_their_limits():
    empty, full = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    assert alpha_sparsity(empty) == pytest.approx(16 * 0.01)
    assert alpha_sparsity(full) == pytest.approx(16, rel=1e-3)
    assert alpha_entropy(full / 2) == pytest.approx(16 * math.log(2))
    assert alpha_entropy(empty) == pytest.approx(float(alpha_entropy(full)), rel=1e-3)
    assert alpha_entropy(full) < 0.2
    scales = torch.tensor([[0.1, 0.05, 0.3]])
    assert regularise.scale_excess(scales, 0.1) == pytest.approx(4.0)
    assert regularise.scale_excess(scales, 0.3) == pytest.approx(0.0, abs=1e-10)
    needle, disc = torch.tensor([[1.0, 1.0, 8.0]]).log(), torch.tensor([[8.0, 8.0, 1.0]]).log()
    assert regularise.anisotropy_excess(needle, 4.0) == pytest.approx(math.log(2) ** 2)
    assert regularise.anisotropy_excess(disc, 4.0) == 0.0


def test_weights_follow_the_run_and_zero_leaves_out():
    model = small_model(alpha=0, entropy={"linear": [0.0, 1.0]}, opacity=2.0, scale=0, anisotropy=0)
    render = model.render(look_from(turntable(1), 16))
    assert set(model.regularise(render, 0.0)) == {"opacity"}
    half, full = model.regularise(render, 0.5), model.regularise(render, 1.0)
    assert full["entropy"] == pytest.approx(2 * half["entropy"].item())
    assert full["opacity"] == pytest.approx(2 * 40 * 0.3, rel=1e-5)


def test_projection_keeps_what_is_allowed_and_moves_the_rest():
    p = small_model().parameters
    assert tree_hash(project(p, 0.85, 1e-4).named()) == tree_hash(p.named())
    p.means[0] = torch.tensor([3.0, 0.0, 4.0])
    p.log_scales[1] = -20.0
    p.sh_dc[2] = torch.tensor([9.0, -9.0, 0.0])
    moved = project(p, 0.85, 0.01)
    assert moved.means[0].tolist() == pytest.approx([0.51, 0.0, 0.68])
    assert moved.scales[1].tolist() == pytest.approx([0.01] * 3)
    assert moved.colors[2].tolist() == pytest.approx([1.0, 0.0, 0.5], abs=1e-6)
    assert moved.means[1:].equal(p.means[1:])


@given(st.floats(1e-5, 1 - 1e-5))
def test_logit_is_the_inverse_of_the_sigmoid(opacity):
    assert torch.sigmoid(logit(torch.tensor([opacity]))).item() == pytest.approx(opacity, abs=1e-6)


@pytest.mark.parametrize("strategy", ["densify", "mcmc", "fixed"])
def test_state_comes_back_exactly_into_another_model(strategy):
    fit = Fit(small_model(strategy=strategy, densify={"every": 2}, mcmc={"every": 2}), total=8, side=16)
    fit.run(0, 5)
    other = small_model(seed=9, count=3, strategy=strategy)
    other.load_state_dict(fit.model.state_dict())
    assert tree_hash(other.state_dict()) == tree_hash(fit.model.state_dict())
    fit.step(5)  # the copy does not share memory with the original
    assert tree_hash(other.state_dict()) != tree_hash(fit.model.state_dict())


def test_state_of_other_options_is_refused():
    state = small_model(sh_degree=1).state_dict()
    with pytest.raises(RunFolderError, match="sh_degree to 1"):
        small_model(sh_degree=0).load_state_dict(state)
    with pytest.raises(RunFolderError, match="strategy"):
        small_model(sh_degree=1, strategy="densify").load_state_dict(state)


def test_unknown_export_is_refused():
    with pytest.raises(AssetError, match='"voxels"'):
        small_model().to_asset("voxels")
