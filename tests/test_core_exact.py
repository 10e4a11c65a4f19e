"""Core to the last bit: ends of the unit interval, precision, and formulas that replay depends on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core.backgrounds import random_backgrounds
from sds3d.core.cameras import Cameras, OrbitSampler, orbit, rays
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash

f64 = torch.float64
degrees = st.floats(-180, 180)


class Ends(Streams):
    """A stream whose raw bits are the smallest, the next, the middle and the largest there are."""

    ends = (0, 1 << 11, 1 << 63, 2**64 - 1)

    def _raw(self, count, tag, key, step, ids):
        return np.tile(np.resize(np.array(self.ends, dtype=np.uint64), count), (len(ids), 1))


def test_the_ends_of_the_unit_interval():
    low, next_, middle, high = Ends(0).uniform((4,), "x")[0].tolist()
    assert low == 2.0**-54
    assert next_ == 1.5 * 2.0**-53
    assert middle == 0.5  # + 2^-54, which float64 cannot hold
    assert high == 1.0 - 2.0**-53
    normal = Ends(0).normal((8,), "x")
    assert torch.isfinite(normal).all()
    assert float(normal.abs().max()) < 9  # the smallest uniform is 8.65 standard deviations out


@given(high=st.integers(1, 2**53))
def test_integers_at_the_ends(high):
    low, *_, last = Ends(0).integers(high, (4,), "x")[0].tolist()
    assert (low, last) == (0, high - 1)


@given(azimuth=degrees, fov=st.floats(5, 150), height=st.integers(1, 512))
def test_focal_length_by_trigonometry(azimuth, fov, height):
    """Half the image height over the focal length is the tangent of half the field of view."""
    focal = float(orbit([azimuth], 0.0, 2.0, fov).focal(height)[0])
    assert math.degrees(2 * math.atan(height / 2 / focal)) == pytest.approx(fov, rel=1e-5)


def test_focal_length_by_hand():
    assert float(orbit([0.0], 0.0, fov_y_deg=60.0).focal(10)[0]) == pytest.approx(5 * math.sqrt(3))


def doubled(cameras: Cameras) -> Cameras:
    """The same cameras in float64, made rigid to its precision."""
    rotation = torch.linalg.qr(cameras.c2w[:, :3, :3].double()).Q
    c2w = cameras.c2w.double()
    c2w[:, :3, :3] = rotation
    return replace(cameras, c2w=c2w, fov_y_deg=cameras.fov_y_deg.double())


@given(azimuth=degrees, elevation=st.floats(-80, 80))
def test_float64_cameras_stay_so(azimuth, elevation):
    c = doubled(orbit([azimuth, 3.0], elevation, 2.3, 40.1))
    torch.testing.assert_close(
        c.world_to_camera() @ c.c2w, torch.eye(4, dtype=f64).expand(2, 4, 4), rtol=0, atol=1e-13
    )
    k = c.intrinsics((7, 9))
    assert k.dtype == f64
    assert float(k[0, 1, 1]) == pytest.approx(
        3.5 / math.tan(math.radians(float(c.fov_y_deg[0]) / 2)), rel=1e-13
    )
    jitter = Streams(0).uniform((7, 9, 2), "jitter", ids=[0, 1]) - 0.5
    origins, directions = rays(c, (7, 9), jitter)
    assert origins.dtype == directions.dtype == f64
    row = torch.arange(7, dtype=f64)[:, None] + 0.5 + jitter[0, :, :, 1]
    local = directions[0] @ c.c2w[0, :3, :3]
    slope = local[..., 1] / -local[..., 2]
    torch.testing.assert_close(slope, (3.5 - row) / k[0, 1, 1], rtol=1e-12, atol=1e-13)


def test_rays_take_the_cameras_precision():
    jitter = torch.full((1, 2, 2, 2), 0.1, dtype=f64)
    assert [t.dtype for t in rays(orbit([0.0], 0.0), (2, 2), jitter)] == [torch.float32] * 2


@given(azimuth=degrees, elevation=st.floats(-90, 90), distance=st.floats(0.5, 9), fov=st.floats(5, 120))
def test_one_number_for_all_is_as_exact_as_a_tensor(azimuth, elevation, distance, fov):
    """Python floats keep their float64 until the frame is done: the same bits as float64 tensors."""
    scalars = orbit([azimuth, 1.0], elevation, distance, fov)
    tensors = orbit(*(torch.tensor([v, v], dtype=f64) for v in (azimuth, elevation, distance, fov)))
    assert torch.equal(scalars.c2w[0], tensors.c2w[0])
    whole = orbit([0, 90], 30, 2)
    assert torch.equal(whole.c2w, orbit([0.0, 90.0], 30.0, 2.0).c2w)


@pytest.mark.parametrize("limits", [(-180.0, 180.0), (0.0, 360.0), (-30.0, 60.0)])
@given(seed=st.integers(0, 99), step=st.integers(0, 10**6), views=st.integers(1, 7), jitter=st.floats(0, 1))
def test_the_sampler_by_its_formula(limits, seed, step, views, jitter):
    """Which stream, which column, which sign: a change here breaks the replay of every saved run."""
    sampler = OrbitSampler(limits, (-20.0, 50.0), (2.0, 3.0), (30.0, 60.0), jitter)
    c = sampler.sample(Streams(seed), step, views)
    u = Streams(seed).uniform((4,), "camera", step=step, ids=range(views))
    start = float(Streams(seed).uniform((), "camera-start", step=step)[0])
    low, high = limits
    for k in range(views):
        turn = (k + jitter * (float(u[k, 0]) - 0.5)) / views
        turn = (turn + start) % 1.0 if high - low == 360 else turn + 0.5 / views
        off = (float(c.azimuth_deg[k]) - low - (high - low) * turn + 180) % 360 - 180
        assert off == pytest.approx(0, abs=1e-3)
        assert float(c.elevation_deg[k]) == pytest.approx(-20 + 70 * float(u[k, 1]), abs=1e-4)
        assert float(c.distance[k]) == pytest.approx(2 + float(u[k, 2]), abs=1e-6)
        assert float(c.fov_y_deg[k]) == pytest.approx(30 + 30 * float(u[k, 3]), abs=1e-5)
    assert (c.azimuth_deg >= low).all()
    assert (c.azimuth_deg <= high).all()


def test_the_hash_sorts_whole_paths():
    """`a-b` comes before `a.z` although `a` comes before `a-b`; saved hashes rest on this order."""
    assert tree_hash({"a": {"z": 1}, "a-b": 2}) == PATHS_HASH


PATHS_HASH = "e8218277b0b689ffb48e78dcac61b28b"


def test_shares_of_white_hold_at_the_ends():
    """In float32 the largest uniforms are 1 and the smallest are not 0."""
    assert (random_backgrounds(Ends(0), 0, [0], 1.0) == 1).all()
    largest_first = Ends(0)
    largest_first.ends = (2**64 - 1, 1 << 63, 1 << 62, 1 << 61)
    assert (random_backgrounds(largest_first, 0, [0, 1], 1.0) == 1).all()
    assert random_backgrounds(largest_first, 0, [0], 0.999)[0].tolist() == [0.5, 0.25, 0.125]
    color = random_backgrounds(Ends(0), 0, [0], 0.0)[0].tolist()
    assert color == [pytest.approx(1.5 * 2.0**-53), 0.5, 1.0]
