"""Guidance as it stands in a config file, and the presets behind it."""

from __future__ import annotations

import inspect
import re
from types import SimpleNamespace

import pytest
import yaml
from pydantic import ValidationError
from sds3d.guidance.methods import csd, sds
from sds3d.guidance.noise import Iid
from sds3d.guidance.options import ClipValueOptions
from sds3d.guidance.post import ClipNorm, ClipValue, UnitNorm
from sds3d.guidance.predictions import CFG, ClampX0, Rescale
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import GROUP, PACKAGE, parse, preset
from sds3d.guidance.rules import EPS, NEG, C, U, guided
from sds3d.guidance.times import Times

from sds3d.config.kinds import modules
from sds3d.config.suggest import listing
from sds3d.core import plugins
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import constant
from sds3d.core.schedules import parse as schedule_of

METHODS = modules(PACKAGE, GROUP, "method")
QUICKSTART = """
method: sds
cfg_scale: 5
weight: kappa
transforms: [{rescale: 0.5, space: x0}, clamp_x0]
times: {high: {sqrt: [0.98, 0.5]}, low: {sqrt: [0.6, 0.02]}, scale: native}
"""
LISTED = listing(METHODS)
DEFAULT_TIMES = Times(constant(0.02), constant(0.98), "sd", None)


def recipe_of(config) -> Recipe:
    options = parse(config)
    return preset(options.method)(options)


def test_presets_are_points_in_the_space_of_recipes():
    assert recipe_of("sds") == Recipe(guided(CFG(constant(100.0))) - EPS, DEFAULT_TIMES, "sigma2", Iid())
    assert recipe_of("csd") == Recipe(
        constant(1.0) * (C - U) + constant(0.0) * (U - NEG), DEFAULT_TIMES, "sigma2", Iid()
    )


def test_the_recipe_of_the_quickstart():
    cfg, transforms = CFG(constant(5.0)), (Rescale(0.5, "x0"), ClampX0(1.0))
    times = Times(schedule_of({"sqrt": [0.6, 0.02]}), schedule_of({"sqrt": [0.98, 0.5]}), "native", None)
    assert recipe_of(yaml.safe_load(QUICKSTART)) == Recipe(guided(cfg, transforms) - EPS, times, "kappa")


def test_csd_in_full():
    config = {
        "method": "csd",
        "omega1": 2,
        "omega2": {"linear": [0, 1]},
        "normalise": True,
        "weight": "uniform",
        "draws": 4,
        "post": [
            {"clip_norm": 3, "over": "batch"},
            {"clip_value": 2},
            {"clip_norm": 1},
            {"unit_norm": "view"},
        ],
        "times": {"shared": True},
    }
    ramp = schedule_of({"linear": [0, 1]})
    post = (
        UnitNorm("batch"),
        ClipNorm(constant(3.0), "batch"),
        ClipValue(constant(2.0)),
        ClipNorm(constant(1.0), "view"),
        UnitNorm("view"),
    )
    times = Times(constant(0.02), constant(0.98), "sd", True)
    rule = constant(2.0) * (C - U) + ramp * (U - NEG)
    assert recipe_of(config) == Recipe(rule, times, "uniform", Iid(), post, draws=4)


def test_words_stand_for_defaults():
    assert parse("csd") == parse({"method": "csd"}) == csd.Options()
    assert parse({}) == parse("sds") == sds.Options()
    assert parse(sds.Options(draws=2)) == sds.Options(draws=2)
    options = parse({"transforms": ["clamp_x0"], "post": ["unit_norm"]})
    assert options == parse({"transforms": [{"clamp_x0": 1.0}], "post": [{"unit_norm": "batch"}]})
    assert options.build_transforms() == (ClampX0(1.0),)


@pytest.mark.parametrize(
    "config", ["sds", "csd", yaml.safe_load(QUICKSTART), {"method": "csd", "post": ["unit_norm"]}]
)
def test_resolved_options_read_back(config):
    options = parse(config)
    text = yaml.safe_dump(options.model_dump(mode="json"))
    assert parse(yaml.safe_load(text)) == options


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("ismm", rf"^guidance.method: unknown method 'ismm'; there are {LISTED}\. Did you mean ism\?$"),
        ("xyzzy", rf"^guidance.method: unknown method 'xyzzy'; there are {LISTED}\.$"),
        ({"method": "csdd"}, r"unknown method 'csdd'; .*\. Did you mean csd\?$"),
        ({"method": "csd", "cfg_scale": 3}, "^guidance.cfg_scale: Extra inputs are not permitted$"),
        ({"omega1": 3}, "guidance.omega1: Extra inputs"),
        ({"weight": "sigma"}, "guidance.weight: .*'sigma2', 'uniform', .* or 'rf_uniform'"),
        ({"draws": 0}, "guidance.draws: .*greater than or equal to 1"),
        ({"draws": 65}, "guidance.draws: .*less than or equal to 64"),
        ({"cfg_scale": "high"}, "guidance.cfg_scale: .*finite number"),
        ({"times": {"scale": "edm"}}, "guidance.times.scale: .*'sd' or 'native'"),
        ({"times": {"hihg": 0.5}}, "guidance.times.hihg: Extra"),
        ({"transforms": [{"rescale": 0.5}]}, "guidance.transforms.0.rescale.space: Field required"),
        ({"transforms": [{"rescale": 2, "space": "x0"}]}, "less than or equal to 1"),
        ({"transforms": [{"rescale": -1, "space": "x0"}]}, "greater than or equal to 0"),
        ({"transforms": [{"rescale": 0.5, "space": "v"}]}, "'x0' or 'eps'"),
        ({"transforms": [{"clamp_x0": 0}]}, "greater than 0"),
        ({"transforms": ["clamp"]}, "one of the keys rescale, clamp_x0"),
        ({"transforms": [3]}, "expected a mapping with one of the keys rescale, clamp_x0$"),
        ({"transforms": [None]}, "expected a mapping with one of the keys rescale, clamp_x0$"),
        ({"transforms": ["rescale"]}, "expected a mapping with one of the keys rescale, clamp_x0$"),
        ({"transforms": [ClipValueOptions(clip_value=1)]}, "expected a mapping with one of the keys rescale"),
        ({"post": [{"clip": 3}]}, "one of the keys clip_value, clip_norm, unit_norm"),
        ({"post": ["clip_norm"]}, "expected a mapping with one of the keys clip_value"),
        ({"post": [{"clip_norm": 1, "over": "all"}]}, "'view' or 'batch'"),
    ],
)
def test_mistakes_are_named_by_key(config, said):
    with pytest.raises(ConfigError, match=said):
        parse(config)


def test_a_third_partys_method_is_found_by_its_entry_point(tmp_path, monkeypatch):
    (tmp_path / "their_method.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    entry = SimpleNamespace(name="theirs", value="their_method")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == "sds3d.guidance" else [])
    modules.cache_clear()
    try:
        options = parse({"method": "theirs", "strength": 2})
        assert preset("theirs")(options).rule.coefficients(0.0) == (2.0 * (C - U)).coefficients(0.0)
        assert parse("theirs").strength == 1.0
    finally:
        modules.cache_clear()


THEIRS = """
from typing import Literal
from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.rules import C, U

class Options(GuidanceOptions):
    method: Literal["theirs"] = "theirs"
    strength: float = 1.0

def theirs(options):
    return Recipe(rule=options.strength * (C - U), **options.slots())
"""


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        parse("sds").draws = 3


def test_an_unknown_preset():
    with pytest.raises(ConfigError, match=r"unknown method 'csdd'.*Did you mean csd"):
        preset("csdd")


@pytest.mark.parametrize("name", [name for name in METHODS if name != "free"])
def test_every_method_says_where_it_comes_from(name):
    """Formula, title, year, arXiv number, equation or section, defaults, cost, pitfalls; each option described."""
    function = getattr(METHODS[name], name)
    text = inspect.getdoc(function)
    for part in (
        r"arXiv \d{4}\.\d{4,5}",
        r'"[A-Z].+"',
        r"\b20\d\d\b",
        r"eq\.|§",
        "Defaults:",
        "Cost:",
        "Pitfalls:",
    ):
        assert re.search(part, text), part
    options = METHODS[name].Options
    assert options().method == name
    assert all(field.description for field in options.model_fields.values())
    assert isinstance(function(options()), Recipe)
