"""Score distillation, end to end, against a prior whose answer is known: three assets, one of them asked for.

The prior believes in renders of three meshes at the asked camera and background (null: all three, equally). A correct
pipeline must give the asked mesh back. The truth is drawn by the evaluation renderer, which shares no code with
the representations; controls break one convention each and must fail by a wide margin.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from sds3d.guidance.build import bind
from sds3d.guidance.methods import sds
from sds3d.guidance.noise import Iid, NoiseSource
from sds3d.guidance.options import TimesOptions
from sds3d.guidance.states import Noisy
from sds3d.representations import gaussians, grid, nerf

from sds3d.core.assets import Mesh
from sds3d.core.cameras import Cameras, OrbitSampler, orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.chamfer import visible_chamfer
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.pictures import psnr
from sds3d.evaluate.silhouette import dilate, mask
from sds3d.evaluate.views import render_views, unseen_cameras
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.loop import train
from sds3d.optimize.options import OptimizeOptions
from sds3d.optimize.stage import Stage
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import oracle_scene

trimesh = pytest.importorskip("trimesh")

ASKED = "bird"
BACKGROUNDS = ((1.0, 1.0, 1.0), (0.25, 0.35, 0.45))


def ellipsoid(radii, centre, colour, detail=2):
    """A part: its surface moved into place, shaded by height so that inside and outside differ."""
    ball = trimesh.creation.icosphere(detail, radius=1.0)
    vertices = torch.tensor(ball.vertices).float() * torch.tensor(radii) + torch.tensor(centre)
    shade = 0.75 + 0.25 * torch.tensor(ball.vertices[:, 1:2]).float()
    return Mesh(vertices, torch.tensor(ball.faces), colors=shade * torch.tensor(colour))


def together(*parts: Mesh) -> Mesh:
    """One mesh of several parts."""
    starts = [sum(len(p.vertices) for p in parts[:k]) for k in range(len(parts))]
    return Mesh(
        torch.cat([p.vertices for p in parts]),
        torch.cat([p.faces + start for p, start in zip(parts, starts, strict=True)]),
        colors=torch.cat([p.colors for p in parts]),
    )


def world() -> dict[str, Mesh]:
    """Three assets within the ball of radius 0.8; the bird has no symmetry that a wrong camera could hide in."""
    bird = together(
        ellipsoid((0.35, 0.3, 0.5), (0.0, -0.25, -0.1), (0.95, 0.8, 0.1)),
        ellipsoid((0.25, 0.25, 0.25), (0.0, 0.25, 0.3), (0.9, 0.7, 0.1)),
        ellipsoid((0.1, 0.06, 0.18), (0.0, 0.22, 0.58), (0.95, 0.4, 0.05)),
        ellipsoid((0.09, 0.2, 0.3), (0.36, -0.1, -0.1), (0.2, 0.3, 0.9)),
        ellipsoid((0.09, 0.09, 0.09), (-0.16, 0.5, 0.3), (0.8, 0.1, 0.1)),
    )
    tower = together(
        ellipsoid((0.3, 0.7, 0.3), (0.0, 0.0, 0.0), (0.2, 0.6, 0.3)),
        ellipsoid((0.5, 0.12, 0.5), (0.0, -0.55, 0.0), (0.5, 0.5, 0.5)),
    )
    fish = together(
        ellipsoid((0.7, 0.25, 0.15), (0.05, 0.0, 0.0), (0.9, 0.3, 0.2)),
        ellipsoid((0.1, 0.35, 0.08), (-0.65, 0.0, 0.0), (0.3, 0.2, 0.7)),
    )
    return {ASKED: bird, "tower": tower, "fish": fish}


def painter(meshes: dict[str, Mesh], see=lambda cameras: cameras):
    """The renderer that the prior is handed; `see` changes the cameras that it believes it is asked about."""

    def render(name: str, look: Look):
        return render_mesh(meshes[name], see(look.cameras), look.size, look.background, samples=2)["rgb"]

    return render


def mirrored(cameras: Cameras) -> Cameras:
    """The wrong convention: azimuth growing clockwise."""
    return orbit(-cameras.azimuth_deg, cameras.elevation_deg, cameras.distance, cameras.fov_y_deg)


@dataclasses.dataclass(frozen=True)
class Stranger(NoiseSource):
    """The wrong noise: the state is made with one noise, the residual is told another."""

    def make(self, views, t, draw, now, calls, memory):
        honest = Iid().make(views, t, draw, now, calls, memory)["t"]
        other = now.streams.normal(tuple(views.z.shape[1:]), "another-noise", step=now.step, ids=now.ids)
        return {"t": Noisy(honest.z_t, other.to(honest.eps), honest.t, honest.alpha, honest.sigma)}


@dataclasses.dataclass(frozen=True)
class Effort:
    """How hard a recovery is tried: side of the pictures, steps, and the field's finest grid."""

    size: int
    steps: int
    resolutions: tuple[int, ...]
    views: int = 4


def recover(
    effort: Effort, folder, cfg_scale: float = 1.0, see=lambda c: c, noise=None, scene=None, asked=ASKED
):
    """Distil the asked asset into a scene, by default a fresh grid; returns the scene."""
    meshes, streams = world(), Streams(0)
    prior = oracle_scene.create(
        oracle_scene.Options(assets=tuple(meshes), size=effort.size), render=painter(meshes, see)
    )
    times = TimesOptions(low=0.5, high=0.98, scale="native")
    recipe = sds.sds(sds.Options(cfg_scale=cfg_scale, weight="kappa", times=times))
    if noise is not None:
        recipe = dataclasses.replace(recipe, noise=noise)
    scene = scene or grid.create(
        grid.Options(resolutions=effort.resolutions, samples=64, tv=0.0, opacity=0.0, entropy=0.0), streams
    )
    stage = Stage(
        prior=prior,
        representation=scene,
        guidance=bind(recipe, prior, effort.steps),
        sampler=OrbitSampler(elevation_deg=(-30.0, 70.0)),
        embedded=prior.prepare(Prompts(asked)),
        options=OptimizeOptions(
            steps=effort.steps, views=effort.views, preview_steps=0, checkpoint_steps=10**6
        ),
        streams=streams,
        config_hash="oracle",
    )
    train(stage, CheckpointStore(folder))
    return scene


def decibels(field, size: int, asked: str = ASKED) -> float:
    """Mean PSNR inside the dilated silhouette over 16 unseen views on two backgrounds."""
    truth, cameras, found = world()[asked], unseen_cameras(16), []
    for background in BACKGROUNDS:
        back = torch.tensor(background).expand(len(cameras), 3)
        expected = render_mesh(truth, cameras, (size, size), back, samples=2)
        got = render_views(field.render, cameras, (size, size), background)
        inside = dilate(mask(expected["alpha"]), max(1, size // 32))
        found.append(psnr(got["rgb"], expected["rgb"], inside).mean())
    return float(torch.stack(found).mean())


CONTROLS = {
    "camera that turns the other way": {"see": mirrored},
    "scale in the other meaning (0 for plain conditional)": {"cfg_scale": 0.0},
    "residual with another noise": {"noise": Stranger()},
}

FAST = Effort(size=32, steps=80, resolutions=(6, 12, 24))
FULL = Effort(size=128, steps=300, resolutions=(8, 16, 32, 64), views=2)


@pytest.fixture(scope="module")
def honest_small(tmp_path_factory):
    return decibels(recover(FAST, tmp_path_factory.mktemp("honest")), FAST.size)


def test_the_asked_asset_comes_back(honest_small):
    assert honest_small >= 19.0


@pytest.mark.parametrize("control", CONTROLS)
def test_a_broken_convention_is_noticed(control, honest_small, tmp_path):
    assert decibels(recover(FAST, tmp_path, **CONTROLS[control]), FAST.size) <= honest_small - 4.0


@pytest.fixture(scope="module")
def honest_full(tmp_path_factory):
    return recover(FULL, tmp_path_factory.mktemp("honest"))


@pytest.mark.slow
def test_acceptance_pictures_and_surface(honest_full):
    """128 px: at least 25 dB inside the dilated silhouette, and Chamfer at most 2 % of the diagonal."""
    assert decibels(honest_full, FULL.size) >= 25.0
    truth = world()[ASKED]
    found = visible_chamfer(honest_full.to_asset("mesh"), truth, Streams(0))
    assert found.mean <= 0.02 * truth.bounds().diagonal


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_acceptance_controls_lose_six_decibels(control, honest_full, tmp_path):
    broken = recover(FULL, tmp_path, **CONTROLS[control])
    assert decibels(broken, FULL.size) <= decibels(honest_full, FULL.size) - 6.0


@pytest.mark.slow
@pytest.mark.parametrize("asked", world())
def test_acceptance_neural_field(asked, tmp_path):
    """128 px: each of the three assets comes back to 27 dB inside the dilated silhouette."""
    fine = {"finest": 96}
    options = nerf.Options(encoding=fine, opacity=0.0, entropy=0.0, z_variance=0.0)
    found = recover(FULL, tmp_path, scene=nerf.create(options, Streams(0)), asked=asked)
    assert decibels(found, FULL.size, asked) >= 27.0


@pytest.mark.slow
@pytest.mark.parametrize("asked", world())
def test_acceptance_flat_gaussians(asked, tmp_path):
    """128 px: each of the three assets comes back to 27 dB inside the dilated silhouette."""
    options = gaussians.Options(surfels=True, init={"count": 4000}, alpha=0.0, entropy=0.0, opacity=0.0)
    found = recover(FULL, tmp_path, scene=gaussians.create(options, Streams(0)), asked=asked)
    assert decibels(found, FULL.size, asked) >= 27.0
