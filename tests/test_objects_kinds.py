"""Every kind of the catalogue: a sound, connected, fitted shape with known words and paints."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from sds3d.core.streams import Streams
from sds3d.objects.catalogue import ObjectError, catalogue, find
from sds3d.objects.colours import FIXED
from sds3d.objects.kind import MAIN, SECOND, Part
from sds3d.objects.shape import BALL_RADIUS, Shape, build, from_parts
from sds3d.objects.vary import Vary

KINDS = catalogue()
NAMES = list(KINDS)
MOST_TRIANGLES = 4000
RIGID = {"cube", "sphere"}
"""Kinds of which all builds are alike."""
ROLES = {"top", "base", "cover", "holder"}
MIRRORED_GROUPS = {"animals", "vehicles", "furniture"}
LOPSIDED = {"bookshelf", "desk", "clock"}
"""Kinds of those groups whose left and right differ, and should."""


def area_vectors(triangles: np.ndarray) -> np.ndarray:
    """(F, 3): normal times area."""
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2


def areas(shape: Shape) -> np.ndarray:
    """(F,)."""
    return np.linalg.norm(area_vectors(shape.triangles), axis=1)


def surface_points(shape: Shape, count: int) -> np.ndarray:
    """(count, 3) points, even over the surface."""
    random = np.random.default_rng(0)
    weight = areas(shape)
    chosen = shape.triangles[random.choice(len(weight), count, p=weight / weight.sum())]
    a, b = np.sqrt(random.random((count, 1))), random.random((count, 1))
    return (1 - a) * chosen[:, 0] + a * (1 - b) * chosen[:, 1] + a * b * chosen[:, 2]


@cache
def parts(name: str, number: int | None) -> list[Part]:
    """One build's parts; None is the typical one."""
    streams, build_number = (None, 0) if number is None else (Streams(3), number)
    return KINDS[name].build(Vary(streams, name, build_number))


@cache
def shape_of(name: str, number: int | None = None) -> Shape:
    """The same, fitted into its ball."""
    return from_parts(parts(name, number)).fitted()


def builds(name: str) -> list[Shape]:
    """The typical build and a varied one."""
    return [shape_of(name), shape_of(name, 5)]


@pytest.mark.parametrize("name", NAMES)
def test_it_fills_its_ball(name: str) -> None:
    for shape in builds(name):
        points = shape.triangles.reshape(-1, 3)
        low, high = shape.bounds()
        assert np.isfinite(points).all()
        np.testing.assert_allclose(low + high, 0, atol=1e-12)
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(BALL_RADIUS)
        assert len(shape.triangles) <= MOST_TRIANGLES


@pytest.mark.parametrize("name", NAMES)
def test_normals_are_unit_and_point_out(name: str) -> None:
    for shape in builds(name):
        np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=-1), 1, atol=1e-6)
        facing = area_vectors(shape.triangles)
        solid = np.linalg.norm(facing, axis=1) > 1e-7  # slivers at the poles have no direction of their own
        along = (facing[:, None] * shape.normals).sum(-1)[solid]
        assert (along.sum(1) > 0).all()
        assert (along > -1e-9).mean() > 0.995


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_closed_and_not_inside_out(name: str) -> None:
    for number in (None, 5):
        for solid, paint in parts(name, number):
            vectors = area_vectors(solid.triangles)
            whole = np.linalg.norm(vectors, axis=1).sum()
            # a closed surface's area vectors cancel; by Gauss its volume is a third of ∮ x·dA
            assert np.linalg.norm(vectors.sum(0)) < 2e-3 * whole, paint
            assert (solid.triangles.mean(1) * vectors).sum() > 0, paint


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_hang_together(name: str) -> None:
    for shape in builds(name):
        cells = np.floor(surface_points(shape, 16000) / 0.05).astype(int) + 16
        filled = np.zeros((32, 32, 32), dtype=bool)
        filled[tuple(cells.T)] = True
        _, pieces = ndimage.label(filled, np.ones((3, 3, 3)))
        assert pieces == 1


@pytest.mark.parametrize("name", NAMES)
def test_builds_differ_and_repeat(name: str) -> None:
    typical, varied = builds(name)
    again = build(KINDS[name], Streams(3), 5)
    for field in ("triangles", "normals", "paint"):
        assert getattr(varied, field).tobytes() == getattr(again, field).tobytes()
    points = [shape.triangles.reshape(-1, 3) for shape in (typical, varied)]
    alike = len(points[0]) == len(points[1]) and np.allclose(*points)
    assert alike == (name in RIGID)


@pytest.mark.parametrize("name", NAMES)
def test_paints_and_words_are_known(name: str) -> None:
    kind = KINDS[name]
    assert kind.build.__doc__
    assert kind.roles <= ROLES
    assert kind.natural is None or kind.natural in FIXED
    assert kind.second_natural in FIXED
    for word in (kind.name, *kind.words, *([kind.second] if kind.second else [])):
        assert word == word.lower().strip()
    for shape in builds(name):
        assert set(shape.paints) <= {MAIN, SECOND, *FIXED}
        assert (SECOND in shape.paints) == (kind.second is not None)
        weight = areas(shape)
        assert weight[shape.paint == shape.paints.index(MAIN)].sum() > 0.25 * weight.sum()


@pytest.mark.parametrize(
    "name", [n for n, k in KINDS.items() if k.group in MIRRORED_GROUPS and n not in LOPSIDED]
)
def test_left_and_right_are_alike(name: str) -> None:
    shape = shape_of(name)
    for paint in range(len(shape.paints)):
        points = shape.triangles[shape.paint == paint].reshape(-1, 3)
        distance, _ = cKDTree(points).query(points * [-1, 1, 1])
        assert distance.max() < 1e-6, shape.paints[paint]


@pytest.mark.parametrize("name", [n for n, k in KINDS.items() if not k.fronted])
def test_what_has_no_front_is_as_wide_as_deep(name: str) -> None:
    low, high = shape_of(name).bounds()
    width, _, depth = high - low
    assert width == pytest.approx(depth, rel=0.2)


def test_a_word_leads_to_one_kind() -> None:
    words = [word for kind in KINDS.values() for word in (kind.name, *kind.words)]
    assert len(words) == len(set(words))
    for kind in KINDS.values():
        for word in (kind.name, *kind.words):
            assert find(word) is kind


def test_an_unknown_word_suggests_the_nearest() -> None:
    with pytest.raises(ObjectError, match="elephant"):
        find("elefant")
