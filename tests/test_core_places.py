"""A fixed set of cameras: every place is seen once a round, under its own number."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.cameras import of_objects
from sds3d.core.errors import ConfigError
from sds3d.core.places import FixedSampler, RingSampler, ring
from sds3d.core.streams import Streams

WHOLE = ((-180.0, 180.0), (-10.0, 60.0), (2.0, 2.4), (45.0, 45.0))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99), st.integers(0, 5))
def test_a_round_sees_every_place(count, views, seed, turn):
    views = min(views, count)
    sampler, streams = FixedSampler(ring(count, *WHOLE)), Streams(seed)
    steps = -(-count // views)
    seen: list[int] = []
    for step in range(turn * steps, (turn + 1) * steps):
        cameras = sampler.sample(streams, step, views)
        ids = cameras.ids.tolist()
        assert len(set(ids)) == views
        assert torch.equal(cameras.c2w, sampler.cameras.c2w[cameras.ids])
        assert cameras.group.tolist() == [0] * views
        seen += ids
    assert set(seen) == set(range(count))
    assert len(seen) - len(set(seen)) == steps * views - count
    again = sampler.sample(streams, turn * steps, views)
    assert again.ids.tolist() == seen[:views]


def test_rounds_differ_and_too_many_views_are_refused():
    sampler = FixedSampler(ring(8, *WHOLE))
    rounds = {
        tuple(i for step in range(8) for i in sampler.sample(Streams(0), 8 * r + step, 1).ids.tolist())
        for r in range(4)
    }
    assert len(rounds) == 4
    with pytest.raises(ConfigError, match="wants 9 views, but there are 8 fixed places"):
        sampler.sample(Streams(0), 0, 9)


def test_rings_of_the_same_ranges_are_one():
    one, other = RingSampler(8, *WHOLE), RingSampler(8, *WHOLE)
    assert hash(one) == hash(other)
    assert one == other
    streams = Streams(3)
    seen = one.sample(streams, 5, 2)
    assert torch.equal(seen.c2w, FixedSampler(ring(8, *WHOLE)).sample(streams, 5, 2).c2w)


def test_a_ring_fills_its_ranges():
    cameras = ring(40, *WHOLE)
    steps = cameras.azimuth_deg.diff()
    torch.testing.assert_close(steps, torch.full((39,), 9.0), rtol=0, atol=1e-3)
    for value, (low, high) in ((cameras.elevation_deg, (-10, 60)), (cameras.distance, (2.0, 2.4))):
        share = (value - low) / (high - low)
        assert float(share.min()) >= 0.0
        assert float(share.max()) <= 1.0
        # no tenth of the range stays empty
        assert len(set((10 * share).long().clamp(max=9).tolist())) == 10


def test_places_of_several_objects_have_numbers_of_their_own():
    cameras = of_objects(FixedSampler(ring(10, *WHOLE)), Streams(0), 3, 2, 3)
    assert len(set(cameras.ids.tolist())) == 6
    assert cameras.group.tolist() == [0, 0, 1, 1, 2, 2]
