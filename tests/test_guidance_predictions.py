"""Slots of a recipe: guided predictions, their transforms, and the algebra of rules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import few_each, in_every_form
from sds3d.guidance.post import ClipNorm, UnitNorm
from sds3d.guidance.predictions import CFG, ClampX0, Epsilon, Guided, Plain, Rescale
from sds3d.guidance.rules import EPS, NEG, C, Linear, U, branches_of, guided, of

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule, constant, parse
from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import to_eps

f64 = torch.float64
RAMP = parse({"linear": [1.0, 0.5]})


def state_and_answers(
    seed: int, prediction: str = "v", alpha: float = 0.6, sigma: float = 0.8, views: int = 2
):
    generator = torch.Generator().manual_seed(seed)
    z, eps = torch.randn(2, views, 2, 3, 3, dtype=f64, generator=generator)
    scales = (torch.full((views,), v, dtype=f64) for v in (alpha, sigma))
    from sds3d.guidance.states import Noisy

    state = Noisy(alpha * z + sigma * eps, eps, torch.full((views,), 0.5, dtype=f64), *scales)
    outputs = torch.randn(2, views, 2, 3, 3, dtype=f64, generator=generator)
    one = [torch.full((views, 1, 1, 1), v, dtype=f64) for v in (alpha, sigma)]
    return state, {
        n: Prediction.of(o, state.z_t, *one, prediction) for n, o in zip(("y", "null"), outputs, strict=True)
    }


def consistent(found: Prediction, state) -> None:
    """All four forms describe one point."""
    a, s = float(state.alpha[0]), float(state.sigma[0])
    torch.testing.assert_close(a * found.x0 + s * found.eps, state.z_t)
    torch.testing.assert_close(found.v, a * found.eps - s * found.x0)
    torch.testing.assert_close(found.velocity, found.eps - found.x0)
    torch.testing.assert_close(to_eps(found.v, state.z_t, state.alpha[0], state.sigma[0], "v"), found.eps)


@pytest.mark.oracle("O0.6", "O0.7")
@in_every_form
@few_each
@given(st.integers(0, 10**6), st.floats(-5.0, 50.0))
def test_cfg_has_one_meaning_in_every_form(prediction, seed, s):
    """O0.6, O0.7: eps_null + s (eps_y - eps_null) = eps_y + (s - 1)(eps_y - eps_null), in all four forms."""
    state, answers = state_and_answers(seed, prediction)
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


@pytest.mark.oracle("O0.7")
@in_every_form
@few_each
@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.sampled_from(["x0", "eps"]), st.floats(1.5, 20.0))
def test_rescale_gives_back_the_spread(prediction, seed, phi, space, s):
    """O0.7: std = phi std(positive) + (1 - phi) std(guided), each sample by itself; the direction stays."""
    state, answers = state_and_answers(seed, prediction)
    mixed = CFG(constant(s)).combine(answers, 0.0)
    found = Rescale(phi, space)(mixed, answers["y"], state)
    consistent(found, state)
    ours, theirs, out = (getattr(p, space) for p in (mixed, answers["y"], found))
    for k in range(2):
        expected = phi * float(theirs[k].std()) + (1 - phi) * float(ours[k].std())
        assert float(out[k].std()) == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(out[k] / out[k].std(), ours[k] / ours[k].std())


@pytest.mark.oracle("O0.7")
@in_every_form
def test_the_space_of_a_rescale_matters(prediction):
    state, answers = state_and_answers(3, prediction)
    mixed = CFG(constant(7.5)).combine(answers, 0.0)
    in_x0, in_eps = (Rescale(0.7, space)(mixed, answers["y"], state).eps for space in ("x0", "eps"))
    assert float((in_x0 - in_eps).abs().max()) > 0.1


@pytest.mark.oracle("O0.7")
@in_every_form
def test_rescale_is_inert_without_guidance_or_share(prediction):
    state, answers = state_and_answers(3, prediction)
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
