"""The tetrahedral mesh as a representation: pictures and their gradients, starts, exact state, export, recovery."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from sds3d.representations import tetmesh
from sds3d.representations.base import Representation
from sds3d.representations.raster.triangles_antialias import topology as partners_of
from sds3d.representations.tetmesh import Options, TetMesh, create, from_asset
from sds3d.representations.tetmesh.draw import vertex_normals
from test_oracle_scene_recovery import FULL, recover, world
from toys import store, toy_stage

from sds3d import assetio
from sds3d.assetio import topology
from sds3d.core.assets import Mesh, Picture, PointCloud
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash
from sds3d.evaluate.chamfer import mesh_chamfer, visible_chamfer
from sds3d.optimize.loop import Session, train

SMALL = Options(cells=12, color_resolutions=(4, 8))
SURFACES = ("dmtet", "flexicubes")


def look(size: int = 32, views: int = 2, **more) -> Look:
    cameras = orbit([40.0 + 360.0 * k / views for k in range(views)], 20.0)
    return Look(cameras, (size, size), torch.tensor([0.2, 0.4, 0.6]).expand(views, 3), **more)


def trainable(model: TetMesh) -> dict[str, torch.Tensor]:
    params = {name: p for group in model.param_groups() for name, p in group.params.items()}
    return {name: p.requires_grad_() for name, p in params.items()}


@pytest.mark.parametrize("surface", SURFACES)
def test_it_is_a_representation_that_starts_as_a_ball(surface):
    model = create(Options(cells=24, surface=surface), Streams(0))
    assert isinstance(model, Representation)
    request = look()
    with torch.no_grad():
        render = model.render(request)
    assert set(render) == model.provides
    corner, middle = (slice(None), slice(None), 0, 0), (slice(None), slice(None), 16, 16)
    assert torch.equal(render["rgb"][corner], request.background)
    assert (render["alpha"][corner] == 0).all()
    assert (render["alpha"][middle] == 1).all()
    assert torch.allclose(render["depth"][middle], torch.full((2, 1), 1.9), atol=0.02)
    towards = torch.nn.functional.normalize(request.cameras.position, dim=1)
    assert ((render["normal"][middle] * towards).sum(1) > 0.98).all()
    assert (render["rgb"][middle] - 0.5).abs().max() < 0.1


def test_the_outline_has_the_gradient_of_the_covered_area():
    """Distances lowered everywhere by d blow the ball up by d; its picture is a disc of known area."""
    size, radius, distance = 64, 0.5, 2.4

    def share(cells: int, samples: int) -> float:
        model = create(Options(cells=cells, samples=samples, init={"radius": radius}), Streams(0))
        params, request = trainable(model), look(size, 1)
        model.render(request)["alpha"].sum().backward()
        assert not params["color_6"].grad.any()
        focal = float(request.cameras.focal(size)[0])
        # the apparent radius is f r / sqrt(D² - r²)
        slope = math.pi * focal**2 * 2 * radius * distance**2 / (distance**2 - radius**2) ** 2
        return float(-params["sdf"].grad.sum()) / slope

    assert share(16, 1) == pytest.approx(1.0, abs=0.05)
    # faces smaller than a sample at the outline are missed
    assert share(32, 1) < 0.7
    assert share(32, 2) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_parameter_hears_of_the_picture(surface):
    model = create(SMALL.model_copy(update={"surface": surface}), Streams(0))
    params = trainable(model)
    render = model.render(look())
    loss = (render["rgb"] * render["rgb"]).sum() + sum(model.regularise(render, 0.5).values())
    loss.backward()
    for name, p in params.items():
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all()
        assert p.grad.abs().sum() > 0, name
    assert ("alpha" in params) == (surface == "flexicubes")


def test_pixels_and_vertices_may_read_the_colours():
    model = create(SMALL, Streams(0))
    model.colors[0][..., 0] = torch.linspace(-3, 3, 4)  # redder towards +X
    by_pixel = model.render(look(48))
    coarse = TetMesh(SMALL.model_copy(update={"color_at": "vertices"}), model.cut.sdf, model.colors)
    by_vertex = coarse.render(look(48))
    solid = (by_pixel["alpha"] == 1).expand(-1, 3, -1, -1)
    assert (by_pixel["rgb"] - by_vertex["rgb"])[solid].abs().max() < 0.03
    assert by_pixel["rgb"][:, 0].std() > 0.1


def test_geometry_first_shows_normals_or_nearness():
    ball = Options(cells=24, picture="normal")
    rgb = create(ball, Streams(0)).render(look())["rgb"]
    # the middle of a ball faces every camera
    assert torch.allclose(rgb[:, :, 16, 16], torch.tensor([0.5, 0.5, 1.0]), atol=0.06)
    assert (rgb[:, 0, 16, 21] > 0.6).all()
    assert (rgb[:, 1, 11, 16] > 0.6).all()
    near = create(ball.model_copy(update={"picture": "depth"}), Streams(0)).render(look())["rgb"]
    # 0.5 of a ball of radius 0.85 before the centre
    assert torch.allclose(near[:, :, 16, 16], torch.tensor((0.85 + 0.5) / 1.7), atol=0.02)


def test_what_does_not_train_is_not_offered():
    names = {
        train: [g.name for g in create(SMALL.model_copy(update={"train": train}), Streams(0)).param_groups()]
        for train in ("all", "geometry", "texture")
    }
    assert names == {
        "all": ["sdf", "deform", "weights", "color"],
        "geometry": ["sdf", "deform", "weights"],
        "texture": ["color"],
    }
    texture = create(SMALL.model_copy(update={"train": "texture"}), Streams(0))
    assert texture.regularise(texture.render(look()), 0.5) == {}


def test_vertex_normals_of_a_ball_point_outwards():
    surface = create(Options(cells=24), Streams(0)).surface()
    normals = vertex_normals(surface.vertices, surface.faces)
    assert (normals * torch.nn.functional.normalize(surface.vertices, dim=1)).sum(1).min() > 0.97


@pytest.mark.parametrize("surface", SURFACES)
def test_a_run_stopped_and_resumed_is_the_same_to_the_last_bit(surface, tmp_path):
    options = SMALL.model_copy(update={"surface": surface, "clear_every": 3})

    def stage():
        return toy_stage(steps=6, representation=create(options, Streams(1)))

    whole = train(stage(), store(tmp_path / "whole"))
    first = Session(stage())
    for _ in range(3):
        first.apply(first.gradients())
    store(tmp_path).save(first.state())
    resumed = train(stage(), store(tmp_path), start=store(tmp_path).latest())
    assert resumed.hash() == whole.hash()


def test_a_state_of_other_options_is_refused():
    state = create(SMALL, Streams(0)).state_dict()
    for change in ({"cells": 10}, {"surface": "dmtet"}, {"color_resolutions": (4,)}):
        with pytest.raises(RunFolderError, match="set representation"):
            create(SMALL.model_copy(update=change), Streams(0)).load_state_dict(state)
    other = create(SMALL, Streams(7))
    other.load_state_dict(state)
    assert tree_hash(other.state_dict()) == tree_hash(state)


def test_a_surface_that_vanished_is_told():
    model = create(SMALL, Streams(0))
    model.cut.sdf.fill_(1.0)
    with pytest.raises(AssetError, match=r"no lattice point is inside.*lr_sdf"):
        model.render(look())


@pytest.mark.parametrize(
    "options", [{"init": {"radius": 0.9}}, {"init": {"box": [0.1, 0.0, 0.1]}}, {"color_resolutions": [8, 4]}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ValidationError):
        Options(**options)


# --- from and to assets


def bird() -> Mesh:
    return world()["bird"]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_mesh_comes_back_with_its_colours(surface):
    truth, streams = bird(), Streams(0)
    made = from_asset(truth, Options(surface=surface, init={"samples": 8000}), streams).to_asset("mesh")
    assert topology.is_watertight(made.faces.numpy())
    assert visible_chamfer(made, truth, streams, count=4000).mean < 0.02
    belly = made.vertices[:, 1] < -0.3
    wing = (made.vertices[:, 0] > 0.42) & (made.vertices[:, 1] < 0.1)
    # yellow, darker below; the wing is blue
    assert made.colors[belly].mean(0)[0] > 0.5 > 0.2 > made.colors[belly].mean(0)[2]
    assert made.colors[wing].mean(0)[2] > 0.5 > made.colors[wing].mean(0)[0]


def test_a_file_is_a_start(tmp_path):
    assetio.write(bird(), tmp_path / "bird.glb")
    options = Options(cells=16, init={"file": str(tmp_path / "bird.glb"), "samples": 4000})
    model = create(options, Streams(0))
    assert mesh_chamfer(model.to_asset("mesh"), bird(), Streams(0), 3000).completeness < 0.05
    with pytest.raises(AssetError):
        create(
            options.model_copy(update={"init": options.init.model_copy(update={"file": "no.glb"})}),
            Streams(0),
        )


def test_points_become_their_surface():
    direction = torch.nn.functional.normalize(Streams(0).normal((1500, 3), "cloud")[0], dim=1)
    red = torch.tensor([0.8, 0.1, 0.1]).expand(1500, 3)
    model = from_asset(
        PointCloud(0.5 * direction, red), Options(cells=24, init={"samples": 4000}), Streams(0)
    )
    made = model.to_asset("mesh")
    assert made.vertices.norm(dim=1).mean() == pytest.approx(0.5, abs=0.08)
    assert torch.allclose(made.colors.mean(0), red[0], atol=0.05)


def test_another_lattice_keeps_shape_and_colours():
    source = from_asset(bird(), Options(cells=32, init={"samples": 8000}), Streams(0))
    source.cut.deform.fill_(0.1)
    same = from_asset(source, source.options.model_copy(update={"train": "texture"}), Streams(0))
    assert torch.equal(same.surface().vertices, source.surface().vertices)
    assert torch.equal(same.colors[2], source.colors[2])
    finer = from_asset(source, Options(cells=48, color_resolutions=(8, 64)), Streams(0))
    truth, made = source.to_asset("mesh"), finer.to_asset("mesh")
    assert mesh_chamfer(made, truth, Streams(0), 4000).mean < 0.02
    points = source.surface().vertices[::50]
    assert (finer.colors_at(points) - source.colors_at(points)).abs().mean() < 0.06


@pytest.mark.parametrize(
    ("asset", "told"),
    [
        (Picture(torch.zeros(3, 4, 4)), "picture"),
        (Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), "no faces"),
        (Mesh(0.5 * torch.eye(3), torch.tensor([[0, 1, 2]])), "encloses no point"),
    ],
)
def test_assets_without_an_inside_are_refused(asset, told):
    with pytest.raises(AssetError, match=told):
        from_asset(asset, Options(cells=8, init={"samples": 200}), Streams(0))


def test_export_is_watertight_without_crumbs_and_of_one_kind():
    model = create(Options(cells=20), Streams(0))
    crumb = (model.points() - torch.tensor([0.65, 0.0, 0.0])).norm(dim=1) - 0.1
    model.cut.sdf.copy_(torch.minimum(model.cut.sdf, crumb))
    made = model.to_asset("mesh")
    assert topology.is_watertight(made.faces.numpy())
    assert made.vertices[:, 0].max() < 0.55
    assert (partners_of(made.faces, len(made.vertices)) >= 0).all()
    with pytest.raises(AssetError, match="splats"):
        model.to_asset("splats")


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["bird", "tower", "fish"])
def test_acceptance_known_assets_come_back(asked, tmp_path):
    """Against the prior that knows three assets, from a sphere: Chamfer at most 1.5 % of the diagonal."""
    scene = tetmesh.create(tetmesh.Options(), Streams(0))
    made = recover(FULL, tmp_path, scene=scene, asked=asked).to_asset("mesh")
    truth = world()[asked]
    assert topology.is_watertight(made.faces.numpy())
    assert visible_chamfer(made, truth, Streams(0)).mean <= 0.015 * truth.bounds().diagonal
