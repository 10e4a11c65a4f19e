"""Intervals: closed forms, limits, and how often they hold the truth."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sds3d.core.streams import Streams
from sds3d.evaluate.intervals import of_paired_shares, of_share, of_strata

NUMBERS = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def normal(seed, *shape):
    return Streams(seed).normal(shape, "test-intervals")[0].double()


@settings(max_examples=30, deadline=None)
@given(values=NUMBERS)
def test_one_group_is_students_interval(values):
    found = of_strata([values])
    spread = stats.sem(values)
    if spread < 1e-9:
        assert found.high - found.low < 1e-6
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=spread)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert found.known
    assert found.count == len(values)


@settings(max_examples=30, deadline=None)
@given(first=NUMBERS, second=NUMBERS, shift=st.floats(-1e3, 1e3))
def test_how_far_groups_lie_apart_does_not_widen_the_interval(first, second, shift):
    plain, moved = of_strata([first, second]), of_strata([first, [v + shift for v in second]])
    assert moved.mean == pytest.approx(plain.mean + shift / 2, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, rel=1e-6, abs=1e-6)


def test_groups_count_alike_whatever_their_size():
    assert of_strata([[0.0] * 9, [1.0]]).mean == 0.5


def test_one_run_a_group_tells_nothing_about_other_seeds():
    found = of_strata([[1.0], [2.0], [4.0]])
    assert found.mean == pytest.approx(7 / 3)
    assert not found.known
    assert math.isnan(found.low)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Two runs at each of four prompts of very different level; 0.95 of 2000 is 1900 ± 20."""
    draws = normal(0, 2000, 4, 2) + 10.0 * torch.arange(4.0)[:, None]
    held = sum(found.low <= 15.0 <= found.high for found in (of_strata(groups) for groups in draws.tolist()))
    assert 1870 <= held <= 1930


@settings(max_examples=30, deadline=None)
@given(hits=st.lists(st.booleans(), min_size=1, max_size=40))
def test_shares_are_wilsons(hits):
    found = of_share(hits)
    expected = stats.binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    mirrored = of_share([not h for h in hits])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-12)


def test_few_runs_that_agree_claim_no_certainty():
    assert of_share([True] * 3).low < 0.5
    same = of_paired_shares([True] * 3, [True] * 3)
    assert same.mean == 0.0
    assert same.low < -0.3
    assert same.high > 0.3


@settings(max_examples=30, deadline=None)
@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_differences_of_shares_change_sign_with_their_sides(pairs):
    first, second = zip(*pairs, strict=True)
    one, other = of_paired_shares(first, second), of_paired_shares(second, first)
    assert one.mean == pytest.approx(sum(first) / len(first) - sum(second) / len(second))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.low <= one.mean <= one.high


def test_differences_of_shares_hold_the_truth():
    """p = .7 against .4 on 24 pairs that agree more than by chance."""
    u = normal(1, 1000, 24)
    noise = normal(2, 1000, 24)
    first = u > stats.norm.ppf(0.3)
    second = (0.8 * u + 0.6 * noise) > stats.norm.ppf(0.6)
    held = 0
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        found = of_paired_shares(a, b)
        held += found.low <= 0.3 <= found.high
    assert held >= 930


@pytest.mark.parametrize(
    "call",
    [
        lambda: of_share([]),
        lambda: of_strata([]),
        lambda: of_strata([[1.0], []]),
        lambda: of_paired_shares([], []),
    ],
)
def test_no_runs_have_no_mean(call):
    with pytest.raises(ValueError, match="not defined"):
        call()


def test_pairs_have_two_sides():
    with pytest.raises(ValueError, match="zip"):
        of_paired_shares([True], [True, False])
