"""The grid representation: rendering, regularisers, growth, exact state, fitting, export."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sds3d.representations.base import Representation
from sds3d.representations.grid import GridField, Options, create
from sds3d.representations.grid.field import active_levels, blob, render_volume
from sds3d.representations.grid.surface import seen_color, surface_level, to_mesh
from sds3d.representations.raster.march_twin import sample_volume
from torch import Tensor

from sds3d.core.assets import Mesh
from sds3d.core.cameras import orbit, turntable
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.pictures import psnr
from sds3d.evaluate.silhouette import silhouette_iou
from sds3d.optimize.adam import Adam

SMALL = Options(resolutions=(4, 8), samples=16, picture_samples=16)


def look(views: int = 2, size: int = 12, **more) -> Look:
    cameras = orbit([40.0 + 360.0 * k / views for k in range(views)], 20.0)
    return Look(
        cameras, (size, size), torch.rand(views, 3, generator=torch.Generator().manual_seed(0)), **more
    )


def trainable(field: GridField) -> dict[str, Tensor]:
    params = {name: p for group in field.param_groups() for name, p in group.params.items()}
    for p in params.values():
        p.requires_grad_(True)
    return params


def test_it_keeps_the_protocol_and_starts_as_a_soft_ball() -> None:
    field = create(Options(), Streams(0))
    assert isinstance(field, Representation)
    render = field.render(look(want=frozenset({"rgb", "alpha", "depth"})))
    assert field.provides <= set(render)
    alpha = render["alpha"]
    assert alpha[:, 0, 5:7, 5:7].min() > 0.9
    assert alpha[:, 0, 0].max() < 0.01
    assert torch.allclose(render["depth"][:, 0, 6, 6], torch.tensor(2.2), atol=0.25)
    assert render["rgb"].min() >= 0
    assert render["rgb"].max() <= 1 + 1e-6


def test_a_seed_is_a_field() -> None:
    first, again, other = (create(SMALL, Streams(seed)).state_dict() for seed in (3, 3, 4))
    assert tree_hash(first) == tree_hash(again) != tree_hash(other)
    coarse, fine = (first["levels"][name].flatten()[:50] for name in ("level_4", "level_8"))
    assert not torch.equal(coarse, fine)
    assert fine.std() == pytest.approx(SMALL.initial_noise, rel=0.5)


def test_an_empty_field_shows_the_background_and_nothing_else() -> None:
    field = create(Options(resolutions=(4,), blob_bias=-200.0, initial_noise=0.0), Streams(0))
    request = look(want=frozenset({"depth"}))
    render = field.render(request)
    assert torch.equal(render["alpha"], torch.zeros(2, 1, 12, 12))
    assert torch.equal(render["depth"], torch.zeros(2, 1, 12, 12))
    assert torch.equal(render["rgb"], request.background[:, :, None, None].expand(2, 3, 12, 12))


def test_depth_is_measured_along_the_view_axis() -> None:
    # a solid slab with its face on the plane z = 0.3: one depth for every pixel of the front camera
    options, resolution = Options(resolutions=(64,), picture_samples=400), 64
    z = torch.linspace(-options.half_extent, options.half_extent, resolution)
    volume = torch.zeros(resolution, resolution, resolution, 4)
    volume[z < 0.3, ..., 0] = 3000.0
    request = Look(orbit([0.0], 0.0), (32, 32), torch.zeros(1, 3), want=frozenset({"depth"}))
    render = render_volume(volume, request, options)
    solid = render["alpha"] > 0.99
    assert solid.sum() > 200
    assert (render["depth"][solid] - 2.1).abs().max() < 0.03


def test_fov_and_azimuth_are_those_of_the_cameras() -> None:
    # a small ball at +x: right of the centre from the front, on the axis from azimuth 90
    options = Options(resolutions=(48,))
    line = torch.linspace(-options.half_extent, options.half_extent, 48)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    volume = torch.zeros(48, 48, 48, 4)
    volume[..., 0] = 500.0 * (((x - 0.5) ** 2 + y**2 + z**2).sqrt() < 0.1)
    request = Look(orbit([0.0, 90.0], 0.0), (65, 65), torch.zeros(2, 3))
    alpha = render_volume(volume, request, options)["alpha"][:, 0]
    column = (alpha.sum(1) * torch.arange(65)).sum(-1) / alpha.sum((1, 2))
    expected = 32 + 65 / 2 / math.tan(math.radians(22.5)) * 0.5 / 2.4
    assert column.tolist() == pytest.approx([expected, 32.0], abs=0.3)


def test_a_jitter_of_one_pixel_is_the_neighbour_s_ray() -> None:
    field, right = create(SMALL, Streams(1)), torch.tensor([1.0, 0.0]).expand(2, 12, 12, 2)
    plain, moved = field.render(look())["alpha"], field.render(look(jitter=right))["alpha"]
    torch.testing.assert_close(moved[..., :-1], plain[..., 1:], rtol=1e-4, atol=1e-5)


@given(st.integers(0, 2**31))
def test_ray_offsets_move_the_samples_and_leave_the_picture(seed: int) -> None:
    field = create(SMALL, Streams(1))
    plain = field.render(look())["alpha"]
    assert torch.equal(field.render(look(ray_offset=torch.full((2, 12, 12), 0.5)))["alpha"], plain)
    offset = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(seed))
    random = field.render(look(ray_offset=offset))["alpha"]
    assert not torch.equal(plain, random)
    assert (plain - random).mean().abs() < 0.03


def test_training_and_pictures_have_their_own_numbers_of_samples() -> None:
    field = create(SMALL.model_copy(update={"samples": 5, "picture_samples": 40}), Streams(1))
    with torch.no_grad():
        picture, volume = field.render(look())["alpha"], field.volume()
    trainable(field)
    training = field.render(look())["alpha"].detach()
    for alpha, count in ((training, 5), (picture, 40)):
        alike = SMALL.model_copy(update={"picture_samples": count})
        assert torch.equal(alpha, render_volume(volume, look(), alike)["alpha"])


def test_regularisers_are_the_stated_sums() -> None:
    options = SMALL.model_copy(update={"tv": lambda p: 0.5, "opacity": lambda p: 2.0, "entropy": lambda p: p})
    field = create(options, Streams(0))
    trainable(field)
    render = field.render(look())
    alpha, volume = render["alpha"].double(), field.volume().detach().double()
    scaled = volume / torch.tensor([options.density_gain, 1.0, 1.0, 1.0])
    p = alpha.clamp(1e-3, 1 - 1e-3)
    losses = field.regularise(render, 0.25)
    expected = {
        "tv": 0.5 * sum((scaled.diff(dim=axis) ** 2).sum() for axis in range(3)),
        "opacity": 2.0 * (alpha + 1e-4).sqrt().sum() / 2,
        "entropy": 0.25 * -(p * p.log() + (1 - p) * (1 - p).log()).sum() / 2,
    }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert float(losses[name].detach()) == pytest.approx(float(value.detach()), rel=1e-4), name
    sum(losses.values()).backward()
    assert all(p.grad.abs().max() > 0 for p in field.param_groups()[0].params.values())


def test_weights_of_zero_cost_nothing() -> None:
    field = create(
        SMALL.model_copy(update={k: lambda p: 0.0 for k in ("tv", "opacity", "entropy")}), Streams(0)
    )
    assert field.regularise(field.render(look()), 0.5) == {}


def test_the_recipe_s_learning_rate() -> None:
    (group,) = create(Options(), Streams(0)).param_groups()
    assert [group.lr(p) for p in (0.0, 0.025, 0.5, 1.0)] == pytest.approx([0.0, 0.02 * 0.98, 0.024, 0.008])


def test_state_is_exact_and_survives_the_disk_format() -> None:
    field = create(SMALL, Streams(0))
    for p in trainable(field).values():
        p.data.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    state = join(*split(field.state_dict()))
    twin = create(SMALL, Streams(9))
    twin.load_state_dict(state)
    assert tree_hash(twin.state_dict()) == tree_hash(state)
    assert torch.equal(twin.render(look())["rgb"], field.render(look())["rgb"])
    field.param_groups()[0].params["level_4"].data.zero_()
    assert tree_hash(twin.state_dict()) != tree_hash(field.state_dict()), "the loaded field shares memory"


def test_another_resolution_s_state_is_refused() -> None:
    state = create(Options(resolutions=(4, 6)), Streams(0)).state_dict()
    with pytest.raises(RunFolderError, match=r"resolutions"):
        create(SMALL, Streams(0)).load_state_dict(state)


def test_grids_are_switched_on_coarse_to_fine() -> None:
    options = Options(resolutions=(3, 5, 9), samples=8, grow_until=0.5)
    assert [active_levels(options, p) for p in (0.0, 0.24, 0.25, 0.49, 0.5, 1.0)] == [1, 1, 2, 2, 3, 3]
    field, total = create(options, Streams(0)), 20
    counts, moments = [], Adam()
    for step in range(total):
        counts.append(len(field.param_groups()[0].params))
        render = field.render(look())
        assert field.after_step(step, total, render, moments, Streams(0)) == {"grids": field.active}
    assert counts == [1] * 5 + [2] * 5 + [3] * 10
    resumed = create(options, Streams(1))
    resumed.load_state_dict(field.state_dict())
    assert resumed.active == 3


def test_unused_grids_do_not_show() -> None:
    options = Options(resolutions=(3, 9), samples=8, grow_until=1.0)
    field = create(options, Streams(0))
    before = field.render(look())["rgb"]
    field.levels[1].add_(5.0)
    assert torch.equal(field.render(look())["rgb"], before)


def test_wrong_resolutions_are_refused() -> None:
    for value in [(8, 8), (12, 6), (1, 4), ()]:
        with pytest.raises(ValidationError):
            Options(resolutions=value)


def test_only_meshes_are_exported() -> None:
    with pytest.raises(AssetError, match="splats"):
        create(SMALL, Streams(0)).to_asset("splats")


def box_views(size: int) -> tuple[Look, Tensor]:
    """Eight pictures of a box with a colour a side."""
    corners = torch.tensor([[x, y, z] for x in (-0.4, 0.4) for y in (-0.3, 0.3) for z in (-0.5, 0.5)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    palette = torch.tensor(
        [[0.9, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.3, 0.9], [0.9, 0.9, 0.2], [0.8, 0.3, 0.8]]
    )
    vertices, faces, colors = [], [], []
    for side, quad in enumerate(quads):
        start = len(vertices)
        vertices += [corners[i] for i in quad]
        colors += [palette[side % 5]] * 4
        faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    mesh = Mesh(torch.stack(vertices), torch.tensor(faces), torch.stack(colors))
    cameras = orbit([45.0 * k + 10 for k in range(8)], [25.0, -15.0] * 4)
    request = Look(cameras, (size, size), torch.ones(8, 3))
    return request, render_mesh(mesh, cameras, (size, size), torch.ones(8, 3), samples=2)["rgb"]


def test_a_small_grid_learns_a_coloured_box() -> None:
    request, truth = box_views(24)
    field, adam = create(Options(resolutions=(5, 10, 20), samples=24, picture_samples=24), Streams(0)), Adam()
    start = psnr(field.render(request)["rgb"].detach(), truth).mean()
    for step in range(60):
        params = trainable(field)
        for p in params.values():
            p.grad = None
        render = field.render(request)
        loss = ((render["rgb"] - truth) ** 2).sum() + sum(field.regularise(render, step / 60).values()) * 0.01
        loss.backward()
        lr = field.param_groups()[0].lr(0.3) * 3
        adam.step([(params, {k: p.grad for k, p in params.items()}, lr)])
    with torch.no_grad():
        final = psnr(field.render(request)["rgb"], truth).mean()
    assert final > 24
    assert final > start + 10


def torus_volume(options: Options, gain: float) -> Tensor:
    """A torus around the y axis that grows dense over about two cells, red on +x and blue on -x."""
    resolution, h = options.resolutions[-1], options.half_extent
    line = torch.linspace(-h, h, resolution)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    distance = (((x**2 + z**2).sqrt() - 0.45) ** 2 + y**2).sqrt() - 0.22
    volume = torch.full((resolution, resolution, resolution, 4), 0.1)
    volume[..., 0] = options.density_gain * torch.nn.functional.softplus(-gain * distance)
    volume[..., 1], volume[..., 3] = (x > 0).float(), (x <= 0).float()
    return volume


@pytest.mark.parametrize("gain", [20.0, 60.0, 200.0])
def test_the_exported_surface_is_the_one_that_is_seen(gain: float) -> None:
    options = Options()
    volume = torus_volume(options, gain)
    mesh = to_mesh(volume, options)
    cameras = turntable(6, elevation_deg=35.0)
    request = Look(cameras, (96, 96), torch.ones(6, 3))
    seen, exported = render_volume(volume, request, options), render_mesh(mesh, cameras, (96, 96))
    assert silhouette_iou(seen["alpha"], exported["alpha"]).min() >= 0.95
    inside = (seen["alpha"] > 0.99) & (exported["alpha"] > 0.99)
    error = ((seen["rgb"] - exported["rgb"]).abs() * inside).sum() / (3 * inside.sum())
    assert error < 0.05


def test_a_field_that_is_nowhere_solid_is_cut_where_one_cell_is_half_opaque() -> None:
    options, volume = Options(), torch.full((48, 48, 48, 4), 0.1)
    cell = 2 * options.half_extent / 47
    assert math.exp(-surface_level(volume, options) * cell) == pytest.approx(0.5)
    with pytest.raises(AssetError, match="empty"):
        to_mesh(volume, options)


def test_exported_colours_are_those_below_the_haze() -> None:
    # a red ball that hardens inwards, in blue haze that weighs nothing: whoever looks sees red
    options = Options()
    line = torch.linspace(-options.half_extent, options.half_extent, 48)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    radius = (x**2 + y**2 + z**2).sqrt()
    volume = torch.zeros(48, 48, 48, 4)
    volume[..., 0] = 300.0 * torch.sigmoid((0.45 - radius) * 120)
    volume[..., 1], volume[..., 3] = (radius < 0.5).float(), (radius >= 0.5).float()
    points = 0.52 * torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    )
    field = sample_volume(volume, points, options.half_extent)[:, 1:]
    seen = seen_color(volume, points, options)
    assert field[:, 2].mean() > 0.6
    assert seen[:, 0].min() > 0.8


def test_exported_colours_are_those_of_the_skin() -> None:
    # green skin on red flesh; the points lie below the middle of the skin
    options = Options(resolutions=(96,))
    line = torch.linspace(-options.half_extent, options.half_extent, 96)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    radius = (x**2 + y**2 + z**2).sqrt()
    volume = torch.zeros(96, 96, 96, 4)
    volume[..., 0] = 120.0 * (1 - radius) * (radius < 0.5)
    volume[..., 1], volume[..., 2] = (radius < 0.44).float(), (radius >= 0.44).float()
    points = 0.46 * torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    )
    assert seen_color(volume, points, options)[:, 0].mean() < 0.15


def test_colours_where_nothing_is_are_the_field_s_own() -> None:
    volume = torch.zeros(6, 6, 6, 4)
    volume[..., 2] = 0.7
    seen = seen_color(volume, torch.zeros(3, 3), Options(resolutions=(6,)))
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.7, 0.0]).expand(3, 3))


def test_a_trained_looking_field_exports_through_to_asset() -> None:
    field = create(Options(resolutions=(24,), blob_bias=0.0, blob_slope=30.0), Streams(0))
    mesh = field.to_asset("mesh")
    radius = mesh.vertices.norm(dim=-1)
    assert mesh.colors.shape == mesh.vertices.shape
    assert radius.min() > 0.4
    assert radius.max() < 0.62


def test_the_blob_falls_from_its_centre_and_ends_in_emptiness() -> None:
    options = Options()
    raw = blob(options, 49)
    line = torch.linspace(-options.half_extent, options.half_extent, 49)
    assert raw[24, 24, 24] == pytest.approx(-4.5 + 10 * 0.5)
    assert (raw[24, 24, 24:].diff()[:20] < 0).all()
    assert torch.equal(raw[24, 24].isinf(), line.abs() >= 0.8)
