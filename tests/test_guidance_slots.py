"""Each slot of a recipe by itself: times, noise, predictions, rules, weights, post."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, prior_of, random_gauss, random_z, views_of
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.base import Moment, moment
from sds3d.guidance.noise import Iid, noised
from sds3d.guidance.post import ClipNorm, ClipValue, UnitNorm
from sds3d.guidance.predictions import CFG, ClampX0, Epsilon, Guided, Plain, Rescale
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.rules import EPS, NEG, C, Linear, U, branches_of, guided, of
from sds3d.guidance.times import Times
from sds3d.guidance.weights import WEIGHTS

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule, constant, parse
from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import NoiseSchedule, to_eps_x0

f64 = torch.float64
CONSTANT_TIMES = Times(constant(0.02), constant(0.98), "sd", False)
RAMP = parse({"linear": [1.0, 0.5]})
CROSSED = "times: needs 0 <= low <= high <= 1, but at progress {:g} low is {:g} and high is {:g}."
NO_NOISE = (
    "times.low: at progress {:g} the bound `low` is the prior's t = 0, where it adds no noise, so that no prediction "
    "of the noise exists. Use a bound above 0, such as 0.02."
)
NO_SIGNAL = (
    "times.high: at progress {:g} the bound `high` is the prior's t = 1, where it keeps no signal, so that the weight "
    "kappa = sigma / alpha is infinite. Use a bound below it, or the weight sigma2."
)


def now(progress: float = 0.0, step: int = 0, ids=(0, 1, 2), groups=(0, 0, 0), seed: int = 0) -> Moment:
    return Moment(step, progress, Streams(seed), tuple(ids), tuple(groups))


# ------------------------------------------------------------------------------------------- times


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
    assert str(caught.value) == "times.scale: unknown scale 'log'; it is one of sd, native."


# ------------------------------------------------------------------------------------------- noise


def test_a_moment_takes_ids_and_groups_from_the_cameras():
    prior, z = prior_of({"y": random_gauss(0)}), random_z(0, 2)
    found = moment(views_of(prior, z, ids=[4, 9], group=[1, 2]), 3, 12, Streams(0))
    assert (found.ids, found.groups, found.step, found.progress) == ((4, 9), (1, 2), 3, 0.25)
    found = moment(views_of(prior, z), 3, 12, Streams(0))
    assert (found.ids, found.groups) == ((0, 1), (0, 0))


def test_iid_noise_is_standard_keyed_and_mixed_in():
    prior, z = prior_of({"y": random_gauss(0)}), random_z(0, 2000)
    views, t = views_of(prior, z), torch.full((2000,), 0.3, dtype=f64)
    where = now(ids=range(2000), groups=[0] * 2000)
    assert Iid().states == {"t"}
    state = Iid().make(views, t, 0, where, RF)["t"]
    assert abs(float(state.eps.mean())) < 0.05
    assert float(state.eps.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(state.z_t, 0.7 * views.z + 0.3 * state.eps)
    assert torch.equal(state.t, t)
    assert state.eps.dtype == views.z.dtype == f64
    torch.testing.assert_close(state.alpha, 1 - t)
    torch.testing.assert_close(state.sigma, t)
    for other in (
        Iid().make(views, t, 1, where, RF),
        Iid().make(views, t, 0, dataclasses.replace(where, step=1), RF),
        Iid().make(views, t, 0, dataclasses.replace(where, streams=Streams(1)), RF),
    ):
        correlation = torch.corrcoef(torch.stack([state.eps.flatten(), other["t"].eps.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.06
    part = dataclasses.replace(where, ids=(3, 1))
    small = Iid().make(views_of(prior, z[:2]), t[:2], 0, part, RF)["t"]
    assert torch.equal(small.eps, state.eps[[3, 1]])


def test_states_are_told_apart_by_identity():
    """Two states with equal numbers are two states: a cache must not compare tensors."""
    z = torch.zeros(1, *SHAPE)
    first, second = (noised(z, z, torch.tensor([0.5]), RF) for _ in range(2))
    assert first != second
    assert len({first, second}) == 2


# ------------------------------------------------------------------------------------- predictions


def state_and_answers(seed: int, alpha: float = 0.6, sigma: float = 0.8, views: int = 2):
    generator = torch.Generator().manual_seed(seed)
    z, eps = torch.randn(2, views, 2, 3, 3, dtype=f64, generator=generator)
    scales = (torch.full((views,), v, dtype=f64) for v in (alpha, sigma))
    from sds3d.guidance.noise import Noisy

    state = Noisy(alpha * z + sigma * eps, eps, torch.full((views,), 0.5, dtype=f64), *scales)
    outputs = torch.randn(2, views, 2, 3, 3, dtype=f64, generator=generator)
    one = [torch.full((views, 1, 1, 1), v, dtype=f64) for v in (alpha, sigma)]
    return state, {
        n: Prediction.of(o, state.z_t, *one, "v") for n, o in zip(("y", "null"), outputs, strict=True)
    }


def consistent(found: Prediction, state) -> None:
    """All four forms describe one point."""
    a, s = float(state.alpha[0]), float(state.sigma[0])
    torch.testing.assert_close(a * found.x0 + s * found.eps, state.z_t)
    torch.testing.assert_close(found.v, a * found.eps - s * found.x0)
    torch.testing.assert_close(found.velocity, found.eps - found.x0)
    torch.testing.assert_close(
        to_eps_x0(found.v, state.z_t, state.alpha[0], state.sigma[0], "v")[0], found.eps
    )


@given(st.integers(0, 10**6), st.floats(-5.0, 50.0))
def test_cfg_has_one_meaning_in_every_form(seed, s):
    """O0.6, O0.7: eps_null + s (eps_y - eps_null) = eps_y + (s - 1)(eps_y - eps_null), in all four forms."""
    state, answers = state_and_answers(seed)
    found = CFG(constant(s)).combine(answers, 0.0)
    for form in ("eps", "x0", "v", "velocity"):
        y, null = (getattr(answers[n], form) for n in ("y", "null"))
        torch.testing.assert_close(getattr(found, form), y + (s - 1) * (y - null), rtol=1e-7, atol=1e-6)
    consistent(found, state)


def test_cfg_asks_only_what_it_needs():
    cases = {0.0: ("null",), 1.0: ("y",), 7.5: ("y", "null")}
    _, answers = state_and_answers(0)
    for s, asked in cases.items():
        assert CFG(constant(s)).conditions(0.0) == asked
        assert CFG(constant(s)).branches() == set(asked)
    assert CFG(constant(1.0)).combine({"y": answers["y"]}, 0.0) is answers["y"]
    assert CFG(constant(0.0)).combine({"null": answers["null"]}, 0.0) is answers["null"]
    scheduled = CFG(parse({"linear": [1.0, 3.0]}), positive="a", negative="b")
    assert scheduled.conditions(0.0) == ("a",)
    assert scheduled.conditions(0.5) == ("a", "b")
    assert scheduled.branches() == {"a", "b"}
    warm = CFG(parse({"constant": 1.0, "warmup": 0.5}))
    assert warm.branches() == {"y", "null"}
    found = scheduled.combine({"a": answers["y"], "b": answers["null"]}, 0.25)
    torch.testing.assert_close(found.eps, 1.5 * answers["y"].eps - 0.5 * answers["null"].eps)


@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.sampled_from(["x0", "eps"]), st.floats(1.5, 20.0))
def test_rescale_gives_back_the_spread(seed, phi, space, s):
    """O0.7: std = phi std(positive) + (1 - phi) std(guided), each sample by itself; the direction stays."""
    state, answers = state_and_answers(seed)
    mixed = CFG(constant(s)).combine(answers, 0.0)
    found = Rescale(phi, space)(mixed, answers["y"], state)
    consistent(found, state)
    ours, theirs, out = (getattr(p, space) for p in (mixed, answers["y"], found))
    for k in range(2):
        expected = phi * float(theirs[k].std()) + (1 - phi) * float(ours[k].std())
        assert float(out[k].std()) == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(out[k] / out[k].std(), ours[k] / ours[k].std())


def test_the_space_of_a_rescale_matters():
    state, answers = state_and_answers(3)
    mixed = CFG(constant(7.5)).combine(answers, 0.0)
    in_x0, in_eps = (Rescale(0.7, space)(mixed, answers["y"], state).eps for space in ("x0", "eps"))
    assert float((in_x0 - in_eps).abs().max()) > 0.1


def test_rescale_is_inert_without_guidance_or_share():
    state, answers = state_and_answers(3)
    mixed = CFG(constant(7.5)).combine(answers, 0.0)
    for space in ("x0", "eps"):
        torch.testing.assert_close(
            Rescale(1.0, space)(answers["y"], answers["y"], state).eps, answers["y"].eps
        )
        torch.testing.assert_close(Rescale(0.0, space)(mixed, answers["y"], state).x0, mixed.x0)


@given(st.integers(0, 10**6), st.floats(0.05, 2.0))
def test_clamp_x0(seed, limit):
    state, answers = state_and_answers(seed)
    found = ClampX0(limit)(answers["y"], None, state)
    consistent(found, state)
    assert float(found.x0.abs().max()) <= limit
    inside = answers["y"].x0.abs() < limit
    torch.testing.assert_close(found.x0[inside], answers["y"].x0[inside])
    assert torch.equal(found.x0[~inside], limit * answers["y"].x0[~inside].sign())
    torch.testing.assert_close(ClampX0()(answers["y"], None, state).x0, answers["y"].x0.clamp(-1, 1))


def test_transforms_run_in_order():
    state, answers = state_and_answers(5)
    cfg = CFG(constant(9.0))
    rescale, clamp = Rescale(0.5, "x0"), ClampX0(0.8)
    forth = Guided(cfg, (rescale, clamp)).evaluate(answers, state, 0.0)
    back = Guided(cfg, (clamp, rescale)).evaluate(answers, state, 0.0)
    mixed = cfg.combine(answers, 0.0)
    torch.testing.assert_close(forth.x0, clamp(rescale(mixed, answers["y"], state), None, state).x0)
    torch.testing.assert_close(back.x0, rescale(clamp(mixed, None, state), answers["y"], state).x0)
    assert float((forth.x0 - back.x0).abs().max()) > 1e-3


def test_a_transform_that_compares_brings_its_branch_along():
    unguided = CFG(constant(0.0))
    assert Guided(unguided).conditions(0.0) == ("null",)
    assert Guided(unguided, (ClampX0(),)).conditions(0.0) == ("null",)
    assert Guided(unguided, (ClampX0(), Rescale(0.5, "x0"))).conditions(0.0) == ("null", "y")
    assert Guided(unguided, (Rescale(0.5, "x0"),)).branches() == {"null", "y"}
    assert Guided(unguided, (ClampX0(),)).branches() == {"null"}
    assert Guided(CFG(constant(3.0)), (Rescale(0.5, "x0"),)).conditions(0.0) == ("y", "null")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rescale(0.5, "v"), "transforms: rescale works in one of the spaces x0, eps, not 'v'."),
        (lambda: Rescale(1.5, "x0"), "transforms: rescale mixes with a factor in [0, 1], got 1.5."),
        (lambda: Rescale(-0.5, "x0"), "transforms: rescale mixes with a factor in [0, 1], got -0.5."),
        (lambda: ClampX0(0.0), "transforms: clamp_x0 needs a limit above 0, got 0."),
        (lambda: ClampX0(-1.0), "transforms: clamp_x0 needs a limit above 0, got -1."),
        (lambda: ClampX0(math.nan), "transforms: clamp_x0 needs a limit above 0, got nan."),
        (
            lambda: ClipNorm(constant(1.0), "step"),
            "post: a norm is taken over one of view, batch, not 'step'.",
        ),
        (lambda: UnitNorm("step"), "post: a norm is taken over one of view, batch, not 'step'."),
    ],
)
def test_impossible_choices_are_explained(make, said):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == said


# ------------------------------------------------------------------------------------------- rules


def coefficients(rule: Linear, progress: float = 0.0) -> dict:
    return rule.coefficients(progress)


def test_rule_algebra():
    """As on paper: signs, sums, factors, schedules, cancellation."""
    y, null, noise = Plain("y"), Plain("null"), Epsilon()
    assert coefficients(C - EPS) == {y: 1.0, noise: -1.0}
    assert coefficients(-(C - EPS)) == {y: -1.0, noise: 1.0}
    assert coefficients(3.0 * (C - U) + U) == {y: 3.0, null: -2.0}
    assert coefficients(C - C) == {}
    assert coefficients(2.0 * (0.5 * C) + C) == {y: 2.0}
    assert coefficients(RAMP * (2.0 * (C - U)), 1.0) == {y: 1.0, null: -1.0}
    assert coefficients(-(RAMP * C), 0.5) == {y: -0.75}
    assert coefficients(2.0 * (RAMP * C), 0.0) == {y: 2.0}
    assert coefficients(constant(3.0) * C) == {y: 3.0}
    assert coefficients(guided(CFG(constant(2.0))) - NEG) == {
        Guided(CFG(constant(2.0))): 1.0,
        Plain("neg"): -1.0,
    }
    assert coefficients(of(Plain("y", "prev"))) == {Plain("y", "prev"): 1.0}


def test_a_coefficient_follows_one_schedule():
    with pytest.raises(ConfigError) as caught:
        RAMP * (RAMP * C)
    assert (
        str(caught.value)
        == "a rule's coefficient can follow one schedule only; multiply the schedules first."
    )
    assert coefficients(RAMP * (constant(1.0) * C), 1.0) == {Plain("y"): 0.5}


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 100))
def test_residual_is_the_sum(a, b, seed):
    generator = torch.Generator().manual_seed(seed)
    eps = dict(
        zip((Plain("y"), Plain("null"), Epsilon()), torch.randn(3, 2, 2, generator=generator), strict=True)
    )
    rule = a * C + b * U - EPS
    expected = a * eps[Plain("y")] + b * eps[Plain("null")] - eps[Epsilon()]
    torch.testing.assert_close(rule.residual(eps, 0.3, torch.zeros(2, 2)), expected)


def test_an_empty_step_is_zero():
    warm = parse({"constant": 1.0, "warmup": 0.5}) * (C - U)
    like = torch.ones(2, 3, dtype=f64)
    assert warm.symbols(0.0) == ()
    assert torch.equal(warm.residual({}, 0.0, like), torch.zeros(2, 3, dtype=f64))
    assert warm.symbols(0.25) == (Plain("y"), Plain("null"))


def test_every_symbol_sees_through_exact_cancellation():
    """omega2 = omega1 removes the empty prompt for good, also when both follow one schedule."""
    y, null, neg = Plain("y"), Plain("null"), Plain("neg")

    def csd(w1: Schedule, w2: Schedule) -> set:
        return set((w1 * (C - U) + w2 * (U - NEG)).every_symbol())

    assert csd(constant(1.0), constant(0.0)) == {y, null}
    assert csd(constant(1.0), constant(1.0)) == {y, neg}
    assert csd(constant(1.0), constant(0.5)) == {y, null, neg}
    assert csd(RAMP, RAMP) == {y, neg}
    assert csd(RAMP, constant(1.0)) == {y, null, neg}
    assert csd(constant(0.0), RAMP) == {null, neg}
    warm = parse({"constant": 1.0, "warmup": 0.5})
    assert csd(warm, constant(1.0)) == {y, null, neg}
    assert csd(warm, warm) == {y, neg}


def test_branches_of_symbols():
    symbols = (Epsilon(), Plain("neg"), Guided(CFG(constant(3.0))))
    assert branches_of(symbols) == {"neg", "y", "null"}
    assert branches_of((Epsilon(),)) == frozenset()


# ----------------------------------------------------------------------------------------- weights


def test_weights_at_their_limits():
    kappa = torch.tensor([0.0, 0.5, math.inf], dtype=f64)
    assert WEIGHTS["sigma2"](kappa).tolist() == [0.0, pytest.approx(0.2), 1.0]
    assert WEIGHTS["uniform"](kappa).tolist() == [1.0, 1.0, 1.0]
    assert WEIGHTS["kappa"](kappa).tolist() == [0.0, 0.5, math.inf]
    assert set(WEIGHTS) == {"sigma2", "uniform", "kappa"}


@pytest.mark.parametrize(
    ("index", "sigma2", "kappa"), [(20, 0.019, 0.14), (200, 0.25, 0.57), (500, 0.72, 1.62), (980, 0.99, 13.0)]
)
def test_weights_as_the_card_tabulates_them(index, sigma2, kappa):
    k = SD.kappa(torch.tensor([index / 1000], dtype=f64))
    assert float(WEIGHTS["sigma2"](k)) == pytest.approx(sigma2, rel=0.02)
    assert float(WEIGHTS["kappa"](k)) == pytest.approx(kappa, rel=0.02)


# -------------------------------------------------------------------------------------------- post


@given(st.integers(0, 1000), st.floats(0.05, 3.0))
def test_clip_value(seed, limit):
    g = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    out = ClipValue(constant(limit))(g, 0.0)
    small = g.abs() <= limit
    assert torch.equal(out[small], g[small])
    torch.testing.assert_close(out[~small], limit * g[~small].sign())


def test_limits_follow_the_run():
    g = torch.full((1, 1, 2, 2), 10.0)
    assert float(ClipValue(RAMP)(g, 0.0).max()) == 1.0
    assert float(ClipValue(RAMP)(g, 1.0).max()) == 0.5
    assert float(ClipNorm(RAMP)(g, 0.0).norm()) == pytest.approx(1.0)
    assert float(ClipNorm(RAMP)(g, 1.0).norm()) == pytest.approx(0.5)


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_clip_norm(seed, limit):
    g = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([0.1, 1.0, 5.0])[
        :, None, None, None
    ]  # fmt: skip
    by_view = ClipNorm(constant(limit))(g, 0.0)
    for a, b in zip(by_view, g, strict=True):
        torch.testing.assert_close(a, b * min(1.0, limit / float(b.norm())))
    by_batch = ClipNorm(constant(limit), "batch")(g, 0.0)
    torch.testing.assert_close(by_batch, g * min(1.0, limit / float(g.norm())))


def test_unit_norm():
    g = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(UnitNorm()(g, 0.0), g / g.norm())
    by_view = UnitNorm("view")(g, 0.0)
    torch.testing.assert_close(by_view.flatten(1).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(by_view[1], g[1] / g[1].norm())
    torch.testing.assert_close(UnitNorm()(1e-3 * g, 0.0), g / g.norm())
    torch.testing.assert_close(UnitNorm("view")(1e-3 * g, 0.0), by_view)
    assert torch.equal(UnitNorm()(torch.zeros(1, 1, 2, 2), 0.0), torch.zeros(1, 1, 2, 2))
    half = torch.zeros(2, 1, 1, 2)
    half[0, 0, 0, 0] = 4.0
    assert UnitNorm("view")(half, 0.0).flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


# ------------------------------------------------------------------------------------------ recipe

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
        ({"weight": "sigma"}, "weight: unknown weight 'sigma'; there are sigma2, uniform, kappa."),
        ({"draws": 0}, "draws: needs at least one draw of noise, got 0."),
    ],
)
def test_recipes_that_do_not_go_together(change, said):
    slots = {"rule": C - EPS, "times": CONSTANT_TIMES, "weight": "sigma2"} | change
    with pytest.raises(ConfigError) as caught:
        Recipe(**slots)
    assert str(caught.value) == said


def test_the_states_of_a_source_are_listed():
    with pytest.raises(ConfigError, match=r"reads a prediction at the state 'x', .* Iid makes only: s, t\."):
        Recipe(C - of(Plain("null", "x")), CONSTANT_TIMES, "sigma2", noise=Iid(frozenset({"t", "s"})))


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
    state = Iid().make(views, torch.ones(2, dtype=f64), 0, now(ids=(0, 1)), schedule)["t"]
    answers = {n: prior.predict(state.z_t, state.t, views.cond[n]) for n in ("y", "null")}
    found = Guided(CFG(constant(5.0)), (ClampX0(),)).combiner.combine(answers, 0.0)
    assert bool(torch.isfinite(found.x0).all())
    torch.testing.assert_close(found.eps, state.z_t)
