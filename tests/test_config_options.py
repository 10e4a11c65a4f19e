"""From documents to typed options: messages, overrides, shorthands, round trips."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from sds3d.config import dump, load, overrides, source
from sds3d.config.kinds import Shorthand
from sds3d.config.options import Options, Scalar
from sds3d.core import schedules
from sds3d.core.errors import ConfigError


class Inner(Options):
    """A nested mapping."""

    method: Literal["sds", "csd"] = "csd"
    """A word."""
    cfg_scale: Scalar = schedules.constant(5.0)
    """A schedule."""


class Outer(Options):
    """A whole document."""

    prompt: str | None = None
    """Text."""
    seed: int = Field(default=0, ge=0)
    """An integer."""
    gain: float = 1.0
    """A number."""
    fast: bool = False
    """A switch."""
    size: tuple[int, int] | int = 3
    """One or two integers."""
    export: tuple[Literal["glb", "3dgs"], ...] = ("glb",)
    """Words."""
    inner: Annotated[Inner, Shorthand("method")] = Field(default_factory=Inner)
    """A mapping, or a word."""
    terms: tuple[Inner, ...] = ()
    """Mappings."""

    @model_validator(mode="after")
    def _check(self) -> Outer:
        if self.seed == 13:
            raise ValueError("13 is unlucky")
        return self


def read(text: str, *words: str) -> Outer:
    document = source.parse(text, "f.yaml")
    overrides.apply(document, Outer, words)
    return load.validate(Outer, document)


def problem(text: str, *words: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text, *words)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("seed: 1\nseeds: 2", 2, "seeds", "unknown key. Did you mean seed?"),
        ("seed: 1\ncfg_scale: 2", 2, "cfg_scale", "Did you mean inner.cfg_scale?"),
        ("inner: {zzz: 2}", 1, "inner.zzz", "Valid keys here: method, cfg_scale."),
        ("seed: '3'", 1, "seed", 'expected an integer, got "3". Write it without quotes'),
        ("seed: 3.0", 1, "seed", "expected an integer, got 3.0"),
        ("seed: true", 1, "seed", "expected an integer, got true"),
        ("seed: -3", 1, "seed", "expected greater than or equal to 0, got -3"),
        ("gain: true", 1, "gain", "expected a number, got true"),
        ("gain: abc", 1, "gain", 'expected a number, got "abc"'),
        ("fast: 1", 1, "fast", "expected true or false, got 1"),
        ("fast: yes", 1, "fast", 'expected true or false, got "yes"'),
        ("prompt: 7", 1, "prompt", 'Put it in quotes: "7"'),
        ("export: glb", 1, "export", 'expected a list, got "glb"'),
        ("\nexport:\n- glb\n- gbl", 4, "export[1]", 'one of glb, 3dgs, got "gbl". Did you mean glb?'),
        ("inner: sdd", 1, "inner", "Did you mean sds?"),
        ("inner: 3", 1, "inner", "expected a mapping, got 3. Keys: method, cfg_scale."),
        ("inner:\n  cfg_scale: {linear: [1]}", 2, "inner.cfg_scale", "linear takes [first, last]"),
        ("terms:\n- method: sds\n- metod: sds", 3, "terms[1].metod", "Did you mean method?"),
        ("size: [1, a]", 1, "size[1]", 'expected an integer, got "a"'),
        ("seed: 13", None, "", "13 is unlucky"),
        ("just words", None, "", "expected keys and values"),
    ],
)
def test_a_problem_names_place_expectation_and_remedy(text, line, key, words):
    error = problem(text)
    assert (error.file, error.line, error.key) == ("f.yaml", line, key)
    assert words in str(error)
    assert str(error).startswith(f"f.yaml:{line}: {key}" if line else "f.yaml: ")


def test_all_problems_come_together_in_order_ten_at_most():
    error = problem("sede: 1\nfast: 3\nprompt: a\nprompt: b\ngain: x")
    assert [p.line for p in error.problems] == [1, 2, 4, 5]
    many = problem("".join(f"key{i}: 1\n" for i in range(14)))
    assert len(many.problems) == 14
    assert str(many).count("unknown key") == 10
    assert "and 4 more" in str(many)


def test_overrides():
    got = read(
        "prompt: a\ninner: sds\nterms: [{method: sds}]",
        "inner.cfg_scale={linear: [5, 1e-3]}",
        "export=[glb,3dgs]",
        "prompt=1: two, [three",
        "terms.0.method=csd",
        "gain=1e-2",
    )
    assert got.inner == Inner(method="sds", cfg_scale={"linear": [5, 0.001]})
    assert got.export == ("glb", "3dgs")
    assert got.prompt == "1: two, [three"
    assert got.terms[0].method == "csd"
    assert got.gain == 0.01


@pytest.mark.parametrize(
    ("word", "key", "words"),
    [
        ("inner.cfg=2", "inner.cfg", "Did you mean cfg_scale?"),
        ("seed=[1", "seed", "not valid YAML"),
        ("seed.x=1", "seed.x", "no mapping"),
        ("terms.4.method=sds", "terms.4.method", "index"),
        ("seed", "", "Write key=value"),
        ("seed=", "seed", "expected an integer, got nothing"),
    ],
)
def test_wrong_overrides_say_that_they_are_on_the_command_line(word, key, words):
    error = problem("seed: 1\nterms: []", word)
    assert error.file == "command line"
    assert error.line is None
    assert error.key == key
    assert words in str(error)


def test_an_override_replaces_the_mark_of_the_file():
    assert "command line: seed" in str(problem("seed: 1", "seed=x"))
    assert "f.yaml:1" in str(problem("sede: 1", "seed=2"))
    # what stood below the key in the file is gone, and so are its lines
    assert "command line: inner.cfg_scale" in str(problem("inner:\n  cfg_scale: 1", "inner={cfg_scale: x}"))


numbers = st.floats(-1e9, 1e9)
schedule = st.one_of(
    numbers,
    st.builds(lambda a, b: {"linear": [a, b]}, numbers, numbers),
    st.builds(lambda a, w: {"constant": a, "warmup": w}, numbers, st.floats(0.01, 1)),
    st.builds(lambda a, b: {"piecewise": [[0, a], [0.5, b]]}, numbers, numbers),
)
outers = st.builds(
    Outer,
    prompt=st.one_of(st.none(), st.text(max_size=30)),
    seed=st.integers(14, 2**62),
    gain=numbers,
    fast=st.booleans(),
    size=st.one_of(st.integers(0, 9), st.tuples(st.integers(), st.integers())),
    export=st.lists(st.sampled_from(["glb", "3dgs"]), max_size=3).map(tuple),
    inner=st.builds(Inner, cfg_scale=schedule),
    terms=st.lists(st.builds(Inner, cfg_scale=schedule), max_size=2).map(tuple),
)


@given(outers)
def test_yaml_and_back_is_the_same(options):
    document = source.parse(dump.to_yaml(options, "a comment\nof two lines"), "f")
    again = load.validate(Outer, document)
    assert again == options
    assert dump.config_hash(again) == dump.config_hash(options)


@given(outers, outers)
def test_hashes_agree_exactly_when_options_do(a, b):
    assert (dump.config_hash(a) == dump.config_hash(b)) == (dump.plain(a) == dump.plain(b))


def test_schema_offers_words_and_refuses_unknown_keys():
    schema = dump.json_schema(Outer, "title")
    assert schema["title"] == "title"
    assert schema["additionalProperties"] is False
    assert {"type": "string"}.items() <= schema["properties"]["inner"]["anyOf"][0].items()
    assert schema["properties"]["seed"]["description"] == "An integer."
