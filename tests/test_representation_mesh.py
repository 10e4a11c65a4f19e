"""The textured mesh: pictures, gradients, regularisers, exact states, exports."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from raster_cases import implementations
from sds3d.representations import mesh as package
from sds3d.representations.base import Representation
from sds3d.representations.mesh.options import HashOptions, MaterialOptions, Options
from small_run import small_folder
from test_mesh_surface import apart, ball, cube, textured

from sds3d.assetio.kinds import read
from sds3d.core.assets import Material, Mesh, PointCloud
from sds3d.core.cameras import orbit, turntable
from sds3d.core.color import linear_to_srgb
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.lights import Lights, headlight
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.pictures import psnr
from sds3d.jobs.execute import execute
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build, natural_colours

pytest.importorskip("xatlas")

LIT = Options(texture_size=64, shading="pbr", material=MaterialOptions(learn=True, normal_map=True))


def look_at(count: int = 3, side: int = 48, **more) -> Look:
    """Views all round, on different backgrounds."""
    background = torch.linspace(0.2, 1.0, count)[:, None].expand(count, 3)
    return Look(turntable(count, 20.0), (side, side), background, **more)


def model_of(asset: Mesh, **options) -> package.MeshModel:
    """With a small texture."""
    return package.from_asset(
        asset, Options(**({"texture_size": 64, "shading": "unlit"} | options)), Streams(0)
    )


def natural(name: str) -> Mesh:
    """An object of the catalogue in its usual colours."""
    kind = find(name)
    return build(kind).mesh(natural_colours(kind), name)


@pytest.mark.parametrize("name", ["car", "mushroom"])
def test_a_painted_mesh_looks_as_it_did(name) -> None:
    asset, look = natural(name), look_at(4, 96)
    model = model_of(asset, texture_size=256)
    assert isinstance(model, Representation)
    out = model.render(look)
    truth = render_mesh(asset, look.cameras, look.size, look.background, samples=4)
    assert psnr(out["rgb"], truth["rgb"]).min() > 35
    assert (out["alpha"] - truth["alpha"]).abs().mean() < 2e-3
    solid = (truth["alpha"] > 0.99) & (out["alpha"] > 0.99)
    assert (out["depth"] - truth["depth"])[solid].abs().mean() < 2e-3
    assert out["alpha"].min() >= 0
    assert out["rgb"].max() <= 1


@pytest.mark.parametrize("name", implementations())
def test_every_implementation_draws_the_same(name) -> None:
    choice = name if name in ("twin", "warp") else "native"
    asset, look = textured(cube()), look_at(2, 20)
    expected, out = (
        model_of(asset, shading="pbr", rasterizer=which).render(look) for which in ("twin", choice)
    )
    for key, value in out.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=2e-5)


def test_normals_are_the_surfaces_in_world_axes() -> None:
    out = model_of(ball()).render(look_at(2, 64))
    look = look_at(2, 64)
    focal = look.cameras.focal(64)[0]
    v, u = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing="ij")
    local = torch.stack([u / focal, -v / focal, -torch.ones(64, 64)], dim=-1)
    point = torch.einsum("bij,hwj->bhwi", look.cameras.c2w[:, :3, :3], local) * out["depth"][:, 0, ..., None]
    radial = F.normalize(point + look.cameras.position[:, None, None], dim=-1).movedim(3, 1)
    inside = out["alpha"][:, 0] > 0.999
    assert (radial * out["normal"]).sum(1)[inside].min() > 0.98


def test_an_exported_mesh_is_the_same_again() -> None:
    look = look_at()
    for options in (Options(texture_size=64, shading="unlit"), LIT):
        model = package.from_asset(natural("mug"), options, Streams(0))
        generator = torch.Generator().manual_seed(0)
        if options.shading == "pbr":
            maps = model.paint.maps()
            maps["metallic_roughness"].copy_(0.2 + 0.6 * torch.rand(64, 64, 2, generator=generator))
            maps["slopes"].fill_(0.2)
        asset = model.to_asset("mesh")
        again = package.from_asset(asset, options, Streams(0))
        a, b = model.render(look)["rgb"], again.render(look)["rgb"]
        assert psnr(a, b).min() > (60 if options.shading == "unlit" else 35)
        assert (asset.material is None) == (options.shading == "unlit")
    assert asset.material.normal.shape == (3, 64, 64)
    assert asset.material.metallic_roughness.shape == (2, 64, 64)
    with pytest.raises(AssetError, match="not as"):
        model.to_asset("splats")


def test_a_stage_goes_on_from_a_textured_mesh() -> None:
    from sds3d.representations import gaussians, tetmesh

    from sds3d.jobs.conversion import passed_on

    model = package.from_asset(natural("mug"), LIT, Streams(0))
    finer = package.from_asset(model, LIT.model_copy(update={"texture_size": 128}), Streams(0))
    assert finer.to_asset("mesh").texture.shape == (3, 128, 128)
    assert psnr(finer.render(look_at())["rgb"], model.render(look_at())["rgb"]).min() > 35
    assert passed_on(tetmesh.Options(), LIT) == "mesh"
    assert passed_on(gaussians.Options(), LIT) == "mesh"


def test_files_carry_texture_and_material(tmp_path) -> None:
    from sds3d import assetio

    model = package.from_asset(natural("mug"), LIT, Streams(0))
    path = assetio.write(model.to_asset("mesh"), tmp_path / "mug.glb")[-1]
    read = assetio.read(path).mesh
    assert (
        read.material.roughness == pytest.approx(0.6, abs=1e-6)
        or read.material.metallic_roughness is not None
    )
    again = package.create(replace_file(LIT, path), Streams(0))
    out, expected = again.render(look_at())["rgb"], model.render(look_at())["rgb"]
    assert psnr(out, expected).min() > 40


def replace_file(options: Options, path) -> Options:
    """Options that read that file as it stands."""
    return options.model_copy(update={"file": str(path), "fit_radius": None})


def test_a_run_learns_material_and_relief_into_its_glb(tmp_path) -> None:
    lit = {
        "kind": "mesh",
        "shape": "cube",
        "texture_size": 64,
        "material": {"learn": True, "normal_map": True},
    }
    folder = small_folder(tmp_path, representation=lit, prior__shape=[3, 16, 16], export=["glb"])
    execute(folder)
    learned, start = read(folder.assets()["glb"]).mesh.material, Options.model_validate(lit).material
    roughness = learned.metallic_roughness[1]  # metallic is at its bound, and may stay there
    assert ((roughness - start.roughness).abs() > 0.01).float().mean() > 0.05
    slopes = 2 * learned.normal[:2] - 1
    assert (slopes.abs() > 0.02).float().mean() > 0.05


def test_far_away_a_pattern_is_its_mean_light() -> None:
    v, u = torch.meshgrid(torch.arange(128) // 2 % 2, torch.arange(128) // 2 % 2, indexing="ij")
    corners = torch.tensor([[-1.0, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]]) * 0.7
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    board = Mesh(
        corners, torch.tensor([[0, 2, 1], [0, 3, 2]]), uv=uv, texture=((u + v) % 2).float().expand(3, -1, -1)
    )
    model = model_of(board, texture_size=256, mip_levels=8)
    far = Look(orbit([0.0], 0.0, 2.4, 100.0), (24, 24), torch.zeros(1, 3))
    middle = model.render(far)["rgb"][0, :, 10:14, 10:14]
    grey = float(linear_to_srgb(torch.tensor(0.5)))
    assert (middle - grey).abs().max() < 0.04
    sharp = model_of(board, texture_size=256, mip_levels=1).render(far)["rgb"][0, :, 10:14, 10:14]
    assert sharp.std() > 3 * middle.std()


def test_light_comes_from_the_look_and_else_from_the_studio() -> None:
    model = model_of(ball(), shading="pbr", color=(0.8, 0.8, 0.8))
    plain, look = model.render(look_at()), look_at()
    lit = model.render(replace(look, lights=headlight(look.cameras)))
    assert (plain["rgb"] - lit["rgb"]).abs().max() > 0.1
    unlit = model_of(ball(), color=(0.8, 0.8, 0.8)).render(replace(look, lights=headlight(look.cameras)))
    solid = unlit["alpha"].expand(-1, 3, -1, -1) > 0.999
    torch.testing.assert_close(unlit["rgb"][solid], torch.full((int(solid.sum()),), 0.8), rtol=0, atol=1e-4)


@pytest.mark.parametrize("slopes", [(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)])
@pytest.mark.parametrize("wound", [1, -1])
def test_a_roof_with_relief_is_lit_from_above_however_low_the_eye_is(slopes, wound) -> None:
    corners = torch.tensor([[-0.7, 0.0, -0.7], [-0.7, 0.0, 0.7], [0.7, 0.0, 0.7], [0.7, 0.0, -0.7]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    faces = faces if wound > 0 else faces.flip(1)
    roof = Mesh(corners, faces, normals=torch.tensor([[0.0, 1.0, 0.0]]).repeat(4, 1))
    model = package.from_asset(roof, LIT.model_copy(update={"color": (0.8, 0.8, 0.8)}), Streams(0))
    with torch.no_grad():
        trained(model)["slopes"].copy_(torch.tensor(slopes).expand(64, 64, 2))
    cameras, white = orbit([0.0], 8.0), torch.ones(1, 3)
    lights = Lights(torch.tensor([[0.0, 1.0, 0.0]]), white, 0.0 * white)
    out = model.render(Look(cameras, (48, 48), 0.0 * white, lights=lights))
    inside = out["alpha"][0, 0] > 0.999
    assert inside.sum() > 50
    # 0.8 of the light times the cosine of the slope, in sRGB
    assert out["rgb"][0, :, inside].min() > 0.75


def trained(model: package.MeshModel) -> dict[str, torch.Tensor]:
    """Its parameters by name, asking for gradients."""
    return {n: p.requires_grad_() for g in model.param_groups() for n, p in g.params.items()}


def test_gradients_reach_everything_that_is_learned() -> None:
    model = package.from_asset(ball(), LIT.model_copy(update={"max_offset": 0.1}), Streams(0))
    params = trained(model)
    assert params.keys() == {"base_color", "metallic_roughness", "slopes", "offsets"}
    out = model.render(look_at())
    value = out["rgb"].square().sum() + out["alpha"].sum() + out["depth"].sum() + out["normal"][:, 0].sum()
    grads = dict(zip(params, torch.autograd.grad(value, list(params.values())), strict=True))
    for name, grad in grads.items():
        assert grad.isfinite().all(), name
        assert (grad != 0).float().mean() > 0.02, name


def test_gradients_are_the_slopes_of_the_picture() -> None:
    options = Options(texture_size=32, shading="pbr", samples=1, rasterizer="twin", max_offset=0.1)
    model = package.from_asset(textured(ball()), options, Streams(0))
    weights = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    look = look_at(1, 24)
    params = trained(model)
    value = (model.render(look)["rgb"] * weights).sum()
    grads = dict(zip(params, torch.autograd.grad(value, list(params.values())), strict=True))
    generator = torch.Generator().manual_seed(1)
    for name, step, tolerance in (("base_color", 1e-3, 0.02), ("offsets", 1e-3, 0.35)):
        direction = torch.randn(params[name].shape, generator=generator)
        if name == "offsets":  # along the surface's normals, so that silhouettes move too
            direction = F.normalize(model.surface.vertices, dim=1)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                params[name].add_(sign * step * direction)
                ends.append(float((model.render(look)["rgb"].double() * weights).sum()))
                params[name].sub_(sign * step * direction)
        slope, wanted = (ends[0] - ends[1]) / (2 * step), float((grads[name] * direction).sum())
        assert slope == pytest.approx(wanted, rel=tolerance), name


def test_outlines_pull_the_surface_to_where_it_should_be() -> None:
    small = model_of(ball(), max_offset=0.3, color=(0.0, 0.0, 0.0))
    large = replace(ball(), vertices=1.2 * ball().vertices)
    look = replace(look_at(4, 32), background=torch.ones(4, 3))
    target = render_mesh(
        replace(large, colors=torch.zeros_like(large.vertices)), look.cameras, (32, 32), samples=4
    )
    (offsets,) = (p for n, p in trained(small).items() if n == "offsets")
    (grad,) = torch.autograd.grad((small.render(look)["rgb"] - target["rgb"]).square().sum(), offsets)
    outward = -(grad * F.normalize(small.surface.vertices, dim=1)).sum(1)
    assert outward.sum() > 0
    assert (outward > -1e-4).float().mean() > 0.95


def test_a_step_stays_in_range() -> None:
    model = package.from_asset(ball(), LIT.model_copy(update={"max_offset": 0.1}), Streams(0))
    params = trained(model)
    with torch.no_grad():
        for value in params.values():
            value.add_(3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    slopes = params["slopes"].detach().clone()
    metrics = model.after_step(0, 10, {}, None, Streams(0))
    for name in ("base_color", "metallic_roughness"):
        assert params[name].min() == 0
        assert params[name].max() == 1
    assert torch.equal(params["slopes"], slopes)
    assert float(params["offsets"].detach().norm(dim=1).max()) <= 0.1 + 1e-6
    assert metrics["offset"] > 0.1
    assert model_of(ball()).after_step(0, 10, {}, None, Streams(0)) == {}


def test_regularisers_vanish_where_they_should() -> None:
    options = LIT.model_copy(update={"max_offset": 0.5, "color": (0.3, 0.4, 0.5)})
    model = package.from_asset(cube(), options, Streams(0))
    losses = model.regularise({}, 0.5)
    assert losses.keys() == {"smoothness", "material", "flatness", "laplacian"}
    assert all(float(loss) < 1e-9 for loss in losses.values())
    maps = model.paint.maps()
    maps["base_color"][~model.paint.charts] += 0.3  # what no view shows is free
    assert float(model.regularise({}, 0.5)["smoothness"]) < 1e-9
    maps["base_color"].add_(0.1 * torch.randn(64, 64, 3, generator=torch.Generator().manual_seed(0)))
    maps["metallic_roughness"].add_(0.1)
    maps["slopes"].add_(0.1)
    model.offsets += torch.tensor([0.1, 0.2, 0.3])  # as a whole
    losses = model.regularise({}, 0.5)
    assert float(losses["smoothness"]) > 1
    assert float(losses["material"]) == pytest.approx(0.01, rel=1e-4)
    assert float(losses["flatness"]) == pytest.approx(0.01, rel=1e-4)
    assert float(losses["laplacian"]) < 1e-8
    model.offsets[0] += 0.1
    assert float(model.regularise({}, 0.5)["laplacian"]) > 1
    assert model_of(ball(), smoothness=0.0).regularise({}, 0.0) == {}


def test_a_state_is_the_whole_model() -> None:
    options = LIT.model_copy(update={"max_offset": 0.2})
    model = package.from_asset(textured(ball()), options, Streams(0))
    for value in trained(model).values():
        value.detach().add_(0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    other = package.from_asset(cube(), options, Streams(0))
    other.load_state_dict(model.state_dict())
    for key, value in model.render(look_at()).items():
        assert torch.equal(value, other.render(look_at())[key]), key
    assert other.bounds == model.bounds
    assert model.regularise({}, 0.3) == other.regularise({}, 0.3)
    state = model.state_dict()
    with torch.no_grad():
        other.offsets.add_(1.0)
    assert not torch.equal(state["offsets"], other.offsets)  # nothing is shared
    with pytest.raises(RunFolderError, match="texture_size"):
        model_of(cube(), texture_size=32).load_state_dict(state)


def test_moving_takes_everything_along() -> None:
    model = package.from_asset(ball(), LIT, Streams(0))
    model.to(torch.device("meta"))
    tensors = [*model.surface.tensors().values(), model.offsets, *model.paint.state_dict().values()]
    assert {t.device.type for t in (*tensors, model.paint.charts)} == {"meta"}


HASH = Options(texture_size=64, texture="hash", shading="unlit", hash=HashOptions(log2_size=10, finest=32))


def test_a_hash_grid_starts_from_the_colors_that_are_there_and_learns_others() -> None:
    look, asset = look_at(1, 24), textured(ball())
    model = package.from_asset(asset, HASH, Streams(0))
    start, plain = model.render(look)["rgb"], model_of(asset).render(look)["rgb"]
    torch.testing.assert_close(start, plain, rtol=0, atol=3e-3)
    params = trained(model)
    assert sorted(params) == ["bias_0", "bias_1", "table", "weight_0", "weight_1"]
    target = torch.tensor([0.9, 0.6, 0.1])[:, None, None]
    losses = []
    for _ in range(40):
        out = model.render(look)
        loss = ((out["rgb"] - target) * out["alpha"]).square().mean()
        for value, grad in zip(
            params.values(), torch.autograd.grad(loss, list(params.values())), strict=True
        ):
            value.data.sub_(0.03 * grad / grad.abs().max().clamp_min(1e-9))
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    assert model.regularise({}, 0.5) == {}
    baked = model_of(model.to_asset("mesh")).render(look)["rgb"]
    assert psnr(baked, model.render(look)["rgb"].detach()).min() > 35
    again = package.from_asset(cube(), HASH, Streams(1))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.render(look)["rgb"], model.render(look)["rgb"])
    assert torch.equal(again.to_asset("mesh").texture, model.to_asset("mesh").texture)
    again.to(torch.device("meta"))
    assert {t.device.type for t in again.paint.state_dict().values()} == {"meta"}


def test_bounds_hold_what_may_move() -> None:
    model = model_of(ball(), max_offset=0.1)
    assert model.bounds.high == pytest.approx((0.8, 0.8, 0.8), abs=1e-5)
    assert model_of(ball()).bounds.high == pytest.approx((0.7, 0.7, 0.7), abs=1e-5)


def test_materials_of_a_file_are_where_they_start() -> None:
    metal = replace(ball(), material=Material(0.9, 0.2))
    model = model_of(metal, shading="pbr")
    assert model.paint.maps()["metallic_roughness"].flatten().tolist() == pytest.approx([0.9, 0.2])
    out = package.from_asset(metal, LIT, Streams(0)).to_asset("mesh").material
    assert out.metallic_roughness[0].mean() == pytest.approx(0.9, abs=1e-3)
    assert math.isclose(model.to_asset("mesh").material.roughness, 0.2, rel_tol=1e-5)


def test_wrong_starts_are_refused() -> None:
    with pytest.raises(AssetError, match="tetmesh"):
        package.from_asset(PointCloud(torch.zeros(3, 3)), Options(), Streams(0))
    with pytest.raises(ValueError, match="set shading: pbr"):
        Options(shading="unlit", material=MaterialOptions(learn=True))
    with pytest.raises(ValueError, match="cameras"):
        model_of(ball()).render(Look(None, (4, 4), torch.ones(1, 3)))


def test_a_mesh_of_loose_corners_is_whole() -> None:
    out = model_of(apart(ball())).render(look_at())
    expected = model_of(ball()).render(look_at())
    torch.testing.assert_close(out["alpha"], expected["alpha"], rtol=0, atol=1e-5)
