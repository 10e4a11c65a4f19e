"""Where our world lies in a capture, and splats that are moved there: closed forms and pictures that stay."""

from __future__ import annotations

import math

import pytest
import torch
from capture_cases import ELSEWHERE, around
from edit_cases import some_splats
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations.captured.moved import moved_splats, quaternion, turned_harmonics
from sds3d.representations.placed import Placed
from sds3d.representations.raster.gaussians import rasterize_gaussians
from sds3d.representations.raster.gaussians_twin import sh_basis

from sds3d.core.cameras import orbit
from sds3d.core.frame import UNTURNED, Frame, fitted_frame, upright, upright_along
from sds3d.core.photographed import SEEN, common_up, coverage, frame_seen, looked_at
from sds3d.core.streams import Streams

seeds = st.integers(0, 10_000)


def some_frame(seed: int) -> Frame:
    """Any similarity."""
    u = Streams(seed).normal((8,), "frame")[0].double()
    x, y, z = (5 * u[3:6]).tolist()
    return Frame(float((0.5 * u[6]).exp()), upright_along(u[:3], 100 * float(u[7])), (x, y, z))


@given(seeds)
def test_poses_come_back_from_the_space_of_a_capture(seed: int) -> None:
    frame, cameras = some_frame(seed), around(5)
    back = frame.poses_in_world(frame.cameras(cameras).c2w)
    assert torch.allclose(back, cameras.c2w.double(), atol=1e-5)


@given(seeds)
def test_upright_along_is_a_rotation_with_that_up(seed: int) -> None:
    up = torch.nn.functional.normalize(Streams(seed).normal((3,), "up")[0].double(), dim=0)
    turn = torch.tensor(upright_along(up), dtype=torch.float64)
    assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert float(turn.det()) > 0
    assert torch.allclose(turn[:, 1], up)


@pytest.mark.parametrize("axis", ["+y", "-y", "+z", "-z", "+x", "-x"])
def test_upright_along_an_axis_is_upright(axis) -> None:
    turn = torch.tensor(upright(axis, 30.0), dtype=torch.float64)
    assert torch.allclose(
        torch.tensor(upright_along(turn[:, 1], 30.0), dtype=torch.float64), turn, atol=1e-12
    )


@given(seeds)
def test_the_frame_of_level_cameras_is_found(seed: int) -> None:
    """Cameras around the origin at our own distance and angle: centre, scale and up of the frame they were moved by."""
    frame = some_frame(seed)
    c2w = frame.cameras(around(16)).c2w.double()
    centre = looked_at(c2w)
    assert centre is not None
    assert torch.allclose(centre, torch.tensor(frame.centre, dtype=torch.float64), atol=1e-4)
    up = torch.nn.functional.normalize(common_up(c2w), dim=0)
    assert torch.allclose(up, torch.tensor(frame.turn, dtype=torch.float64)[:, 1], atol=1e-5)
    found = frame_seen(c2w, torch.full((16,), 22.5), frame.turn, centre)
    assert found.scale == pytest.approx(frame.scale, rel=1e-4)


def test_up_of_an_arc_of_cameras_that_look_down_is_not_tilted() -> None:
    arc = orbit([-40.0, -20, 0, 20, 40], 50.0)
    up = torch.nn.functional.normalize(common_up(arc.c2w), dim=0)
    assert up.tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    one = orbit([0.0, 0.0], 0.0)
    assert common_up(one.c2w).tolist() == pytest.approx([0, 1, 0], abs=1e-6)


def test_cameras_that_contradict_each_other_or_look_nowhere_tell_nothing() -> None:
    one = orbit([0.0], 0.0).c2w
    turned = one.clone()
    turned[:, :3, :2] *= -1
    assert not bool(common_up(torch.cat([one, turned])).any())
    beside = one.clone()
    beside[:, 0, 3] += 1.0
    assert looked_at(torch.cat([one, beside])) is None, "axes are parallel"
    outwards = around(8).c2w.clone()
    outwards[:, :3, [0, 2]] *= -1
    assert looked_at(outwards) is None, "all look away from the middle"


def test_a_radius_fills_the_view_of_our_camera() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    frame = frame_seen(around(4).c2w, torch.full((4,), 22.5), UNTURNED, zero, radius=5 * SEEN)
    assert frame.scale == pytest.approx(5.0)
    with pytest.raises(ValueError, match="stand where"):
        frame_seen(torch.eye(4).expand(2, 4, 4), torch.full((2,), 22.5), UNTURNED, zero)


def test_an_edit_looks_from_where_there_were_cameras() -> None:
    all_around = coverage(orbit(torch.arange(12) * 30.0, 20.0))
    assert all_around.azimuth_deg == (-180.0, 180.0)
    assert all_around.elevation_deg == (15.0, 25.0)
    front = coverage(orbit([-60.0, -30, 0, 30, 60], [0.0, 10, 20, 30, 40]))
    assert front.azimuth_deg == (-65.0, 65.0)
    assert front.elevation_deg == (-5.0, 45.0)
    back = coverage(orbit([150.0, 180, 210], 0.0))
    assert back.azimuth_deg == (145.0, 215.0)


@given(seeds, st.integers(0, 3))
def test_moved_splats_look_the_same_from_moved_cameras(seed: int, degree: int) -> None:
    frame, splats = some_frame(seed), some_splats(30, degree, seed)
    cameras = orbit([20.0, 200.0], [10.0, -30.0])

    def drawn(s, c, scale):
        return rasterize_gaussians(
            s.means,
            s.scales,
            s.rotations,
            s.opacities,
            s.sh,
            c,
            (24, 24),
            torch.ones(2, 3),
            near=0.01 * scale,
        ).rgb

    before = drawn(splats, cameras, 1.0)
    after = drawn(moved_splats(splats, frame), frame.cameras(cameras), frame.scale)
    # a Gaussian may fall out of a pixel where its alpha is 1/255
    assert float((before - after).abs().max()) < 6e-3
    assert float((before - after).abs().mean()) < 5e-5


@given(seeds)
def test_turned_harmonics_show_in_turned_directions_what_was_there(seed: int) -> None:
    turn = torch.tensor(some_frame(seed).turn, dtype=torch.float64)
    sh = Streams(seed).normal((4, 16, 3), "sh")[0].double()
    d = torch.nn.functional.normalize(Streams(seed).normal((20, 3), "d")[0].double(), dim=1)
    before = torch.einsum("dk,nkc->ndc", sh_basis(d, 16), sh)
    after = torch.einsum("dk,nkc->ndc", sh_basis(d @ turn.T, 16), turned_harmonics(sh, turn))
    assert torch.allclose(before, after, atol=1e-9)


@given(seeds)
def test_the_quaternion_of_a_rotation_is_that_rotation(seed: int) -> None:
    turn = torch.tensor(some_frame(seed).turn, dtype=torch.float64)
    w, x, y, z = quaternion(turn).tolist()
    again = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    assert torch.allclose(torch.tensor(again, dtype=torch.float64), turn, atol=1e-9)


def test_half_turns_have_quaternions() -> None:
    for axis, q in (("-y", (0, 1, 0, 0)), ("+y", (1, 0, 0, 0))):
        found = quaternion(torch.tensor(upright(axis), dtype=torch.float64))  # type: ignore[arg-type]
        assert [abs(v) for v in found.tolist()] == pytest.approx(q, abs=1e-9)


def test_weights_of_a_fitted_frame_count_as_that_many_points() -> None:
    few = Streams(0).normal((50, 3), "points")[0]
    count = torch.arange(50) % 4
    many = few.repeat_interleave(count, dim=0)
    for share in (1.0, 0.9):
        weighted = fitted_frame(few, UNTURNED, 0.75, share, count.float())
        assert weighted.scale == pytest.approx(fitted_frame(many, UNTURNED, 0.75, share).scale, rel=0.05)


def test_a_config_holds_a_frame_and_turns_it_on() -> None:
    placed = Placed.of(ELSEWHERE, True)
    assert placed.frame() == ELSEWHERE
    again = Placed.model_validate(placed.model_dump(mode="json"))
    assert again.frame() == ELSEWHERE
    quarter = torch.tensor(placed.frame(90.0).turn) @ torch.tensor([0.0, 0.0, 1.0])
    assert torch.allclose(quarter, torch.tensor(ELSEWHERE.turn)[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="rotation"):
        Placed(turn=((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 1.0)))
    assert math.isclose(placed.scale, 3.5)
