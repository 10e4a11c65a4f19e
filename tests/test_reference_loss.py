"""The pull to a picture from one camera: its formula, its gradient, what it reaches, and what it leaves alone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import sds3d.representations.gaussians as gaussians
import sds3d.representations.grid as grid
import sds3d.representations.mesh as mesh
import sds3d.representations.nerf as nerf
import sds3d.representations.tetmesh as tetmesh
import torch
from reference_cases import halves, referring, silent_stage
from toys import toy_stage

from sds3d.core.schedules import parse
from sds3d.core.streams import Streams
from sds3d.evaluate.pictures import psnr
from sds3d.optimize import reference as module
from sds3d.optimize.loop import Session
from sds3d.optimize.reference import compare

SMALL = {
    "grid": lambda s: grid.create(grid.Options(resolutions=(3, 12), samples=16, picture_samples=16), s),
    "gaussians": lambda s: gaussians.create(gaussians.Options(init={"count": 200}), s),
    "surfels": lambda s: gaussians.create(gaussians.Options(surfels=True, init={"count": 200}), s),
    "nerf": lambda s: nerf.create(
        nerf.Options(
            encoding={"levels": 3, "log2_size": 9, "base": 3, "finest": 12, "start": 1},
            occupancy={"resolution": 6, "every": 2},
            hidden=8,
            samples=8,
            picture_samples=8,
            blob_bias=2.0,
        ),
        s,
    ),
    "tetmesh": lambda s: tetmesh.create(tetmesh.Options(cells=12), s),
    "mesh": lambda s: mesh.create(mesh.Options(shape="sphere", texture_size=32), s),
}


def untimed(name):
    return nullcontext()


def test_the_formula():
    stage = silent_stage(referring(weight=3.0, mask_weight=5.0), size=12)
    losses, numbers = compare(stage, 2, untimed)
    look = stage.reference_look(2)
    seen, wanted = stage.representation.render(look), halves().at(12)
    color = wanted.color + (1 - wanted.alpha) * look.background[0][:, None, None]
    away = 3.0 / 2 * (seen["rgb"][0] - color).square().sum()
    assert float(losses["reference"]) == pytest.approx(float(away), rel=1e-5)
    mask = 5.0 / 2 * (seen["alpha"][0] - wanted.alpha).square().sum()
    assert float(losses["reference_mask"]) == pytest.approx(float(mask), rel=1e-5)
    assert numbers["reference_psnr"] == pytest.approx(float(psnr(seen["rgb"], color[None])), rel=1e-5)


def test_backgrounds_and_rays_change_and_are_a_pure_function_of_the_step():
    stage = silent_stage(referring(), size=12, white_background=0.0)
    one, again, other = stage.reference_look(3), stage.reference_look(3), stage.reference_look(4)
    assert torch.equal(one.background, again.background)
    assert torch.equal(one.jitter, again.jitter)
    assert not torch.equal(one.background, other.background)
    assert not torch.equal(one.jitter, other.jitter)
    assert not torch.equal(one.background[0], stage.look(3).background[0])


def test_training_views_are_as_without_a_picture():
    plain, stage = toy_stage(), toy_stage()
    stage = replace(stage, reference=referring())
    a, b = (Session(s).gradients() for s in (plain, stage))
    assert torch.equal(a.render["rgb"], b.render["rgb"])
    assert all(torch.equal(a.views.media[k], b.views.media[k]) for k in a.views.media)
    assert "reference" not in a.losses
    assert set(b.losses) - set(a.losses) == {"reference", "reference_mask"}


@pytest.mark.parametrize("kind", ["grid", "gaussians"])
def test_the_gradient_is_the_slope(kind):
    stage = silent_stage(referring(weight=2.0), representation=SMALL[kind](Streams(0)), size=12)
    params = {n: p for g in stage.representation.param_groups() for n, p in g.params.items()}
    for p in params.values():
        p.requires_grad_(True)

    def loss():
        return sum(compare(stage, 1, untimed)[0].values())

    grads = torch.autograd.grad(loss(), list(params.values()), allow_unused=True)
    step, checked = 1e-2, 0
    for p, g in zip(params.values(), grads, strict=True):
        if g is None or float(g.norm()) < 1e-3:
            continue
        ends = []
        with torch.no_grad():
            for sign in (1, -1):
                p.add_(sign * step * g / g.norm())
                ends.append(float(loss()))
                p.sub_(sign * step * g / g.norm())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(g.norm()), rel=0.03)
        checked += 1
    assert checked >= 2


def test_the_picture_alone_is_recovered():
    stage = silent_stage(
        referring(weight=2.0), steps=120, representation=SMALL["grid"](Streams(0)), size=24, jitter=False
    )
    session = Session(stage)
    first = session.gradients().log["reference_psnr"]
    while session.step < 120:
        session.apply(session.gradients())
    last = session.gradients().log["reference_psnr"]
    assert first < 15.0
    assert last > 22.0
    look = replace(stage.reference_look(0), background=torch.ones(1, 3), jitter=None, ray_offset=None)
    seen = stage.representation.render(look)["rgb"][0]
    seen = seen.detach()
    assert float(seen[0, 12, 8] - seen[1, 12, 8]) > 0.3  # red at the left
    assert float(seen[1, 12, 15] - seen[0, 12, 15]) > 0.3  # green at the right


def test_it_is_the_view_from_the_camera_that_is_named():
    """From the back the same picture puts red at the other side of the world."""
    sides = []
    for azimuth in (0.0, 180.0):
        stage = silent_stage(
            referring(azimuth_deg=azimuth), steps=40, representation=SMALL["grid"](Streams(0)), size=16
        )
        session = Session(stage)
        for _ in range(40):
            session.apply(session.gradients())
        front = replace(referring().look(16, torch.ones(1, 3)))
        sides.append(stage.representation.render(front)["rgb"][0].detach())
    reddish = [s[0] - s[1] for s in sides]
    assert float(reddish[0][8, 5] - reddish[0][8, 10]) > 0.1
    assert float(reddish[1][8, 5] - reddish[1][8, 10]) < -0.1


@pytest.mark.parametrize("kind", list(SMALL))
def test_every_representation_with_cameras_follows(kind):
    stage = silent_stage(
        referring(weight=2.0), steps=12, representation=SMALL[kind](Streams(0)), size=16, jitter=False
    )
    session = Session(stage)
    away = []
    for _ in range(12):
        grads = session.gradients()
        away.append(float(grads.losses["reference"]))
        session.apply(grads)
    assert away[-1] < 0.93 * away[0]


def test_it_is_looked_at_every_so_many_steps_and_while_it_has_a_weight(monkeypatch):
    looked = []
    original = module.psnr
    monkeypatch.setattr(module, "psnr", lambda *a: looked.append(1) or original(*a))
    stage = silent_stage(referring(every=3), steps=10, size=8)
    told = [bool(compare(stage, k, untimed)[0]) for k in range(7)]
    assert told == [True, False, False, True, False, False, True]
    fading = replace(referring(mask_weight=0.0), weight=parse({"piecewise": [[0, 1], [0.5, 0], [1, 0]]}))
    stage, looked[:] = replace(stage, reference=fading), []
    losses = [compare(stage, k, untimed)[0] for k in range(10)]
    assert [bool(found) for found in losses] == [True] * 5 + [False] * 5
    assert set(losses[0]) == {"reference"}
    assert len(looked) == 5  # nothing is rendered where nothing is compared


def test_each_particle_is_compared():
    from sds3d.representations import particles

    scene = particles.create(2, SMALL["grid"], Streams(0))
    stage = replace(silent_stage(referring(), representation=scene, size=8), particles=2)
    losses, _ = compare(stage, 0, untimed)
    look = stage.reference_look(0)
    assert len(look) == 2
    each = []
    for k in range(2):
        seen = scene.members[k].render(look.rows(torch.tensor([k])))["rgb"]
        each.append(0.5 * (seen - halves().at(8).over(look.background[[k]])).square().sum())
    assert float(losses["reference"]) == pytest.approx(float(sum(each) / 2), rel=1e-4)


def test_the_time_is_charged():
    stage = silent_stage(referring(), size=8)
    session = Session(stage)
    session.gradients()
    assert session.watch.read()["reference"] > 0.0
    plain = Session(toy_stage())
    plain.gradients()
    assert "reference" not in plain.watch.read()
