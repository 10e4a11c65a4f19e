"""Cameras against hand-worked cases and against axioms of the convention."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core.cameras import OrbitSampler, look_at, orbit, rays, turntable
from sds3d.core.streams import Streams

angles = st.floats(-720, 720)
elevations = st.floats(-90, 90)


def test_front_right_back_top_by_hand():
    c = orbit([0.0, 90.0, 180.0, 0.0], [0.0, 0.0, 0.0, 90.0], 2.0)
    expected = torch.tensor([[0, 0, 2.0], [2.0, 0, 0], [0, 0, -2.0], [0, 2.0, 0]])
    assert torch.allclose(c.position, expected, atol=1e-6)
    # in front: the camera's right is world +X, its up is +Y, it looks down -Z
    assert torch.allclose(c.c2w[0, :3, :3], torch.eye(3), atol=1e-6)
    # from the object's left (+X) the camera's right is world -Z
    assert torch.allclose(c.c2w[1, :3, 0], torch.tensor([0, 0, -1.0]), atol=1e-6)
    # straight above, azimuth 0: the image's up points away from the front, to -Z
    assert torch.allclose(c.c2w[3, :3, 1], torch.tensor([0, 0, -1.0]), atol=1e-6)


@given(a=angles, e=elevations, d=st.floats(0.1, 50))
def test_orbit_is_a_rigid_frame_that_looks_at_the_origin(a, e, d):
    c = orbit([a], e, d)
    r = c.c2w[0, :3, :3].double()
    assert torch.allclose(r.T @ r, torch.eye(3, dtype=torch.float64), atol=1e-5)
    assert torch.det(r) == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(c.position[0], d * c.c2w[0, :3, 2], atol=1e-4 * d)
    assert c.c2w[0, 1, 0] == pytest.approx(0.0, abs=1e-6)  # no roll: right is horizontal
    assert c.c2w[0, 1, 1] >= -1e-6
    assert torch.allclose(c.c2w[0, 3], torch.tensor([0, 0, 0, 1.0]))
    assert torch.allclose(c.world_to_camera()[0] @ c.c2w[0], torch.eye(4), atol=1e-4 * max(1.0, d))


@given(a=angles, e=st.floats(-89, 89), d=st.floats(0.5, 5))
def test_look_at_agrees_with_orbit(a, e, d):
    c = orbit([a], e, d)
    assert torch.allclose(look_at(c.position, torch.zeros(1, 3)), c.c2w, atol=2e-4)


def test_look_at_straight_down_takes_plus_x_as_right():
    m = look_at(torch.tensor([[0.0, 3.0, 0.0]]), torch.zeros(1, 3))
    assert torch.allclose(m[0, :3, 0], torch.tensor([1.0, 0, 0]))
    assert torch.allclose(m[0, :3, 1], torch.tensor([0, 0, -1.0]))
    assert torch.allclose(m[0, :3, 3], torch.tensor([0, 3.0, 0]))


@given(a=angles, e=elevations, h=st.integers(1, 9), w=st.integers(1, 9), fov=st.floats(5, 120))
def test_rays_and_intrinsics_agree(a, e, h, w, fov):
    """A point along each ray projects back to the pixel centre it came from."""
    c = orbit([a], e, 2.0, fov)
    o, d = rays(c, (h, w))
    assert o.shape == d.shape == (1, h, w, 3)
    assert torch.allclose(d.norm(dim=-1), torch.ones(1, h, w), atol=1e-5)
    assert torch.allclose(o[0, 0, 0], c.position[0])
    point = (o + 1.7 * d).double()
    local = torch.einsum("ij,hwj->hwi", c.world_to_camera()[0, :3, :3].double(), point[0])
    local = local + c.world_to_camera()[0, :3, 3].double()
    k = c.intrinsics((h, w))[0].double()
    x = k[0, 0] * local[..., 0] / -local[..., 2] + k[0, 2]
    y = k[1, 2] - k[1, 1] * local[..., 1] / -local[..., 2]
    assert torch.allclose(x, (torch.arange(w) + 0.5).double().expand(h, w), atol=1e-3)
    assert torch.allclose(y, (torch.arange(h) + 0.5).double()[:, None].expand(h, w), atol=1e-3)
    assert k[2, 2] == 1.0


def test_field_of_view_is_vertical_and_row_zero_is_the_top():
    c = orbit([0.0], 0.0, 2.0, 90.0)
    _, d = rays(c, (2, 4))
    up, right = d[0, :, :, 1], d[0, :, :, 0]
    assert (up[0] > 0).all()
    assert (up[1] < 0).all()
    assert (right[:, 3] > 0).all()
    # fov 90: the top edge, half a pixel above the centre of row 0, lies at 45 degrees
    assert d[0, 0, 0, 1] / -d[0, 0, 0, 2] == pytest.approx(0.5)
    assert c.focal(2)[0] == pytest.approx(1.0)


def test_jitter_moves_rays_by_pixels():
    c = orbit([30.0], 10.0)
    whole = torch.zeros(1, 3, 3, 2)
    whole[..., 0] = 1.0  # one pixel to the right
    _, d = rays(c, (3, 3))
    _, moved = rays(c, (3, 3), whole)
    assert torch.allclose(moved[:, :, :2], d[:, :, 1:], atol=1e-6)
    whole = torch.zeros(1, 3, 3, 2)
    whole[..., 1] = 1.0  # one pixel down
    _, moved = rays(c, (3, 3), whole)
    assert torch.allclose(moved[:, :2], d[:, 1:], atol=1e-6)


@given(step=st.integers(0, 10_000), views=st.integers(1, 9), seed=st.integers(0, 99))
def test_sampler_is_stratified_inside_its_ranges_and_pure(step, views, seed):
    sampler = OrbitSampler(elevation_deg=(-5, 40), distance=(2, 3), fov_y_deg=(40, 50), azimuth_jitter=1.0)
    c = sampler.sample(Streams(seed), step, views)
    again = sampler.sample(Streams(seed), step, views)
    assert torch.equal(c.c2w, again.c2w)
    assert c.ids.tolist() == list(range(views))
    for value, (low, high) in [
        (c.azimuth_deg, (-180, 180)),
        (c.elevation_deg, (-5, 40)),
        (c.distance, (2, 3)),
        (c.fov_y_deg, (40, 50)),
    ]:
        assert (value >= low - 1e-4).all()
        assert (value <= high + 1e-4).all()
    if views > 1:  # neighbouring strata: gaps between 0 and two strata, and they add to the circle
        sorted_azimuth = c.azimuth_deg.double().sort().values
        gaps = torch.diff(torch.cat([sorted_azimuth, sorted_azimuth[:1] + 360]))
        assert gaps.max() <= 2 * 360 / views + 1e-3
        assert gaps.sum() == pytest.approx(360)


def test_sampler_without_jitter_makes_equal_steps_from_a_random_start():
    sampler = OrbitSampler(azimuth_jitter=0.0)
    starts = []
    for step in range(50):
        azimuth = sampler.sample(Streams(0), step, 4).azimuth_deg.sort().values
        assert torch.allclose(torch.diff(azimuth), torch.full((3,), 90.0), atol=1e-3)
        starts.append(float(azimuth[0]))
    assert max(starts) - min(starts) > 60  # the whole 90 degree stratum is visited
    assert len({round(s, 3) for s in starts}) > 45


def test_sampler_on_an_arc_stays_on_it_and_fills_it():
    sampler = OrbitSampler(azimuth_deg=(-30, 60), azimuth_jitter=1.0)
    azimuth = torch.cat([sampler.sample(Streams(0), k, 3).azimuth_deg for k in range(200)])
    assert azimuth.min() >= -30
    assert azimuth.max() <= 60
    assert azimuth.min() < -28
    assert azimuth.max() > 58


def test_sampler_columns_are_independent():
    """Elevation, distance and field of view must not move together."""
    sampler = OrbitSampler(elevation_deg=(0, 1), distance=(1, 2), fov_y_deg=(10, 11))
    rows = [sampler.sample(Streams(1), k, 4) for k in range(500)]
    table = torch.stack(
        [torch.cat([getattr(c, n) for c in rows]) for n in ("elevation_deg", "distance", "fov_y_deg")]
    )
    off = torch.corrcoef(table) - torch.eye(3)
    assert off.abs().max() < 0.1
    assert (table.mean(1) - torch.tensor([0.5, 1.5, 10.5])).abs().max() < 0.05


def test_turntable_starts_in_front_and_goes_counter_clockwise():
    c = turntable(4, elevation_deg=20.0, distance=3.0, start_deg=10.0)
    assert torch.allclose(c.azimuth_deg, torch.tensor([10.0, 100, 190, 280]))
    assert torch.allclose(c.elevation_deg, torch.full((4,), 20.0))
    assert torch.allclose(c.position.norm(dim=-1), torch.full((4,), 3.0))
    assert math.isclose(float(turntable(1).fov_y_deg), 45.0)
    assert float(turntable(1).elevation_deg) == 15.0


def test_indexing_ids_and_defaults():
    c = orbit([0.0, 10.0, 20.0], 5.0)
    assert len(c[1:]) == 2
    assert len(c[1]) == 1
    assert c[[2, 0]].azimuth_deg.tolist() == [20.0, 0.0]
    assert c.ids.tolist() == [0, 1, 2]
    assert c.group.tolist() == [0, 0, 0]
    assert c.to("cpu").azimuth_deg.tolist() == c.azimuth_deg.tolist()
    assert orbit([0.0], 0.0, group=torch.tensor([3]), ids=torch.tensor([4])).group.tolist() == [3]
