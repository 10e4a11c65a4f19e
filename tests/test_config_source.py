"""YAML as plain data with lines: scalars of YAML 1.2, duplicates, hostile input."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sds3d.config import dump, source
from sds3d.config.suggest import nearest
from sds3d.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("010", 10),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("0x10", "0x10"),
        ("3dgs", "3dgs"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("-.inf", -math.inf),
        ("'5'", "5"),
        ("[a, 1, {b: 2.0}]", ["a", 1, {"b": 2.0}]),
    ],
)
def test_scalars(text, value):
    got = source.parse_value(text)
    assert got == value
    assert type(got) is type(value)


def test_lines_of_keys_and_items():
    document = source.parse("# c\na: 1\nb:\n  c: 2\n  d:\n    - 3\n    - e: 4\n", "f")
    lines = {path: mark.line for path, mark in document.marks.items()}
    assert lines[("a",)] == 2
    assert lines[("b", "c")] == 4
    assert lines[("b", "d", 0)] == 6
    assert lines[("b", "d", 1, "e")] == 7
    assert document.mark(("b", "d", 1, "nowhere")).line == 7


def test_duplicates_are_refused_and_name_both_lines():
    problems = source.parse("a: 1\nb: 2\na: 3\n", "f.yaml").problems
    assert [(p.line, p.key) for p in problems] == [(3, "a")]
    assert "line 1" in str(problems[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a: [1, 2", "not valid YAML"),
        ("a:\n\t- b", "not tabs"),
        ("a: b: c", "quotes"),
        ("a: 1\n---\nb: 2", "prompts"),
        ("&x [*x]", "itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "deeply"),
    ],
)
def test_text_that_is_no_config(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        source.parse(text, "f.yaml")
    assert "f.yaml" in str(caught.value)


def test_tags_and_odd_keys_are_problems():
    document = source.parse("a: !!python/name:os.system x\n? [1, 2]\n: b\n", "f")
    assert [p.line for p in document.problems] == [1, 2]
    assert document.data == {"a": None}


def test_aliases_may_be_used_but_not_to_blow_up():
    assert source.parse("a: &x {k: 1}\nb: *x", "f").data == {"a": {"k": 1}, "b": {"k": 1}}
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(ConfigError, match="more than"):
        source.parse(bomb, "f")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"Did you mean .*quickstart\.yaml"):
        source.read(tmp_path / "quickstrt.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\x80\xff\x00\x01")
    with pytest.raises(ConfigError, match="UTF-8"):
        source.read(tmp_path / "binary.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (source.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger"):
        source.read(tmp_path / "large.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        source.read(tmp_path)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=12)
)
values = st.recursive(
    scalars, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.text(max_size=6), v, max_size=3))
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, min_size=1, max_size=4))
@example({"_": {"\x85": "a\u2028b\u2029"}})
def test_what_our_dumper_writes_our_loader_reads(data):
    document = source.parse(yaml.dump(data, Dumper=dump.dumper(), allow_unicode=True), "f")
    assert not document.problems
    assert document.data == data


@pytest.mark.parametrize(
    ("word", "valid", "expected"),
    [
        ("cfgscale", ["cfg_scale", "weight"], "cfg_scale"),
        ("CFG-Scale", ["cfg_scale", "weight"], "cfg_scale"),
        ("gausians", ["gaussians", "grid"], "gaussians"),
        ("cfg", ["cfg_scale", "weight"], "cfg_scale"),
        ("zzz", ["cfg_scale", "weight"], None),
    ],
)
def test_nearest(word, valid, expected):
    assert nearest(word, valid) == expected
