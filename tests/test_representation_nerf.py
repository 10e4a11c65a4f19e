"""The neural radiance field: what it starts as, what it draws, how it learns, what survives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nerf_cases import WANT, disturbed, look, options, train, trainable
from raster_cases import native_levels, warp_kernels
from sds3d.representations.base import Representation
from sds3d.representations.nerf import Options, create, occupancy, regularise
from sds3d.representations.nerf.field import blob
from sds3d.representations.nerf.model import active_levels
from sds3d.representations.raster.sampled_rays import sample
from torch import Tensor

from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash
from sds3d.optimize.adam import Adam

NATIVE = ["native"] if native_levels()[0] == "baseline" else native_levels()


def test_it_keeps_the_protocol_and_starts_as_a_soft_grey_ball() -> None:
    model = create(Options(), Streams(0))
    assert isinstance(model, Representation)
    with torch.no_grad():
        render = model.render(look(size=12, want=WANT))
    assert model.provides <= set(render)
    alpha = render["alpha"]
    assert alpha[:, 0, 5:7, 5:7].min() > 0.9
    assert alpha[:, 0, 0].max() < 0.01
    assert torch.allclose(render["depth"][:, 0, 6, 6], torch.tensor(2.2), atol=0.25)
    assert (render["rgb"][:, :, 6, 6] - 0.5).abs().max() < 0.1


def test_a_seed_is_a_field() -> None:
    first, again, other = (create(options(), Streams(seed)).state_dict() for seed in (3, 3, 4))
    assert tree_hash(first) == tree_hash(again) != tree_hash(other)


def test_an_empty_field_shows_the_background_and_nothing_else() -> None:
    model = create(options(blob_bias=-200.0, occupancy={"warmup": 0.0}), Streams(0))
    assert not model.occupancy.occupied.any()
    request = look(want=WANT)
    render = model.render(request)
    for name in ("alpha", "depth", "normal"):
        assert torch.equal(render[name], torch.zeros_like(render[name]))
    assert torch.equal(render["rgb"], request.background[:, :, None, None].expand(2, 3, 10, 10))
    params = trainable(model)
    render = model.render(request)
    (render["rgb"].sum() + render["normal"].sum()).backward()
    assert all(p.grad is None or not p.grad.any() for p in params.values())


@pytest.mark.parametrize("name", [*NATIVE, *warp_kernels()])
@pytest.mark.parametrize("normals", ["analytic", "finite_difference"])
def test_kernels_draw_what_the_twin_draws(name, normals) -> None:
    found = []
    for which in ("twin", name):
        model = disturbed(rasterizer=which, normals=normals, orientation=1.0, distortion=1.0, z_variance=1.0)
        params = trainable(model)
        render = model.render(look(want=WANT))
        shown = [render[key] for key in sorted(WANT)]
        weight = torch.linspace(0.5, 1.5, 10)  # so that nothing cancels
        losses = model.regularise(render, 0.5)
        total = sum((s * weight).sum() for s in shown) + sum(losses.values())
        total.backward()
        found.append(
            [
                *[s.detach() for s in shown],
                *[v.detach() for v in losses.values()],
                *[p.grad for p in params.values()],
            ]
        )
    for exact, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, exact, rtol=2e-3, atol=2e-3 * max(1e-2, float(exact.abs().max())))


def test_normals_are_the_slope_of_the_density() -> None:
    model = disturbed(rasterizer="twin")
    generator = torch.Generator().manual_seed(0)
    points = (0.5 * torch.randn(60, 3, generator=generator)).clamp(-0.8, 0.8)
    places = points.clone().requires_grad_()
    raw = model.field.raw(places)[:, 0] + blob(places, model.options)
    (slope,) = torch.autograd.grad(raw.sum(), places)
    torch.testing.assert_close(model.field.slopes(points), slope, rtol=1e-3, atol=1e-3)
    expected = -torch.nn.functional.normalize(slope, dim=1)
    torch.testing.assert_close(model.field.normals(points), expected, rtol=1e-3, atol=1e-3)
    near = replace(model.field, options=model.options.model_copy(update={"normal_step": 1e-3}))
    error = (near.differences(points) - slope).norm(dim=1) / slope.norm(dim=1)
    assert error.median() < 0.02  # a step may cross a wall of a cell


def test_normals_learn_through_table_and_network() -> None:
    model = disturbed()
    params = trainable(model)
    points = torch.linspace(-0.5, 0.5, 30).reshape(10, 3)
    model.field.normals(points)[:, 0].sum().backward()
    assert params["table"].grad.abs().sum() > 0
    assert params["weight_0"].grad.abs().sum() > 0
    assert params["weight_1"].grad[0].abs().sum() > 0


def test_hidden_samples_are_left_out_without_a_trace() -> None:
    model = disturbed(density_gain=400.0)
    with torch.no_grad():
        full = model.render(look())
    trainable(model)
    learning = model.render(look())
    every = sample(model.occupancy.occupied, *_rays(), half=model.options.half_extent, samples=16)
    assert len(learning["ray_weight"]) < len(every)
    torch.testing.assert_close(learning["rgb"], full["rgb"], rtol=1e-5, atol=1e-6)


def _rays() -> tuple[Tensor, Tensor]:
    from sds3d.core.cameras import rays

    origins, directions = (v.reshape(-1, 3).contiguous() for v in rays(look().cameras, (10, 10)))
    return origins, directions


def test_chunks_of_rays_change_nothing(monkeypatch) -> None:
    model = disturbed()
    with torch.no_grad():
        whole = model.render(look(want=WANT))
        monkeypatch.setattr("sds3d.representations.nerf.render.RAYS", 7)
        parts = model.render(look(want=WANT))
    for name in WANT:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-5, atol=1e-6)


def test_places_lie_one_in_each_cell() -> None:
    o = options()
    size, half = o.occupancy.resolution, o.half_extent
    places = occupancy.places(o, Streams(0), 3)
    cell = ((places + half) * (size / (2 * half))).long().clamp(0, size - 1)
    number = cell[:, 0] + size * (cell[:, 1] + size * cell[:, 2])
    assert torch.equal(number, torch.arange(size**3))
    assert not torch.equal(places, occupancy.places(o, Streams(0), 4))


def test_occupancy_remembers_the_densest_and_forgets_slowly() -> None:
    model = create(options(occupancy={"decay": 0.5, "warmup": 0.0}), Streams(0))
    first = occupancy.update(None, model.field, Streams(0), 0, False)
    assert torch.equal(first.occupied, first.density > occupancy.level(model.options))
    assert first.occupied[3, 3, 3]
    assert not first.occupied[0, 0, 0]
    empty = replace(model.field, options=options(blob_bias=-500.0, occupancy={"decay": 0.5}))
    faded = occupancy.update(first, empty, Streams(0), 1, False)
    torch.testing.assert_close(faded.density, 0.5 * first.density)
    again = occupancy.update(faded, model.field, Streams(0), 0, False)
    assert torch.equal(again.density, first.density)


def test_every_cell_is_marched_through_at_first_and_empty_ones_are_not_later() -> None:
    model, adam = create(options(occupancy={"warmup": 0.3}), Streams(0)), Adam()
    assert model.occupancy.occupied.all()
    train(model, range(2), 10, adam)
    assert model.occupancy.occupied.all()
    train(model, range(2, 6), 10, adam)
    assert not model.occupancy.occupied.all()


def test_levels_are_switched_on_coarse_to_fine() -> None:
    o = options(encoding={"levels": 5, "start": 2, "grow_until": 0.5})
    found = [active_levels(o, p) for p in (0.0, 0.16, 0.17, 0.34, 0.5, 1.0)]
    assert found == [2, 2, 3, 4, 5, 5]
    assert active_levels(options(encoding={"grow_until": 0.0}), 0.0) == 3
    model = create(options(encoding={"grow_until": 1.0}), Streams(0))
    first = model.field.options.encoding.grid().offsets[1]
    before = model.field.table.clone()
    train(model, range(2), 10, Adam())
    assert not torch.equal(model.field.table[:first], before[:first])
    assert torch.equal(model.field.table[first:], before[first:])


@pytest.mark.parametrize("kind", ["solid", "network"])
def test_learned_backgrounds_stand_behind_the_object_and_learn(kind) -> None:
    background = {"kind": kind, "color": (0.2, 0.6, 0.9)}
    model = create(options(background=background, blob_bias=-200.0), Streams(0))
    params = trainable(model)
    assert {g.name for g in model.param_groups()} == {"table", "network", "background"}
    rgb = model.render(look())["rgb"]
    expected = torch.tensor([0.2, 0.6, 0.9])[None, :, None, None].expand_as(rgb)
    torch.testing.assert_close(rgb, expected, rtol=0, atol=1e-5 if kind == "solid" else 0.25)
    assert (rgb.std((2, 3)).max() > 1e-4) == (kind == "network")
    rgb.sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in params.items() if name.startswith("background"))
    again = create(options(background=background, blob_bias=-200.0), Streams(5))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.render(look())["rgb"], rgb)


def samples_of_two_rays() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights, distances, lengths and starts: three samples, none, two."""
    weight = torch.tensor([0.3, 0.2, 0.4, 0.1, 0.2])
    distance = torch.tensor([1.0, 1.5, 2.5, 1.2, 1.4])
    return weight, distance, torch.full((5,), 0.25), torch.tensor([0, 3, 3, 5])


def test_distortion_is_the_double_sum() -> None:
    weight, distance, length, starts = samples_of_two_rays()
    expected = 0.0
    for a, b in [(0, 3), (3, 5)]:
        w, t = weight[a:b], distance[a:b]
        expected += (w[:, None] * w * (t[:, None] - t).abs()).sum() + (w**2 * length[a:b]).sum() / 3
    torch.testing.assert_close(regularise.distortion(weight, distance, length, starts), expected)
    leaf = weight.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w: regularise.distortion(w, distance.double(), length.double(), starts), leaf
    )


def test_z_variance_is_that_of_depth_on_solid_rays() -> None:
    weight, distance, length, starts = samples_of_two_rays()
    w, t = weight[:3] / weight[:3].sum(), distance[:3]
    expected = (w * (t - (w * t).sum()) ** 2).sum()  # the other ray is thin air
    torch.testing.assert_close(regularise.z_variance(weight, distance, length, starts), expected)


def test_orientation_counts_what_faces_away_with_fixed_weights() -> None:
    weight, facing = (
        torch.tensor([0.5, 0.25], requires_grad=True),
        torch.tensor([0.4, -0.9], requires_grad=True),
    )
    loss = regularise.orientation(weight, facing)
    assert float(loss.detach()) == pytest.approx(0.5 * 0.16)
    loss.backward()
    assert weight.grad is None
    assert facing.grad.tolist() == pytest.approx([0.4, 0.0])


def test_weights_of_zero_cost_nothing() -> None:
    model = create(options(opacity=0.0, entropy=0.0, z_variance=0.0), Streams(0))
    trainable(model)
    render = model.render(look())
    assert model.regularise(render, 0.5) == {}
    assert "ray_facing" not in render


@pytest.mark.parametrize("seed", [0, 1])
def test_ray_offsets_move_the_samples_and_leave_the_picture(seed) -> None:
    model = create(options(), Streams(seed))
    offset = torch.rand(2, 10, 10, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        plain = model.render(look())["alpha"]
        random = model.render(look(ray_offset=offset))["alpha"]
    assert not torch.equal(plain, random)
    assert (plain - random).mean().abs() < 0.05


def test_state_is_exact_and_a_stopped_training_goes_on_as_if_it_had_not() -> None:
    whole, adam = create(options(), Streams(0)), Adam()
    train(whole, range(3), 8, adam)
    saved, moments = join(*split(whole.state_dict())), adam.state_dict()
    resumed, other = create(options(), Streams(9)), Adam()
    resumed.load_state_dict(saved)
    other.load_state_dict(moments)
    assert tree_hash(resumed.state_dict()) == tree_hash(whole.state_dict())
    train(whole, range(3, 8), 8, adam)
    assert tree_hash(resumed.state_dict()) != tree_hash(whole.state_dict()), "the loaded field shares memory"
    train(resumed, range(3, 8), 8, other)
    assert tree_hash(resumed.state_dict()) == tree_hash(whole.state_dict())


def test_another_field_s_state_is_refused() -> None:
    state = create(options(hidden=16), Streams(0)).state_dict()
    with pytest.raises(RunFolderError, match="hidden"):
        create(options(), Streams(0)).load_state_dict(state)


def test_impossible_options_are_refused() -> None:
    for wrong in ({"encoding": {"base": 20}}, {"encoding": {"features": 3}}, {"hidden": 0}):
        with pytest.raises(ValueError, match=r"base|Input|greater"):
            options(**wrong)


def test_the_ball_exports_as_a_mesh_and_as_nothing_else(monkeypatch) -> None:
    monkeypatch.setattr("sds3d.representations.nerf.surface.RESOLUTION", 40)
    o = options(encoding={"initial_noise": 0.0}, blob_bias=0.0, blob_slope=30.0, occupancy={"resolution": 16})
    model = create(o, Streams(0))
    with torch.no_grad():
        normal = model.render(look(size=11, want=WANT))["normal"][:, :, 5, 5]
    torch.testing.assert_close(normal, look().cameras.position / 2.4, rtol=0, atol=1e-3)
    mesh = model.to_asset("mesh")
    radius = mesh.vertices.norm(dim=1)
    assert radius.min() > 0.4
    assert radius.max() < 0.62
    assert (mesh.colors - 0.5).abs().max() < 0.05
    with pytest.raises(AssetError, match="splats"):
        model.to_asset("splats")
