"""An asset against the builds that its sentence may mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core.assets import Mesh
from sds3d.evaluate.chamfer import chamfer
from sds3d.evaluate.likeness import likeness, turned_points
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truths_of
from sds3d.evaluate.views import outline_cameras

SIZE = (48, 48)


def outlines(mesh: Mesh):
    return render_mesh(mesh, outline_cameras(), SIZE)["alpha"]


def turned(mesh: Mesh, degrees: float) -> Mesh:
    return replace(mesh, vertices=turned_points(mesh.vertices, degrees))


@pytest.fixture(scope="module")
def cars():
    return [truth.mesh for truth in truths_of("a red car", 1)]


def test_a_true_build_is_one_of_the_range(cars):
    found = likeness(outlines(cars[1]), cars[1], cars)
    assert found.iou_best == pytest.approx(1.0)
    assert found.chamfer_best < 0.7  # the spacing of the points, and nothing else
    assert found.iou < 1.0
    assert found.chamfer > found.chamfer_best
    assert (found.turn_deg, found.iou_turned, found.chamfer_turned) == (0.0, found.iou, found.chamfer)


@pytest.mark.parametrize("turn", [45.0, 270.0])
def test_a_wrong_heading_is_told_from_a_wrong_shape(cars, turn):
    straight = likeness(outlines(cars[0]), cars[0], cars[:1])
    aside = turned(cars[0], turn)
    found = likeness(outlines(aside), aside, cars[:1])
    assert found.turn_deg == 360.0 - turn
    assert found.iou < 0.8
    assert found.iou_turned == pytest.approx(straight.iou, abs=0.03)
    assert found.chamfer > 3.0
    assert found.chamfer_turned == pytest.approx(straight.chamfer, abs=0.1)


def test_an_asset_of_nothing_is_as_far_off_as_the_object_is_large(cars):
    speck = replace(cars[0], vertices=cars[0].vertices * 1e-6 + torch.tensor([0.003, 0.003, 0.003]))
    found = likeness(torch.zeros(8, 1, *SIZE), speck, cars[:1])
    assert (found.iou, found.iou_turned) == (0.0, 0.0)
    assert (found.chamfer, found.chamfer_best) == (100.0, 100.0)


@given(degrees=st.floats(-720, 720))
def test_points_turn_with_the_azimuth(degrees):
    """A point in front, seen at azimuth 0, is then seen at `degrees`."""
    front = torch.tensor([[0.0, 0.3, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    found = turned_points(front, degrees)
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    expected = torch.stack([angle.sin(), torch.tensor(0.3, dtype=torch.float64), angle.cos()])
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[1], front[1])
    back = turned_points(found, -degrees)
    assert chamfer(back, front).mean < 1e-9
