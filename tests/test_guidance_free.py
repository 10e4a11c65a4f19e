"""Free recipes: presets can be written as one, to the bit; what does not go together is told."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from guidance_cases import at, prior_of, random_gauss, random_z, views_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import indices, predictions, schedules, seeds, table_of
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse, preset

from sds3d.core.errors import ConfigError
from sds3d.core.streams import Streams

ISM_GAP = {"piecewise": [[0, 0.1], [0.3, 0.08]]}
TWINS = {
    "sds": ({}, {"rule": "G - EPS"}),
    "sjc": ({}, {"rule": "G - EPS", "weight": "uniform"}),
    "csd": (
        {"omega1": 1.5, "omega2": {"linear": [0, 1]}},
        {"rule": "w1 * (C - U) + w2*(U - NEG)", "values": {"w1": 1.5, "w2": {"linear": [0, 1]}}},
    ),
    "ism": ({}, {"rule": "G - null@s", "weight": "kappa", "noise": {"kind": "inverted", "gap": ISM_GAP}}),
    "tsm": (
        {"mu": 0.4},
        {"rule": "G - U@mu", "weight": "kappa", "noise": {"kind": "inverted", "gap": ISM_GAP, "mu": 0.4}},
    ),
    "sdi": ({}, {"rule": "G - EPS", "weight": "kappa", "noise": "inverted_prompt"}),
    "asd": ({}, {"rule": "G - y@p", "noise": "later"}),
    "dds": ({}, {"rule": "G - G(s, src)@src", "weight": "uniform", "noise": "paired"}),
    "pds": (
        {},
        {
            "rule": "G - G(s, src)@src",
            "weight": {"posterior": 2},
            "noise": "paired",
            "pull": {"posterior": 2},
        },
    ),
    "dreamcatalyst": (
        {},
        {
            "rule": "TRIPLE(s, 1.5) - G(1.5, src)@src",
            "weight": {"delta": 0.2, "gamma": 0.8},
            "noise": "paired",
            "pull": {"timed": 0.075},
        },
    ),
    "csd_collab": (
        {},
        {"rule": "TRIPLE(s, 5) - G(5, src)@src", "noise": "paired", "residual_post": ["stein"]},
    ),
    "ssd_edit": (
        {},
        {
            "rule": "2 * (0.5 * (src - null@src)) + s * (0.5 * (C - src)) + 5.5 * (C - U)",
            "weight": "uniform",
            "noise": "paired",
            "pull": {"timed": 0.075, "noised": True},
        },
    ),
    "csd_edit": ({"omega2": 0.5}, {"rule": "(C - U) + 0.5 * (U - src)"}),
    "lusd": (
        {},
        {
            "rule": "0.98 * (C - src)",
            "weight": "uniform",
            "pull": 0.02,
            "post": ["spread"],
            "retry": {"threshold": 0.0098},
        },
    ),
    "cfd": ({"noise": "fixed"}, {"rule": "G - EPS", "weight": "kappa", "noise": "fixed"}),
    "rewardsds": (
        {"draws": 3, "reward": {"strategy": "random", "until": 1.0}},
        {"rule": "G - EPS", "draws": 3, "reward": {"strategy": "random", "until": 1.0}},
    ),
}
"""Method -> (options of the preset, the free recipe)."""


def names_s(rule: str) -> bool:
    """Whether the rule holds the name s."""
    return "(s," in rule or "s *" in rule


def gradient(config, prior, z, step: int, source=None):
    views = views_of(prior, z)
    if source is not None:
        views = type(views)(views.look, {}, views.z, views.cond, source=views_of(prior, source))
    guidance = build_guidance(parse(config), prior, 10)
    state = guidance.init(Streams(0))
    cotangents, _, log = guidance.guide(views, step, Streams(0), state)
    return cotangents["z"], log["nfe"]


@settings(max_examples=4)
@given(seeds, indices, schedules, predictions, st.floats(1.5, 20.0), st.integers(0, 9))
@pytest.mark.parametrize("name", TWINS)
def test_a_preset_is_a_free_recipe(name, seed, index, schedule, prediction, scale, step):
    table = table_of(seed) | {"src": random_gauss(seed + 300)}
    prior, z, source = prior_of(table, schedule, prediction), random_z(seed, 2), random_z(seed + 1, 2)
    own, free = TWINS[name]
    times = {"times": at(index) | {"shared": True}}
    guided = {} if name in ("csd", "csd_edit", "lusd") else {"cfg_scale": scale}
    free = {"method": "free"} | free | {"cfg_scale": scale} | times
    if names_s(free["rule"]):
        free["values"] = {"s": scale}
    g, nfe = gradient({"method": name} | own | guided | times, prior, z, step, source)
    twin, same = gradient(free, prior, z, step, source)
    assert torch.equal(g, twin)
    assert nfe == same
    assert float(g.abs().max()) > 0


def test_twins_differ_from_each_other():
    """The comparison could fail: the recipes above are different points."""
    rules = {
        preset("free")(
            parse({"method": "free"} | free | ({"values": {"s": 1.0}} if names_s(free["rule"]) else {}))
        )
        for _, free in TWINS.values()
        if "values" not in free
    }
    assert len(rules) == len(TWINS) - 1  # csd is left out


@pytest.mark.parametrize("name", ["vsd", "esd"])
def test_critics_too(name):
    shared = {"times": {"low": 0.1}}
    own = parse({"method": name} | shared)
    rule = {"vsd": "G - CRITIC", "esd": "G - (CRITIC + e*CRITIC(blind) - e*CRITIC)"}[name]
    values = {"esd": {"values": {"e": 0.5}}}.get(name, {})
    free = parse(
        {"method": "free", "rule": rule, "critic": {}} | values | {"times": own.times.model_dump(mode="json")}
    )
    assert preset("free")(free) == preset(name)(own)


def test_precedence_signs_and_numbers():
    def rule(text, **values):
        return preset("free")(parse({"method": "free", "rule": text, "values": values})).rule.coefficients(
            0.0
        )

    c, u, n = (next(iter(rule(w))) for w in ("C", "U", "NEG"))
    assert rule("-C + 2*U - .5*(NEG - 4*U)") == {c: -1.0, u: 4.0, n: -0.5}
    assert rule("2*3*C - 1e1 * U") == {c: 6.0, u: -10.0}
    assert rule("C - (U - NEG)") == {c: 1.0, u: -1.0, n: 1.0}
    assert rule("y - null - neg") == {c: 1.0, u: -1.0, n: -1.0}
    assert rule("w*(C - U)", w=3.0) == {c: 3.0, u: -3.0}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"rule": "G(7.5 - EPS"}, r"after 'G\(7.5' expected '\)', but found '-'"),
        ({"rule": "G - CRITC"}, "found 'CRITC'. Did you mean CRITIC"),
        ({"rule": "C - "}, "after 'C -' expected a symbol.*it ends"),
        ({"rule": "2 C"}, r"expected '\*'"),
        ({"rule": "C U"}, "expected \\+ or - or the end"),
        ({"rule": "G(1, srcc) - EPS"}, "expected one of C, U"),
        ({"rule": "__import__('os')"}, "found '__import__'"),
        ({"rule": "C $ U"}, r"found '\$'"),
        ({"rule": "G - null@s"}, "state 's', but `noise: iid` makes only t.*`noise: inverted`"),
        ({"rule": "G - null@mu", "noise": "inverted"}, "'mu'.*inverted with mu"),
        ({"rule": "G - G@src"}, "`noise: paired`"),
        ({"rule": "TRIPLE - EPS"}, r"expected '\('"),
        ({"rule": "TRIPLE(7.5) - EPS"}, "expected ','"),
        ({"rule": "EPS - EPS"}, "asks the prior nothing"),
        ({"rule": "G - CRITIC"}, "Add `critic"),
        ({"rule": "G - EPS", "critic": {}}, "never compares with it"),
        ({"rule": "G - EPS", "values": {"w": 1}}, "never uses w"),
        ({"rule": "G(5) - EPS", "combine": "perp_neg"}, "only with `combine: cfg`"),
        ({"draws": 3, "reward": "scorer"}, "need 4 draws, got 3"),
        ({"noise": "pared"}, "noise"),
    ],
)
def test_what_does_not_go_together(config, said):
    with pytest.raises(ConfigError, match=said):
        preset("free")(parse({"method": "free"} | config))


def test_nothing_is_run():
    with patch("builtins.eval", side_effect=AssertionError), pytest.raises(ConfigError):
        preset("free")(parse({"method": "free", "rule": "C.__class__"}))


def test_paired_needs_a_source():
    table = table_of(0) | {"src": random_gauss(9)}
    with pytest.raises(ConfigError, match="source that is edited"):
        gradient(
            {"method": "free", "rule": "C - src@src", "noise": "paired"}, prior_of(table), random_z(0, 1), 1
        )
