"""The run configuration: defaults, round trip of example files, JSON schema, command-line words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sds3d.config import load, source
from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.export import FORMS, parse_kinds
from sds3d.jobs.schema import CameraOptions, ExportKind, RunConfig

EXAMPLES = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_example_configs_are_valid_and_round_trip(path):
    config = configs.read(path)
    again = load.validate(RunConfig, source.parse(configs.to_yaml(config), "again"))
    assert again == config
    assert configs.hash_of(again) == configs.hash_of(config)


def test_a_sentence_is_the_quickstart():
    """Without a file, the defaults are the settings of configs/quickstart.yaml."""
    quickstart = configs.read(next(p for p in EXAMPLES if p.name == "quickstart.yaml"))
    assert configs.from_words(["a blue mushroom"]) == quickstart


def test_words_without_a_sentence_first():
    assert configs.from_words(["prompt=a duck", "seed=3"]).seed == 3
    assert configs.from_words(["a duck with x=3 on it"]).prompt == "a duck with x=3 on it"
    with pytest.raises(ConfigError, match="cannot be read"):
        configs.from_words(["nowhere.YAML"])


def test_switching_a_kind_on_the_command_line():
    config = configs.from_words(["a duck", "representation=gaussians", "representation.init.count=50"])
    assert config.representation.kind == "gaussians"
    assert config.representation.init.count == 50
    assert configs.from_words(["a duck", "representation.samples=9"]).representation.samples == 9
    assert configs.from_words(["a duck", "guidance=csd"]).guidance.method == "csd"


@given(st.text(min_size=1).filter(str.strip))
def test_any_sentence_survives_the_file(prompt):
    config = configs.from_mapping({"prompt": prompt})
    again = load.validate(RunConfig, source.parse(configs.to_yaml(config), "again"))
    assert again.prompt == prompt
    assert again.slug().strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""


def test_kinds_of_files_are_told_once():
    assert set(ExportKind.__args__) == set(FORMS)
    assert parse_kinds("glb, 3dgs,") == ("glb", "3dgs")
    with pytest.raises(ConfigError, match="Did you mean 3dgs"):
        parse_kinds("3dg")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("azimuth_deg", [-400, 0], "azimuth_deg must lie in"),
        ("elevation_deg", [0, 91], "elevation_deg must lie in"),
        ("distance", [0, 2], "distance must lie in"),
        ("fov_y_deg", [45, 44], "low ≤ high"),
        ("distance", [1], "is required and missing"),
    ],
)
def test_wrong_cameras(key, value, words):
    with pytest.raises(ConfigError, match=words) as caught:
        configs.from_mapping({"prompt": "a duck", "cameras": {key: value}})
    assert str(caught.value).startswith(f"arguments: cameras.{key}")


def test_the_sampler_has_the_ranges():
    sampler = CameraOptions(elevation_deg=(10, 20), azimuth_jitter=0.1).sampler()
    assert sampler.elevation_deg == (10.0, 20.0)
    assert sampler.azimuth_jitter == 0.1


def resolved(schema, part):
    """A part of a JSON schema with its reference followed."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def conforms(schema, part, value):
    """Whether a value fits a part of a JSON schema; the words that our schemas use."""
    part = resolved(schema, part)
    if "anyOf" in part or "oneOf" in part:
        return any(conforms(schema, p, value) for p in part.get("anyOf", part.get("oneOf")))
    if "const" in part or "enum" in part:
        return value in part.get("enum", [part.get("const")])
    if "pattern" in part:
        return isinstance(value, str) and re.search(part["pattern"], value) is not None
    types = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    kind = part.get("type")
    if kind is None:
        return True
    if not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "object":
        known, extra = part.get("properties", {}), part.get("additionalProperties", True)
        return all(
            conforms(schema, known[k], v) if k in known else extra is not False for k, v in value.items()
        )
    if kind == "array":
        return all(conforms(schema, part.get("items", {}), v) for v in value)
    return True


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_schema_accepts_what_we_accept(path):
    schema = configs.schema()
    for data in (source.read(path).data, source.parse(configs.to_yaml(configs.read(path)), "r").data):
        assert conforms(schema, schema, data)
    assert not conforms(schema, schema, source.read(path).data | {"promt": "x"})
    assert not conforms(schema, schema, source.read(path).data | {"seed": "x"})
    assert not conforms(schema, schema, source.read(path).data | {"prior": "embeded"})
    assert not conforms(schema, schema, source.read(path).data | {"guidance": {"method": "sds", "cfg": 2}})


def test_every_option_has_a_description():
    """One definition is help, schema and web form: a key without words would be a blank there."""
    schema = configs.schema()
    blank = [
        f"{name}.{key}"
        for name, part in {"RunConfig": schema, **schema["$defs"]}.items()
        for key, value in part.get("properties", {}).items()
        if part.get("additionalProperties") is False and not value.get("description")
    ]
    assert not blank


def test_hints_are_of_the_kind_that_was_chosen():
    with pytest.raises(ConfigError) as caught:
        configs.from_words(["a duck", "representation=grid", "representation.strateg=mcmc"])
    assert "Did you mean strategy" not in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean strategy"):
        configs.from_words(["a duck", "representation=gaussians", "representation.strateg=mcmc"])


@pytest.mark.parametrize("given", ["surfels", {"kind": "gaussians-2d", "sh_degree": 1}])
def test_a_word_that_people_take_for_a_kind_is_answered_with_what_to_write(given):
    with pytest.raises(ConfigError, match=r"gaussians with representation\.surfels=true"):
        configs.from_mapping({"prompt": "a red cube", "representation": given})


def test_the_order_of_keys_does_not_change_the_hash():
    modes = {"y": {"mean": 0.5}, "null": {"mean": 0.0}}
    one, two = (
        configs.from_mapping({"prompt": "a", "prior": {"kind": "analytic", "conditions": dict(order)}})
        for order in (modes.items(), reversed(modes.items()))
    )
    assert configs.hash_of(one) == configs.hash_of(two)
