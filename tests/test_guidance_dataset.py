"""Dataset update: whose picture is edited when, what it becomes, and what the object is pulled to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.states import ddim, noised
from sds3d.guidance.times import from_scale
from toys import ColorPrior, store, toy_stage

from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError
from sds3d.core.look import Look
from sds3d.core.places import RingSampler
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash
from sds3d.optimize.checkpoint import read_state
from sds3d.optimize.loop import train
from sds3d.optimize.stage import Original
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import analytic
from sds3d.priors.noise_schedule import NoiseSchedule
from sds3d.testing.small_prior import small_prior

SIDE = 8
SMALL = {"method": "dataset_update", "every": 2, "moves": 3}


def picture(seed: int, count: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, SIDE, SIDE, generator=g)


def views_of(prior, rgb, ids, source=None, azimuths=None, background=1.0) -> Views:
    """These pictures as renders of a ring of places, beside those of a source."""
    count = len(rgb)
    cameras = orbit([20.0 * i for i in ids] if azimuths is None else azimuths, 10.0, ids=torch.tensor(ids))
    look = Look(cameras, (SIDE, SIDE), torch.full((count, 3), background))
    cond = prior.condition(prior.prepare(Prompts("a", source="b")), look, {})
    views = Views(look, {"rgb": rgb}, prior.encode(rgb), cond)
    before = views if source is None else replace(views, media={"rgb": source}, z=prior.encode(source))
    return replace(views, source=before)


def guide(config, prior, views, step, state, seed=0):
    guidance = build_guidance(parse(config), prior, 100)
    assert guidance.needs.source
    assert guidance.needs.pixels
    return guidance.guide(views, step, Streams(seed), state)


def test_one_view_is_edited_now_and_then_and_all_are_fitted():
    prior, rgb, source = small_prior(), picture(0, 3), picture(1, 3)
    views, state = views_of(prior, rgb, [4, 7, 9], source), {}
    edited = []
    for step in range(6):
        before = dict(state.get("dataset", {}))
        found, state, log = guide(SMALL, prior, views, step, state)
        pictures = state["dataset"]
        new = [i for i in pictures if pictures[i] is not before.get(i)]
        assert len(new) == (1 if step % 2 == 0 else 0)
        edited += new
        # three branches a move, of one view among three
        assert log["nfe"] == (3.0 if step % 2 == 0 else 0.0)
        assert log["rows"] == (9.0 if step % 2 == 0 else 0.0)
        targets = [
            pictures[str(i)]["picture"] if str(i) in pictures else source[k] for k, i in enumerate((4, 7, 9))
        ]
        assert set(found) == {"rgb"}
        torch.testing.assert_close(found["rgb"], (rgb - torch.stack(targets)).sign() / 3)
    assert edited == ["4", "7", "9"], "the one that waited longest"
    found, state, _ = guide(SMALL, prior, views, 6, state)
    assert state["dataset"]["4"]["step"] == 6


@pytest.mark.parametrize("schedule", [None, NoiseSchedule("rf")], ids=["vp", "rf"])
def test_the_picture_is_the_render_noised_and_sampled_again_with_the_triple(schedule):
    prior, rgb = small_prior(schedule), picture(0, 2)
    views = views_of(prior, rgb, [0, 1], picture(1, 2))
    config = SMALL | {"times": {"low": 0.6, "high": 0.6}, "cfg_scale": 2.0, "image_scale": 1.25}
    _, state, log = guide(config, prior, views, 0, {}, seed=5)
    z, schedule = views.z[:1], prior.schedule
    eps = Streams(5).normal((3, SIDE, SIDE), "guidance-noise", 0, step=0, ids=[0])
    levels = [from_scale(torch.tensor([t], dtype=torch.float64), schedule, "sd") for t in (0.6, 0.4, 0.2)]
    here = noised(z, eps, levels[0], schedule)
    for below in (*levels[1:], None):
        u, i, ti = (prior.predict(here.z_t, here.t, views.cond[n][:1]) for n in ("null", "src", "y"))
        x0 = u.x0 + 2.0 * (ti.x0 - i.x0) + 1.25 * (i.x0 - u.x0)
        noise = u.eps + 2.0 * (ti.eps - i.eps) + 1.25 * (i.eps - u.eps)
        if below is not None:
            alpha, sigma = (float(v) for v in (schedule.alpha(below), schedule.sigma(below)))
            here = replace(
                ddim(here, u, below, schedule, z), z_t=(alpha * x0 + sigma * noise).float(), t=below
            )
    torch.testing.assert_close(
        state["dataset"]["0"]["picture"][None], prior.decode(x0.float()), rtol=0, atol=1e-4
    )
    assert log["x0"].shape == (1, 3, SIDE, SIDE)


def test_descent_ends_at_the_pictures():
    """Against a prior that knows one picture a branch, every view ends within a step of the prompt's."""
    told = {name: {"mean": mean, "std": 0.02} for name, mean in (("y", 0.5), ("src", -0.5), ("null", 0.0))}
    prior, ids = analytic.create(analytic.Options(conditions=told)), list(range(4))
    rgb, source, state = picture(3, 4), picture(4, 4), {}
    config = SMALL | {"every": 1, "cfg_scale": 1.0, "image_scale": 1.0, "times": {"low": 0.98, "high": 0.98}}
    for step in range(60):
        found, state, _ = guide(config, prior, views_of(prior, rgb, ids, source), step, state)
        rgb = rgb - 4 * 0.02 * found["rgb"]
    torch.testing.assert_close(rgb, torch.full_like(rgb, 0.75), rtol=0, atol=0.06)


def test_views_that_move_and_other_backgrounds_are_refused():
    prior, rgb = small_prior(), picture(0, 2)
    _, state, _ = guide(SMALL, prior, views_of(prior, rgb, [0, 1]), 0, {})
    moved = views_of(prior, rgb, [0, 1], azimuths=[5.0, 20.0])
    with pytest.raises(ConfigError, match=r"came again at another place.*cameras.places"):
        guide(SMALL, prior, moved, 1, state)
    with pytest.raises(ConfigError, match=r"another background.*white_background=1"):
        guide(SMALL, prior, views_of(prior, rgb, [0, 1], background=0.5), 1, state)
    larger = replace(views_of(prior, rgb, [0, 1]), media={"rgb": picture(2, 2).repeat(1, 1, 2, 2)})
    found, _, _ = guide(SMALL, prior, larger, 1, state)
    assert found["rgb"].shape == (2, 3, 16, 16)
    with pytest.raises(ConfigError, match="image_post and image_loss have no place"):
        preset("dataset_update")(parse(SMALL | {"image_post": ["clip_pixels"]}))


class Told(ColorPrior):
    """A ColorPrior that hears of a source too."""

    def __init__(self):
        super().__init__()
        self.info = replace(self.info, branches=("y", "null", "neg", "src"))

    def condition(self, embedded, look, maps):
        cond = super().condition(embedded, look, maps)
        return cond | {"src": cond["null"]}


def stage(steps: int = 8):
    """Six places, edited every other step."""
    base = toy_stage(steps, prior=Told(), views=2, white_background=1.0, checkpoint_steps=3)
    before = toy_stage(steps, seed=1).representation
    prior = base.prior
    return replace(
        base,
        guidance=build_guidance(parse(SMALL), prior, steps),
        sampler=RingSampler(6, (-180.0, 180.0), (0.0, 30.0), (2.4, 2.4), (45.0, 45.0)),
        original=Original(before, "a thing"),
    )


def test_a_run_resumes_to_the_bit(tmp_path):
    """The edited pictures are part of the saved state."""
    whole = train(stage(), store(tmp_path / "one"))
    assert len(whole.guidance["dataset"]) >= 2
    shelf = store(tmp_path / "two", keep=9)
    train(stage(), shelf)
    half = next(state for state in map(read_state, shelf.list()) if state.step == 3)
    assert half.guidance["dataset"]
    resumed = train(stage(), store(tmp_path / "three"), start=half)
    assert tree_hash(resumed.guidance) == tree_hash(whole.guidance)
    assert tree_hash(resumed.representation) == tree_hash(whole.representation)
