"""Published laws of time (guidance card §2.5), usable by any method."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from guidance_cases import RF, SD
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.base import Moment
from sds3d.guidance.dreamtime import DreamTime
from sds3d.guidance.options import TimesOptions
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.times import LAWS

from sds3d.config.source import Document
from sds3d.core.errors import ConfigError
from sds3d.core.streams import Streams
from sds3d.jobs import recommend


def index(times, progress: float, schedule=SD, seed: int = 0, step: int = 0) -> list[int]:
    """Stable Diffusion's indices of four views."""
    now = Moment(step, progress, Streams(seed), tuple(range(4)), (0,) * 4)
    return schedule.index(times.draw(now, schedule)).tolist()


@pytest.mark.oracle("O1.9")
def test_falling_laws_at_their_knots():
    """HiFA's root and CFD's line in percent: t = 0.98 - 0.96 p with p = 0, 0.3, 0.6, 0.8."""
    hifa, cfd = (TimesOptions(law=name).build() for name in ("hifa", "cfd"))
    for p in (0.0, 0.1, 0.25, 0.5, 1.0):
        want = 980 - 680 * math.sqrt(p)
        assert index(hifa, p) == [pytest.approx(want, abs=0.51)] * 4
    for p, share in ((0.0, 0.0), (0.1, 0.3), (0.3, 0.45), (0.5, 0.6), (0.75, 0.7), (1.0, 0.8)):
        assert index(cfd, p) == [pytest.approx(980 - 960 * share, abs=0.51)] * 4


@pytest.mark.oracle("O1.9")
@pytest.mark.parametrize(
    ("law", "progress", "low", "high"),
    [
        ("two_stage", 0.2, 0.02, 0.98),
        ("two_stage", 0.201, 0.02, 0.5),
        ("linear", 0.0, 0.98, 0.98),
        ("linear", 0.4, 0.5, 0.74),
        ("linear", 0.9, 0.02, 0.5),
        ("ism", 0.15, 0.02, 0.74),
        ("ism", 0.3, 0.02, 0.5),
        ("uniform", 0.7, 0.02, 0.98),
    ],
)
def test_bounds_of_the_other_laws(law, progress, low, high):
    options = TimesOptions(law=law)
    assert (options.low(progress), options.high(progress)) == (pytest.approx(low), pytest.approx(high))


def test_a_law_yields_to_what_is_said():
    assert TimesOptions(law="hifa", low=0.1).low(0.5) == 0.1
    assert TimesOptions(law="hifa", low=0.1).high == LAWS["hifa"]["high"]
    for law in ("hifa", "dreamtime"):
        options = parse({"method": "csd", "times": {"law": law}})
        assert parse(yaml.safe_load(yaml.safe_dump(options.model_dump(mode="json")))) == options


@pytest.mark.oracle("O1.9")
@pytest.mark.parametrize(
    ("by_noise", "want"),
    [(False, [980, 914, 822, 673, 524, 429, 302]), (True, [980, 958, 918, 833, 695, 549, 375])],
)
def test_dreamtime_as_the_card_tabulates_it(by_noise, want):
    times = TimesOptions(law="dreamtime", by_noise=by_noise).build()
    found = [index(times, p)[0] for p in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)]
    assert found == [pytest.approx(w, abs=1) for w in want]


@pytest.mark.oracle("O1.9")
@given(st.floats(0.3, 0.6), st.floats(0.0, 0.3), st.floats(0.03, 0.3), st.floats(0.03, 0.3), st.booleans())
def test_dreamtime_meets_every_time_as_often_as_its_density_says(lower, width, below, above, by_noise):
    """O1.9: occupancy over a run equals W, and t never rises."""
    upper, total = lower + width, 4000
    times = TimesOptions(
        law="dreamtime", plateau=(lower, upper), spread=(below, above), by_noise=by_noise, low=0.1, high=0.9
    ).build()
    t = np.arange(100, 901) / 1000
    w = np.where(t > upper, np.exp(-((t - upper) ** 2) / (2 * above**2)), 1.0)
    w = np.where(t < lower, np.exp(-((t - lower) ** 2) / (2 * below**2)), w)
    w = w * (SD.kappa(torch.from_numpy(t)).numpy() if by_noise else 1.0)
    # the share of a run after which t has come to an index is the density above it
    above_it = np.cumsum((w / w.sum())[::-1])[::-1]
    met = [index(times, k / total)[0] for k in range(0, total, 97)]
    assert all(b <= a for a, b in pairwise(met))
    for k, at in zip(range(0, total, 97), met, strict=True):
        upper_edge = above_it[at - 100 + 1] if at < 900 else 0.0
        assert upper_edge - 1e-9 <= k / total <= above_it[at - 100] + 1e-9


def test_dreamtime_is_carried_over_at_equal_noise():
    times = TimesOptions(law="dreamtime").build()
    now = Moment(0, 0.3, Streams(0), (0, 1), (0, 0))
    on_sd, on_rf = times.draw(now, SD), times.draw(now, RF)
    torch.testing.assert_close(RF.kappa(on_rf), SD.kappa(on_sd), rtol=1e-9, atol=0)
    assert isinstance(preset("sds")(parse({"times": {"law": "dreamtime"}})).times, DreamTime)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"law": "hifi"}, "guidance.times.law: .*'hifa'"),
        (
            {"law": "hifa", "spread": [0.1, 0.1]},
            "spread shapes the density of `law: dreamtime`; the law is hifa",
        ),
        ({"plateau": [0.2, 0.4]}, "plateau shapes the density of `law: dreamtime`; the law is uniform"),
        ({"law": 3}, "guidance.times.law"),
    ],
)
def test_mistakes(times, said):
    with pytest.raises(ConfigError, match=said):
        parse({"times": times})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plateau": (0.8, 0.5)}, r"times.plateau: the plateau's lower edge comes first, got \(0.8, 0.5\)"),
        ({"spread": (0.1, 0.0)}, r"times.spread: the density needs spreads above 0, got \(0.1, 0.0\)"),
    ],
)
def test_impossible_densities(change, said):
    with pytest.raises(ConfigError, match=said):
        TimesOptions(law="dreamtime", **change).build()


def test_an_infinite_density_is_refused():
    times = TimesOptions(law="dreamtime", high=1.0, scale="native").build()
    with pytest.raises(ConfigError, match="keeps no signal"):
        times.check(RF, finite_kappa=False)


def test_what_a_prior_recommends_leaves_a_law_alone():
    """The embedded prior has bounds of its own for SDS; they must not undo the law that the user asked for."""
    given_law, plain = (
        Document({"prompt": "x", "guidance": {"method": "sds", "times": times}}, {})
        for times in ({"law": "dreamtime"}, {"shared": True})
    )
    recommend.fill(given_law)
    recommend.fill(plain)
    assert given_law.data["guidance"]["times"] == {"law": "dreamtime"}
    assert set(plain.data["guidance"]["times"]) > {"shared", "low", "high"}
