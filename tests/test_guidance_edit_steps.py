"""Oracles of collaborative score distillation and LUSD (guidance_more B6, B13): steps on the residual, retries."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, at, levels, random_z, views_of
from guidance_edit_cases import (
    STEP,
    STEPS,
    coupled_by_hand,
    eps_at,
    laws_of,
    noise,
    prior_of_laws,
    step,
    triple,
)
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import close, far, few, predictions, schedules, seeds
from sds3d.guidance.build import bind, build_guidance
from sds3d.guidance.localize import Mask
from sds3d.guidance.noise import Paired
from sds3d.guidance.post import Spread
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.retry import Retry
from sds3d.guidance.stein import Stein, coupled

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import constant
from sds3d.core.streams import Streams
from sds3d.priors.attention import EDITED
from sds3d.priors.base import Cond
from sds3d.testing.guidance import check_guidance
from sds3d.testing.small_prior import small_prior

indices = st.integers(60, 940)
VIEWS = 4


def loose(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def spread(rows):
    """Mean distance between rows."""
    return float(torch.pdist(rows).mean())


@pytest.mark.oracle("O-COLLAB")
@few
@given(seeds, st.integers(1, 5), st.one_of(st.none(), st.floats(0.0, 3.0)))
def test_coupling_is_its_formula_and_its_limits(seed, count, gamma):
    r, q = random_z(seed, count), random_z(seed + 1, count)
    loose(coupled(r, q, gamma), coupled_by_hand(r, q, gamma))
    loose(coupled(r[:1], q[:1]), r[:1])
    loose(coupled(r, q[:1].expand(count, -1)), r.mean(0).expand(count, -1))
    loose(coupled(r, q, 1e6), r / count)
    if count > 1:
        pushed = q - 0.1 * coupled(torch.zeros_like(r), q)
        assert spread(pushed) > spread(q), "descent drives views apart"
        far(coupled(r, q), 2.0 * (coupled(r, q, 0.0)) - coupled(r, q))


@pytest.mark.oracle("O-COLLAB")
@few
@given(seeds, indices, schedules, predictions)
def test_csd_collab_is_its_formula(seed, index, schedule, prediction):
    """By object: views of another are not heard; one view of an object is plain delta denoising."""
    laws, z, z_src = laws_of(seed), random_z(seed, VIEWS), random_z(seed + 7, VIEWS)
    prior = prior_of_laws(laws, schedule, prediction)
    config = {"method": "csd_collab", "times": at(index) | {"shared": True}}
    group = [0, 0, 0, 1]
    g, log = step(config, prior, z, z_src, seed, group=group)
    assert log["nfe"] == 5
    (a, s), e = levels(index, schedule), noise(seed, VIEWS)
    eps, x = eps_at(laws, index, schedule), a * z + s * e
    r = triple(eps, x, 7.5, 5.0) - triple(eps, a * z_src + s * e, 0.0, 5.0)
    # latents are compared as a variance-preserving prior sees them
    q = x / math.hypot(a, s)
    w = float(1 - SD.alpha_bar[index])
    expected = w * torch.cat([coupled_by_hand(r[:3], q[:3]), r[3:]])
    loose(g, expected)
    for wrong in (
        torch.cat([coupled_by_hand(r[:3], z[:3]), r[3:]]),
        coupled_by_hand(r, q),
        torch.cat([2 * coupled_by_hand(r[:3], q[:3], 0.0) - coupled_by_hand(r[:3], q[:3]), r[3:]]),
        torch.cat([coupled_by_hand(r[:3], q[:3], _without_diagonal(q[:3])), r[3:]]),
    ):
        far(g, w * wrong)
    everybody, _ = step(config | {"residual_post": [{"stein": "batch"}]}, prior, z, z_src, seed, group=group)
    loose(everybody, w * coupled_by_hand(r, q))


def _without_diagonal(q):
    """gamma with the median over distinct pairs only."""
    return math.log(len(q) + 1) / float(torch.pdist(q).square().median())


def test_views_are_coupled_among_known_sets():
    with pytest.raises(ConfigError, match="group or batch"):
        Stein("everybody")
    with pytest.raises(ConfigError, match="residual_post"):
        parse({"method": "dds", "residual_post": ["stien"]})


BARE = {"post": [], "residual_post": [], "retry": None}


@pytest.mark.oracle("O-LUSD")
@few
@given(seeds, indices, schedules, predictions, st.floats(0.0, 0.9))
def test_lusd_is_the_bridge_with_its_pull_inside_the_set_length(seed, index, schedule, prediction, pull):
    laws, z, z_src = laws_of(seed), random_z(seed, 2), random_z(seed + 7, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    config = {"method": "lusd", "pull": pull, "times": at(index)}
    (a, s), e = levels(index, schedule), noise(seed, 2)
    eps, x = eps_at(laws, index, schedule), a * z + s * e
    bridge = eps("y", x) - eps("src", x)
    bare, log = step(config | BARE, prior, z, z_src, seed)
    assert log["nfe"] == 2
    plain = (1 - pull) * bridge + pull * (z - z_src)
    loose(bare, plain)
    g, _ = step(config | {"retry": None}, prior, z, z_src, seed)
    rho = 0.01 + 0.14 * (1 - 1 / (1 + math.exp(-(-5 + 10 * STEP / STEPS))))
    close(g.std(1), torch.full((2,), rho, dtype=g.dtype))
    loose(g, plain / plain.std(1, keepdim=True) * rho)
    if pull > 0.05:
        outside = (1 - pull) * bridge / bridge.std(1, keepdim=True) * rho + pull * (z - z_src)
        far(g, outside)
        at_own_state = eps("y", x) - eps("src", a * z_src + s * e)
        far(bare, (1 - pull) * at_own_state + pull * (z - z_src))


@pytest.mark.oracle("O-LUSD")
def test_the_set_length_falls_as_published():
    told = [Spread(0.15, 0.01, 5.0).target(p) for p in (0.0, 0.5, 1.0)]
    assert [round(v, 4) for v in told] == [0.1491, 0.08, 0.0109]
    assert torch.equal(Spread(0.15, 0.01, 5.0)(torch.zeros(2, 3, 4, 4), 0.3), torch.zeros(2, 3, 4, 4))


@pytest.mark.oracle("O-LUSD")
@few
@given(seeds, predictions, st.floats(0.3, 1.5))
def test_draws_are_tried_until_one_says_enough(seed, prediction, quantile):
    """By hand: attempt after attempt at one step, the threshold lowered at each; the first that reaches it counts."""
    laws, z = laws_of(seed), random_z(seed, 2)
    prior = prior_of_laws(laws, SD, prediction)
    recipe = preset("lusd")(parse({"method": "lusd", "pull": 0.0} | BARE))
    views = dataclasses.replace(views_of(prior, z), source=views_of(prior, z))
    tries = []
    for k in range(6):
        streams = Streams(seed) if k == 0 else Streams(seed, "attempt", k)
        tries.append(bind(recipe, prior, STEPS).guide(views, STEP, streams, {})[0]["z"] * 2)
    spreads = [float(g.std()) for g in tries]
    threshold = quantile * max(spreads)
    chosen = next((k for k, v in enumerate(spreads) if v >= threshold * 0.9**k), 5)
    retried = dataclasses.replace(recipe, retry=Retry(threshold, 0.9, 6))
    found, _, log = bind(retried, prior, STEPS).guide(views, STEP, Streams(seed), {})
    assert log["rejected"] == chosen
    assert log["nfe"] == 2 * (chosen + 1)
    torch.testing.assert_close(found["z"] * 2, tries[chosen])


@pytest.mark.oracle("O-LUSD")
def test_equal_prompts_reject_every_draw_and_leave_the_pull():
    laws, z, z_src = laws_of(2), random_z(2, 2), random_z(9, 2)
    prior = prior_of_laws(laws | {"y": laws["src"]}, SD)
    config = {"method": "lusd", "post": [], "retry": {"tries": 4}}
    g, log = step(config, prior, z, z_src)
    assert log["rejected"] == 3
    assert log["nfe"] == 8
    loose(g, 0.02 * (z - z_src))
    still, _ = step({"method": "lusd", "retry": {"tries": 1}}, prior, z, z)
    assert float(still.abs().max()) == 0.0
    for wrong in ({"tries": 0}, {"decay": 0.0}, {"threshold": -1.0}):
        with pytest.raises(ConfigError, match="retry"):
            Retry(**wrong)


class Attentive:
    """A prior of pictures with attention that sees the upper half; with `fading`, less at every call."""

    def __init__(self, schedule=None, fading: bool = False):
        self._plain = small_prior(schedule)
        self.info = dataclasses.replace(self._plain.info, attention=True)
        self.schedule = self._plain.schedule
        self.prepare, self.predict = self._plain.prepare, self._plain.predict
        self.encode, self.decode = self._plain.encode, self._plain.decode
        self.asked, self.fading = 0, fading

    def condition(self, embedded, look, maps):
        cond = dict(self._plain.condition(embedded, look, maps))
        y = cond["y"]
        tokens = torch.ones(len(y.weight), 2)
        return cond | {EDITED: Cond({**y.tensors, EDITED: tokens}, y.weight)}

    def attention_maps(self, z_t, t, cond):
        assert cond.tensors[EDITED].shape == (len(z_t), 2)
        self.asked += 1
        out = torch.zeros(len(z_t), 1, *z_t.shape[2:])
        out[:, :, : z_t.shape[2] // 2] = 1.0 / self.asked if self.fading else 1.0
        return out


def masked(prior, config, steps: int, state=None, start: int = 0, cameras: bool = False):
    """(last cotangents, state, logs) over some steps of a run of ten on one picture."""
    from sds3d.testing.guidance import views_of as pictures

    views = pictures(prior)
    if not cameras:
        bare = dataclasses.replace(views.look, cameras=None)
        views = dataclasses.replace(views, look=bare)
    guidance = build_guidance(parse(config), prior, 10)
    state, logs, found = guidance.init(Streams(0)) if state is None else state, [], {}
    for k in range(start, start + steps):
        found, state, log = guidance.guide(views, k, Streams(0), state)
        logs.append(log)
    return found["z"], state, logs


@pytest.mark.oracle("O-LUSD")
def test_the_mask_confines_the_change_more_and_more():
    """beta M + 1 - beta on the residual; no mask on step 0; one more call for it, at the accepted draw alone."""
    config = {"method": "lusd", "pull": 0.0, "post": [], "retry": None}
    step_one, state, logs = masked(Attentive(), config, 2)
    plain, _, _ = masked(Attentive(), config | {"residual_post": []}, 2)
    assert [log["nfe"] for log in logs] == [2, 3]
    assert "map_mask" not in logs[0]
    half = step_one.shape[2] // 2
    torch.testing.assert_close(step_one[:, :, :half], plain[:, :, :half])
    torch.testing.assert_close(step_one[:, :, half:], 0.9 * plain[:, :, half:])
    assert logs[1]["map_mask"].shape == (2, 8, 8)
    assert set(state["residual_post"]["mask"]) == {"0", "1"}


@pytest.mark.oracle("O-LUSD")
def test_the_mask_is_averaged_where_a_view_comes_again():
    """0.9 of what was and 0.1 of what is; the fake's map falls as 1, 1/2, 1/3."""
    config = {"method": "lusd", "post": [], "retry": None, "residual_post": [{"mask": 0.9, "share": 1.0}]}
    _, state, _ = masked(Attentive(fading=True), config, 3)
    expected = 0.9 * (0.9 * 1.0 + 0.1 * 0.5) + 0.1 / 3
    assert float(state["residual_post"]["mask"]["1"]["mask"].max()) == pytest.approx(expected)
    _, elsewhere, _ = masked(Attentive(fading=True), config, 3, cameras=True)
    assert float(elsewhere["residual_post"]["mask"]["1"]["mask"].max()) == pytest.approx(expected)
    moved = {k: v | {"place": v["place"] + 1.0} for k, v in elsewhere["residual_post"]["mask"].items()}
    _, after, _ = masked(Attentive(), config, 1, {"residual_post": {"mask": moved}}, 3, cameras=True)
    assert float(after["residual_post"]["mask"]["1"]["mask"].max()) == 1.0


@pytest.mark.parametrize("schedule", [None, RF], ids=["vp", "rf"])
def test_the_masks_memory_is_a_state_like_any_other(schedule):
    """Saved, read and gone on with to the bit; retried draws pure in their arguments."""
    check_guidance({"method": "lusd"}, Attentive(schedule))
    check_guidance({"method": "dds", "residual_post": ["mask", "stein"]}, Attentive(schedule))


def test_a_prior_without_attention_is_named(caplog):
    with caplog.at_level(logging.WARNING):
        build_guidance(parse("lusd"), small_prior(), 10)
    assert [r.getMessage() for r in caplog.records] == [
        "the prior analytic offers no attention maps: the edit is not confined by a mask"
    ]


@dataclass(frozen=True)
class Louder:
    """A step that doubles, and remembers how often."""

    name: str = "louder"

    def bind(self, prior):
        return self

    def __call__(self, residual, seen, memory):
        assert seen.states["t"].z_t.shape == residual.shape
        return 2.0 * residual, {"count": memory.get("count", 0) + 1}, {"loud": 2.0}


def test_steps_come_before_the_weight_and_see_every_draw():
    laws, z = laws_of(5), random_z(5, 2)
    prior = prior_of_laws(laws, SD)
    recipe = preset("dds")(parse({"method": "dds", "draws": 3, "weight": "sigma2"}))
    assert isinstance(recipe.noise, Paired)
    plain, _ = step(recipe, prior, z, z + 1.0)
    loud = dataclasses.replace(recipe, residual_post=(Louder(), Mask(share=constant(0.0))))
    views = dataclasses.replace(views_of(prior, z), source=views_of(prior, z + 1.0))
    guidance = bind(loud, dataclass_prior(prior), STEPS)
    found, state, log = guidance.guide(views, STEP, Streams(0), {})
    loose(found["z"].flatten(1) * 2, 2.0 * plain)
    assert state == {"residual_post": {"louder": {"count": 3}}}
    assert log["loud"] == 2.0


def dataclass_prior(prior):
    """The prior, said to have attention, so that no step is left out."""
    prior.info = dataclasses.replace(prior.info, attention=True)
    return prior


assert SHAPE == (1, 1, 3)
