"""Schedules, trees, lights, backgrounds, surface sampling, errors."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core import schedules
from sds3d.core.assets import Box, Mesh, Splats, sample_surface
from sds3d.core.backgrounds import random_backgrounds
from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError, MissingPackageError
from sds3d.core.lights import Lights, headlight
from sds3d.core.plugins import scan
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash

finite = st.floats(-100, 100)
positive = st.floats(0.01, 100)
unit = st.floats(0, 1)


@given(a=positive, b=positive, p=unit)
def test_two_ended_schedules(a, b, p):
    low, high = min(a, b), max(a, b)
    for kind in ("linear", "sqrt", "cosine", "exponential"):
        s = schedules.parse({kind: [a, b]})
        assert s(0) == pytest.approx(a)
        assert s(1) == pytest.approx(b)
        assert s(-1) == pytest.approx(a)
        assert s(2) == pytest.approx(b)
        assert low * (1 - 1e-9) - 1e-9 <= s(p) <= high * (1 + 1e-9) + 1e-9
    assert schedules.parse({"linear": [a, b]})(0.25) == pytest.approx(0.75 * a + 0.25 * b)
    assert schedules.parse({"sqrt": [a, b]})(0.25) == pytest.approx(0.5 * a + 0.5 * b)
    assert schedules.parse({"cosine": [a, b]})(1 / 3) == pytest.approx(0.75 * a + 0.25 * b)
    assert schedules.parse({"exponential": [a, b]})(0.5) == pytest.approx(math.sqrt(a * b))


@given(v=finite, p=unit)
def test_constant_and_warmup(v, p):
    assert schedules.parse(v)(p) == v
    assert schedules.constant(v) == schedules.parse(v)
    warm = schedules.parse({"constant": v, "warmup": 0.5})
    assert warm(0.25) == pytest.approx(v / 2)
    assert warm(0.5) == pytest.approx(v)
    assert warm(0.75) == pytest.approx(v)
    assert warm(0.0) == 0


def test_piecewise():
    s = schedules.parse({"piecewise": [[0.2, 1.0], [0.4, 3.0], [0.4, 5.0], [0.8, 1.0]]})
    assert [s(p) for p in (0.0, 0.2, 0.3, 0.41, 0.6, 0.8, 1.0)] == pytest.approx([1, 1, 2, 4.9, 3, 1, 1])


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        {"linear": [1, 0]},
        {"sqrt": [0.98, 0.5]},
        {"piecewise": [[0, 1], [1, 2]]},
        {"constant": 2, "warmup": 0.1},
        {"cosine": [1, 0], "warmup": 0.2},
        {"exponential": [1, 0.1]},
    ],
)
def test_schedules_round_trip(value):
    s = schedules.parse(value)
    assert schedules.parse(s.to_config()) == s
    assert schedules.parse(s) is s
    json.dumps(s.to_config())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("fast", "finite number"),
        (True, "finite number"),
        (float("nan"), "finite number"),
        ({"linear": [1]}, r"\[first, last\]"),
        ({"linear": 3}, "takes a list"),
        ({"linear": [1, "x"]}, "finite number"),
        ({"linaer": [1, 2]}, "one of constant"),
        ({"linear": [1, 2], "sqrt": [1, 2]}, "one of constant"),
        ({}, "one of constant"),
        ({"exponential": [0, 1]}, "positive"),
        ({"exponential": [1, 0]}, "positive"),
        ({"piecewise": []}, "pairs"),
        ({"piecewise": [[0, 1, 2]]}, "pairs"),
        ({"piecewise": [3]}, "pairs"),
        ({"piecewise": [[1, 0], [0, 1]]}, "sorted"),
        ({"constant": 1, "warmup": 2}, "fraction"),
        ({"constant": 1, "warmup": -0.1}, "fraction"),
    ],
)
def test_bad_schedules_say_why(value, words):
    with pytest.raises(ValueError, match=words):
        schedules.parse(value)


leaves = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=4), st.lists(st.integers(), max_size=3)
)
names = st.text("abcxyz_0", min_size=1, max_size=3)
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=3),
    lambda t: st.dictionaries(names, st.one_of(leaves, t), max_size=3),
)


@given(tree=trees, seed=st.integers(0, 99))
def test_trees_come_back(tree, seed):
    tree = {"plain": tree, "tensor": {"x": Streams(seed).normal((3,), "x"), "i": torch.arange(4)}}
    back = join(*split(tree))
    assert back["plain"] == tree["plain"]
    assert torch.equal(back["tensor"]["x"], tree["tensor"]["x"])
    assert tree_hash(back) == tree_hash(tree)


def test_hash_sees_every_bit_name_type_and_shape():
    base = {"a": {"b": torch.zeros(4), "n": 1}}
    variants = [
        {"a": {"b": torch.tensor([0, 0, 0, 1e-45]), "n": 1}},
        {"a": {"b": torch.zeros(2, 2), "n": 1}},
        {"a": {"b": torch.zeros(4, dtype=torch.int32), "n": 1}},
        {"a": {"c": torch.zeros(4), "n": 1}},
        {"a": {"b": torch.zeros(4), "n": 2}},
        {"a": {"b": torch.zeros(4), "m": 1}},
        {"a": {"b": torch.zeros(4), "n": 1, "e": {}}},
        {"a": {"b": -torch.zeros(4), "n": 1}},
    ]
    hashes = [tree_hash(t) for t in [base, *variants]]
    assert len(set(hashes)) == len(hashes)
    assert all(len(h) == 32 for h in hashes)
    strided = torch.zeros(4, 2)[:, 0]
    assert tree_hash({"a": {"b": strided, "n": 1}}) == hashes[0]


def test_trees_refuse_what_would_not_come_back():
    with pytest.raises(ValueError, match="dot"):
        split({"a.b": 1})
    with pytest.raises(TypeError):
        split({"a": object()})


def test_lights():
    c = orbit([0.0, 90.0], 0.0)
    lights = headlight(c, ambient=0.2)
    assert torch.allclose(lights.direction, torch.tensor([[0, 0, 1.0], [1.0, 0, 0]]), atol=1e-6)
    albedo = torch.full((2, 3, 1, 1), 0.5)
    facing = lights.direction[:, :, None, None]
    assert torch.allclose(lights.shade(albedo, facing), torch.full((2, 3, 1, 1), 0.5))
    assert torch.allclose(lights.shade(albedo, -facing), torch.full((2, 3, 1, 1), 0.1))
    assert headlight(c).ambient[0, 0] == pytest.approx(0.3)
    tilted = Lights(torch.tensor([[0.0, 0, 1]]), torch.ones(1, 3), torch.zeros(1, 3))
    normal = torch.tensor([0.0, 0.6, 0.8]).reshape(1, 3, 1, 1)
    assert torch.allclose(tilted.shade(torch.ones(1, 3, 1, 1), normal), torch.full((1, 3, 1, 1), 0.8))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_backgrounds(share):
    colors = torch.cat([random_backgrounds(Streams(0), k, [0, 1, 2, 3], share) for k in range(250)])
    white = (colors == 1).all(1).float().mean()
    assert abs(white - share) < 0.06
    assert colors.dtype == torch.float32
    other = colors[(colors < 1).any(1)]
    if len(other):
        assert (other.mean(0) - 0.5).abs().max() < 0.06
        assert torch.corrcoef(other.T)[0, 1].abs() < 0.15


def test_boxes_and_bounds():
    assert Box((0, 0, 0), (1, 2, 2)).diagonal == 3.0
    mesh = Mesh(torch.tensor([[0.0, -1, 2], [3, 0, 0], [1, 5, -4]]), torch.tensor([[0, 1, 2]]))
    assert mesh.bounds() == Box((0.0, -1.0, -4.0), (3.0, 5.0, 2.0))
    for degree in range(4):
        k = (degree + 1) ** 2
        splats = Splats(
            torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 4), torch.ones(2), torch.zeros(2, k, 3)
        )
        assert splats.sh_degree == degree


def test_surface_samples_are_even_by_area():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5]])
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    n = 20_000
    points, face = sample_surface(mesh, n, Streams(0).uniform((n, 3), "s")[0])
    assert (face == 1).float().mean() == pytest.approx(0.9, abs=0.01)
    assert torch.equal(points[:, 2] > 2.5, face == 1)
    inside = points[face == 1] / 3
    assert (inside[:, :2] >= -1e-6).all()
    assert (inside[:, :2].sum(1) <= 1 + 1e-6).all()
    assert torch.allclose(inside[:, :2].mean(0), torch.full((2,), 1 / 3), atol=0.01)
    assert inside[:, 0].var() == pytest.approx(1 / 18, rel=0.05)  # of a uniform triangle


def test_errors_say_where_and_what_to_do():
    error = ConfigError("expected a number", file="a.yaml", line=3, key="guidance.cfg_scale", hint="Try 7.5.")
    assert str(error) == "a.yaml:3: guidance.cfg_scale: expected a number Try 7.5."
    assert (error.file, error.line, error.key, error.hint) == ("a.yaml", 3, "guidance.cfg_scale", "Try 7.5.")
    assert error.message == "expected a number"
    assert str(ConfigError("nothing here")) == "nothing here"
    assert str(ConfigError("bad", key="a")) == "a: bad"
    text = str(MissingPackageError("gradio", "the web app", "pip install 'sds3d[web]'"))
    assert text == "the web app needs the package 'gradio'; install it with: pip install 'sds3d[web]'"


def test_scan_lists_public_modules_without_importing_them(tmp_path, monkeypatch):
    package = tmp_path / "plugpkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "b.py").write_text("raise RuntimeError('imported')")
    (package / "a.py").write_text("")
    (package / "_hidden.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert scan("plugpkg") == {"a": "plugpkg.a", "b": "plugpkg.b"}
    assert list(scan("plugpkg", "no.such.group")) == ["a", "b"]
