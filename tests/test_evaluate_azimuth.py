"""Which side a picture shows: found whatever the light, and honest where nothing tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.cameras import orbit
from sds3d.evaluate.azimuth import SIDES, azimuths_seen, true_views, unlikeness
from sds3d.evaluate.headings import wrapped
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of, truths_of

ELEVATION = 15.0
STEP = 360.0 / SIDES


@pytest.fixture(scope="module")
def duck():
    return true_views([truth_of("a red duck").mesh], ELEVATION)


def pictures(prompt: str, azimuths, background=(1.0, 1.0, 1.0), build_number=None):
    mesh = truth_of(prompt, build_number).mesh
    ground = torch.tensor(background).expand(len(azimuths), 3)
    return render_mesh(mesh, orbit(list(azimuths), ELEVATION), (96, 96), ground, samples=2)["rgb"]


def test_the_true_views_are_found(duck):
    azimuths = [STEP * k for k in range(SIDES)]
    assert azimuths_seen(pictures("a red duck", azimuths), duck).tolist() == azimuths


@settings(max_examples=6, deadline=None)
@given(k=st.integers(0, SIDES - 1), left=st.floats(0.4, 1.0), right=st.floats(0.4, 1.0))
def test_light_does_not_move_the_answer(duck, k, left, right):
    """One half of the object in the shade: only its paint is looked at."""
    shown = pictures("a red duck", [STEP * k], background=(0.0, 0.0, 0.0))
    shown = shown * torch.linspace(left, right, shown.shape[-1])
    on_black = replace(duck, background=torch.zeros(3))
    assert azimuths_seen(shown, on_black).tolist() == [STEP * k]
    assert float(unlikeness(shown, on_black).min()) < 0.02


@settings(max_examples=6, deadline=None)
@given(k=st.integers(0, SIDES - 1))
def test_a_turned_object_is_seen_turned(duck, k):
    """A view between two sides is matched to one of these."""
    azimuth = STEP * k + 5.0
    off = wrapped(azimuths_seen(pictures("a red duck", [azimuth]), duck) - azimuth)
    assert float(off.abs()) < STEP


def test_other_builds_help_with_a_build_that_differs():
    azimuths = [45.0 * k for k in range(8)]
    shown = pictures("a red duck", azimuths, build_number=7)
    alone = unlikeness(shown, true_views([truth_of("a red duck").mesh], ELEVATION)).min(1).values
    truth = true_views([t.mesh for t in truths_of("a red duck", 3)], ELEVATION)
    together = unlikeness(shown, truth)
    assert together.shape == (8, 4 * SIDES)
    assert bool((together.min(1).values <= alone).all())
    assert azimuths_seen(shown, truth).tolist() == azimuths


def test_unlikeness_is_the_share_of_wrong_pixels(duck):
    """An empty picture differs from a true view where the object is, red being far from white."""
    found = unlikeness(torch.ones(1, 3, 64, 64), duck)[0]
    inside, touched = (share.float().mean((1, 2, 3)) for share in (duck.alpha > 0.999, duck.alpha > 0.0))
    assert bool(((inside - 1e-6 <= found) & (found <= touched)).all())
    black = unlikeness(torch.zeros(1, 3, 64, 64), duck)[0]
    assert bool((black >= (duck.alpha == 0.0).float().mean((1, 2, 3)) - 1e-6).all())


def test_a_background_is_not_taken_for_paint(duck):
    blue = torch.tensor([0.1, 0.2, 0.9])
    truth = replace(duck, background=blue)
    shown = pictures("a red duck", [90.0], blue.tolist())
    assert azimuths_seen(shown, truth).tolist() == [90.0]
    assert float(unlikeness(shown, truth).min()) < 0.02


def test_pictures_must_be_large_enough(duck):
    with pytest.raises(ValueError, match="32 pixels"):
        azimuths_seen(torch.ones(1, 3, 16, 16), duck)
    with pytest.raises(ValueError, match="square"):
        azimuths_seen(torch.ones(1, 3, 64, 48), duck)


def test_the_builds_of_a_sentence_differ_and_keep_its_colours():
    typical, *varied = truths_of("a blue car", 2)
    assert torch.equal(typical.mesh.vertices, truth_of("a blue car").mesh.vertices)
    sizes = {tuple(t.mesh.bounds().high) for t in (typical, *varied)}
    assert len(sizes) == 3
    assert all(torch.equal(t.mesh.colors.unique(dim=0), typical.mesh.colors.unique(dim=0)) for t in varied)
    assert truths_of("a red duck on a blue cube", 1)[1].mesh.vertices.shape[1] == 3
    assert truths_of("democracy", 2) == []
