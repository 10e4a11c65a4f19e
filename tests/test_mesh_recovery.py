"""A textured mesh painted by score distillation against a prior whose answer is known: the asset's own colours.

The shape is given, grey; the prior believes in pictures of the asset (tests/test_oracle_scene_recovery.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sds3d.guidance.build import bind
from sds3d.guidance.methods import sds
from sds3d.guidance.options import TimesOptions
from sds3d.representations import mesh
from test_oracle_scene_recovery import BACKGROUNDS, painter, world

from sds3d.core.cameras import OrbitSampler
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.pictures import psnr
from sds3d.evaluate.silhouette import mask
from sds3d.evaluate.views import render_views, unseen_cameras
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.loop import train
from sds3d.optimize.options import OptimizeOptions
from sds3d.optimize.stage import Stage
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import oracle_scene

pytest.importorskip("xatlas")


def painted(name: str, size: int, steps: int, folder, smoothness: float = 0.0) -> mesh.MeshModel:
    """The asset's shape, painted over that many steps of two views."""
    streams = Streams(0)
    prior = oracle_scene.create(
        oracle_scene.Options(assets=tuple(world()), size=size), render=painter(world())
    )
    recipe = sds.sds(
        sds.Options(cfg_scale=1.0, weight="kappa", times=TimesOptions(low=0.5, high=0.98, scale="native"))
    )
    options = mesh.Options(shading="unlit", color=(0.5, 0.5, 0.5), smoothness=smoothness, texture_size=128)
    model = mesh.from_asset(world()[name], options, streams)
    stage = Stage(
        prior=prior,
        representation=model,
        guidance=bind(recipe, prior, steps),
        sampler=OrbitSampler(elevation_deg=(-30.0, 70.0)),
        embedded=prior.prepare(Prompts(name)),
        options=OptimizeOptions(steps=steps, views=2, preview_steps=0, checkpoint_steps=10**6),
        streams=streams,
        config_hash="oracle",
    )
    train(stage, CheckpointStore(folder))
    return model


def decibels(model: mesh.MeshModel, name: str, size: int) -> float:
    """Mean PSNR inside the silhouette over 16 unseen views on two backgrounds."""
    truth, cameras, found = world()[name], unseen_cameras(16), []
    for background in BACKGROUNDS:
        back = torch.tensor(background).expand(len(cameras), 3)
        expected = render_mesh(truth, cameras, (size, size), back, samples=2)
        got = render_views(model.render, cameras, (size, size), background)
        found.append(psnr(got["rgb"], expected["rgb"], mask(expected["alpha"])).mean())
    return float(torch.stack(found).mean())


def test_a_grey_shape_takes_on_the_colors_that_the_prior_believes_in(tmp_path) -> None:
    grey = mesh.from_asset(replace(world()["tower"], colors=None), mesh.Options(shading="unlit"), Streams(0))
    before, after = decibels(grey, "tower", 24), decibels(painted("tower", 24, 30, tmp_path), "tower", 24)
    assert before < 15
    assert after > before + 7


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(world()))
def test_acceptance_pictures_of_three_assets(tmp_path, name) -> None:
    """128 px, unseen views, inside the silhouette: at least 25 dB."""
    value = decibels(painted(name, 128, 200, tmp_path), name, 128)
    print(f"{name}: {value:.2f} dB")
    assert value >= 25.0
