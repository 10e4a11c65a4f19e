"""What people are told of the methods, and `sds3d methods`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sds3d.guidance.catalogue import all_methods, method
from sds3d.guidance.registry import GROUP, PACKAGE, parse

from sds3d.cli.main import app
from sds3d.cli.methods import page
from sds3d.config.kinds import modules
from sds3d.core.errors import ConfigError

NAMES = list(modules(PACKAGE, GROUP, "method"))
DOCS = Path(__file__).resolve().parents[1] / "docs" / "methods.md"


def test_every_method_is_told_of_in_full():
    found = all_methods()
    assert sorted(m.name for m in found) == sorted(NAMES)
    for m in found:
        for part in (m.title, m.formula, m.source, m.defaults, m.cost, m.calls, m.pitfalls):
            assert part.strip(), m.name
        assert m.formula.splitlines()[0] == m.formula.splitlines()[0].strip()
        assert m.family != "other", f"name the family of {m.name} in guidance/catalogue.py"


def test_needs_come_from_the_recipe():
    assert "source views" in method("dds").needs
    assert "source prompt" in method("pds").needs
    assert method("sds").needs == ()
    assert method("sds").memory == "none"
    assert "reward model" in method("rewardsds").needs
    assert "negative prompt" in method("nfsd").needs


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_that_are_told_are_the_defaults(name):
    told = {key: value for key, value, _ in method(name).options}
    assert parse({"method": name} | told) == parse(name)


def test_an_unknown_method():
    with pytest.raises(ConfigError, match="Did you mean ism"):
        method("isn")


def test_the_list(capsys):
    app(["methods"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1:-1]} == set(NAMES)
    assert "2209.14988" in next(line for line in lines if line.startswith("sds "))


def test_one_in_full(capsys):
    app(["methods", "ism"], standalone_mode=False)
    text = capsys.readouterr().out
    for part in ("x_s by DDIM inversion", "2311.11284", "Pitfalls:", "stride = 0.2", "Longest move"):
        assert part in text


def test_as_json(capsys):
    app(["methods", "--json"], standalone_mode=False)
    assert {m["name"] for m in json.loads(capsys.readouterr().out)} == set(NAMES)
    app(["methods", "csd", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["arxiv"] == "2310.19415"


def test_the_page_is_current():
    assert DOCS.read_text() == page(all_methods()), "docs/methods.md is not current: run `make docs`"
