"""Slots of a recipe: times, noise, weights, and how a recipe holds them together."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, prior_of, random_gauss, random_z, views_of
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.base import Moment, moment
from sds3d.guidance.calls import Calls
from sds3d.guidance.noise import Iid, Later
from sds3d.guidance.predictions import CFG, ClampX0, Epsilon, Guided, Plain
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.rules import EPS, C, U, of
from sds3d.guidance.states import noised
from sds3d.guidance.times import Times
from sds3d.guidance.weights import WEIGHTS

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import constant, parse
from sds3d.core.streams import Streams
from sds3d.priors.noise_schedule import NoiseSchedule

f64 = torch.float64
CONSTANT_TIMES = Times(constant(0.02), constant(0.98), "sd", False)
CROSSED = "guidance.times: needs 0 <= low <= high <= 1, but at progress {:g} low is {:g} and high is {:g}."
NO_NOISE = (
    "guidance.times.low: at progress {:g} the bound `low` is the prior's t = 0, where it adds no noise, so that no "
    "prediction of the noise exists. Use a bound above 0, such as 0.02."
)
NO_SIGNAL = (
    "guidance.times.high: at progress {:g} the bound `high` is the prior's t = 1, where it keeps no signal, so that "
    "the weight kappa = sigma / alpha is infinite. Use a bound below it, or the weight sigma2."
)


def now(progress: float = 0.0, step: int = 0, ids=(0, 1, 2), groups=(0, 0, 0), seed: int = 0) -> Moment:
    return Moment(step, progress, Streams(seed), tuple(ids), tuple(groups))


@given(st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_times_lie_between_moving_bounds(step, progress):
    """The recipe's two square-root bounds, on the prior's own scale."""
    times = Times(parse({"sqrt": [0.6, 0.02]}), parse({"sqrt": [0.98, 0.5]}), "native", False)
    t = times.draw(now(progress, step, ids=range(50), groups=[0] * 50), RF)
    low, high = 0.6 - 0.58 * math.sqrt(progress), 0.98 - 0.48 * math.sqrt(progress)
    assert t.shape == (50,)
    assert t.dtype == f64
    assert low <= float(t.min()) < low + 0.2 * (high - low)
    assert high - 0.2 * (high - low) < float(t.max()) <= high


def test_times_are_uniform():
    t = Times(constant(0.2), constant(0.6), "native", False).draw(now(ids=range(4000)), RF)
    sorted_share = (t.sort().values - 0.2) / 0.4
    assert float((sorted_share - (torch.arange(4000) + 0.5) / 4000).abs().max()) < 0.03  # Kolmogorov-Smirnov


def test_times_belong_to_the_view_and_the_step_not_to_the_batch():
    whole = CONSTANT_TIMES.draw(now(ids=(7, 8, 9)), SD)
    part = CONSTANT_TIMES.draw(now(ids=(9, 7), groups=(0, 0)), SD)
    assert part.tolist() == [whole[2], whole[0]]
    assert len(set(whole.tolist())) == 3
    assert CONSTANT_TIMES.draw(now(step=1, ids=(7, 8, 9)), SD).tolist() != whole.tolist()
    assert CONSTANT_TIMES.draw(now(seed=1, ids=(7, 8, 9)), SD).tolist() != whole.tolist()


def test_shared_times_are_one_a_group():
    t = Times(constant(0.1), constant(0.9), "native", True).draw(now(ids=(5, 6, 7), groups=(3, 3, 4)), RF)
    assert t[0] == t[1] != t[2]


@given(st.integers(1, 999))
def test_stable_diffusion_times_are_carried_over_at_equal_noise(index):
    times = Times(constant(index / 1000), constant(index / 1000), "sd", False)
    on_sd, on_rf = times.draw(now(), SD), times.draw(now(), RF)
    assert SD.index(on_sd).tolist() == [index] * 3
    torch.testing.assert_close(RF.kappa(on_rf), SD.kappa(on_sd), rtol=1e-9, atol=0)
    native = dataclasses.replace(times, scale="native")
    assert native.draw(now(), RF).tolist() == [index / 1000] * 3


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.5, 0.4, CROSSED.format(0, 0.5, 0.4)),
        (-0.1, 0.4, CROSSED.format(0, -0.1, 0.4)),
        (0.1, 1.2, CROSSED.format(0, 0.1, 1.2)),
        ({"linear": [0.1, 0.9]}, 0.5, CROSSED.format(0.505, 0.504, 0.5)),
        (0.9, {"linear": [1.0, 0.895]}, CROSSED.format(0.955, 0.9, 0.899725)),
        (0.0, 0.5, NO_NOISE.format(0)),
        ({"linear": [0.5, 0.0]}, 0.6, NO_NOISE.format(1)),
        ({"piecewise": [[0, 0.5], [0.5, 0], [1, 0.5]]}, 0.6, NO_NOISE.format(0.5)),
        (0.5, 1.0, NO_SIGNAL.format(0)),
        (0.5, {"linear": [0.6, 1.0]}, NO_SIGNAL.format(1)),
    ],
)
def test_impossible_bounds_are_explained(low, high, said):
    times = Times(parse(low), parse(high), "native", False)
    with pytest.raises(ConfigError) as caught:
        times.check(RF, finite_kappa=True)
    assert str(caught.value) == said


def test_possible_bounds_pass():
    Times(constant(0.5), constant(0.5), "native", False).check(RF, finite_kappa=True)
    Times(constant(0.5), constant(1.0), "native", False).check(RF, finite_kappa=False)
    Times(constant(0.0), constant(1.0), "sd", False).check(RF, finite_kappa=True)
    Times(constant(0.0), constant(1.0), "native", False).check(SD, finite_kappa=True)


def test_unknown_scale():
    with pytest.raises(ConfigError) as caught:
        Times(constant(0.1), constant(0.5), "log", False).check(RF, finite_kappa=False)
    assert str(caught.value) == "guidance.times.scale: unknown scale 'log'; it is one of sd, native."


def test_a_moment_takes_ids_and_groups_from_the_cameras():
    prior, z = prior_of({"y": random_gauss(0)}), random_z(0, 2)
    found = moment(views_of(prior, z, ids=[4, 9], group=[1, 2]), 3, 12, Streams(0))
    assert (found.ids, found.groups, found.step, found.progress) == ((4, 9), (1, 2), 3, 0.25)
    found = moment(views_of(prior, z), 3, 12, Streams(0))
    assert (found.ids, found.groups) == ((0, 1), (0, 0))


def calls_of(schedule: NoiseSchedule) -> Calls:
    """What a source may ask: a prior with that schedule."""
    return Calls(prior_of({"y": random_gauss(0)}, schedule), {})


def test_iid_noise_is_standard_keyed_and_mixed_in():
    prior, z = prior_of({"y": random_gauss(0)}), random_z(0, 2000)
    views, t = views_of(prior, z), torch.full((2000,), 0.3, dtype=f64)
    where = now(ids=range(2000), groups=[0] * 2000)
    assert Iid().states == {"t"}
    state = Iid().make(views, t, 0, where, calls_of(RF), {})["t"]
    assert abs(float(state.eps.mean())) < 0.05
    assert float(state.eps.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(state.z_t, 0.7 * views.z + 0.3 * state.eps)
    assert torch.equal(state.t, t)
    assert state.eps.dtype == views.z.dtype == f64
    torch.testing.assert_close(state.alpha, 1 - t)
    torch.testing.assert_close(state.sigma, t)
    for other in (
        Iid().make(views, t, 1, where, calls_of(RF), {}),
        Iid().make(views, t, 0, dataclasses.replace(where, step=1), calls_of(RF), {}),
        Iid().make(views, t, 0, dataclasses.replace(where, streams=Streams(1)), calls_of(RF), {}),
    ):
        correlation = torch.corrcoef(torch.stack([state.eps.flatten(), other["t"].eps.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.06
    part = dataclasses.replace(where, ids=(3, 1))
    small = Iid().make(views_of(prior, z[:2]), t[:2], 0, part, calls_of(RF), {})["t"]
    assert torch.equal(small.eps, state.eps[[3, 1]])


def test_states_are_told_apart_by_identity():
    """Two states with equal numbers are two states: a cache must not compare tensors."""
    z = torch.zeros(1, *SHAPE)
    first, second = (noised(z, z, torch.tensor([0.5]), RF) for _ in range(2))
    assert first != second
    assert len({first, second}) == 2


def test_weights_at_their_limits():
    kappa = torch.tensor([0.0, 0.5, math.inf], dtype=f64)
    assert WEIGHTS["sigma2"](kappa).tolist() == [0.0, pytest.approx(0.2), 1.0]
    assert WEIGHTS["uniform"](kappa).tolist() == [1.0, 1.0, 1.0]
    assert WEIGHTS["kappa"](kappa).tolist() == [0.0, 0.5, math.inf]
    assert WEIGHTS["inv_kappa"](kappa).tolist() == [math.inf, 2.0, 0.0]
    assert WEIGHTS["rf_uniform"](kappa).tolist() == [1.0, 1.5, math.inf]
    assert WEIGHTS["hifa"](kappa).tolist() == [0.0, pytest.approx(0.025), math.inf]
    assert WEIGHTS["fantasia"](kappa[:2]).tolist() == [0.0, pytest.approx(0.25 / 1.25**1.5)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sigma2", (0.019, 0.25, 0.72, 0.99)),
        ("kappa", (0.14, 0.57, 1.62, 13.0)),
        ("inv_kappa", (7.2, 1.75, 0.62, 0.077)),
        ("fantasia", (0.018, 0.21, 0.38, 0.076)),
        ("hifa", (0.007, 0.029, 0.081, 0.65)),
        ("rf_uniform", (1.14, 1.57, 2.62, 14.0)),
    ],
)
def test_weights_as_the_card_tabulates_them(name, values):
    k = SD.kappa(torch.tensor([0.02, 0.2, 0.5, 0.98], dtype=f64))
    assert WEIGHTS[name](k).tolist() == pytest.approx(values, rel=0.03)


ASKS_NOTHING = "rule: the rule asks the prior nothing: it needs at least one prediction."
NO_STATE = "rule: the rule reads a prediction at the state 'prev', but the noise source Iid makes only: t."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": EPS}, ASKS_NOTHING),
        ({"rule": C - C}, ASKS_NOTHING),
        ({"rule": C - of(Plain("null", "prev"))}, NO_STATE),
        ({"rule": C - of(Epsilon("prev"))}, NO_STATE),
        ({"rule": of(Guided(CFG(constant(2.0)), at="prev")) - EPS}, NO_STATE),
        (
            {"weight": "sigma"},
            "weight: unknown weight 'sigma'; there are sigma2, uniform, kappa, inv_kappa, fantasia, hifa, rf_uniform.",
        ),
        ({"draws": 0}, "draws: needs at least one draw of noise, got 0."),
    ],
)
def test_recipes_that_do_not_go_together(change, said):
    slots = {"rule": C - EPS, "times": CONSTANT_TIMES, "weight": "sigma2"} | change
    with pytest.raises(ConfigError) as caught:
        Recipe(**slots)
    assert str(caught.value) == said


def test_the_states_of_a_source_are_listed():
    with pytest.raises(
        ConfigError, match=r"reads a prediction at the state 'x', .* Later makes only: p, t\."
    ):
        Recipe(C - of(Plain("null", "x")), CONSTANT_TIMES, "sigma2", noise=Later(0.1))


def test_a_recipe_is_frozen_data():
    first, second = (Recipe(C - U, CONSTANT_TIMES, "sigma2") for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first.branches == {"y", "null"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.weight = "kappa"


def test_zero_terminal_signal_is_served_without_dividing_by_alpha():
    """At alpha = 0 a v-prediction guided by CFG still has finite eps and x0."""
    schedule = NoiseSchedule("vp", torch.tensor([0.5, 0.0], dtype=f64))
    law = random_gauss(1)
    prior, z = prior_of({"y": law, "null": random_gauss(2)}, schedule, "v"), random_z(0, 2)
    views = views_of(prior, z)
    state = Iid().make(views, torch.ones(2, dtype=f64), 0, now(ids=(0, 1)), calls_of(schedule), {})["t"]
    answers = {n: prior.predict(state.z_t, state.t, views.cond[n]) for n in ("y", "null")}
    found = Guided(CFG(constant(5.0)), (ClampX0(),)).combiner.combine(answers, 0.0)
    assert bool(torch.isfinite(found.x0).all())
    torch.testing.assert_close(found.eps, state.z_t)
