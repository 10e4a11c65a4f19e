"""Particles are their members: what is asked of all is the mean of what is asked of each."""

from __future__ import annotations

import pytest
import torch
from sds3d.representations import particles
from sds3d.representations.grid import Options, create

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams

OPTIONS = Options(resolutions=(4, 8), tv=0.5, opacity=2.0, entropy=1.0, initial_noise=0.3)


def look_of(objects: list[int]) -> Look:
    """One view from four sides in turn of each of these objects."""
    group = torch.tensor(objects)
    cameras = orbit([90.0 * k for k in range(len(objects))], 15.0, group=group)
    return Look(cameras, (8, 8), torch.ones(len(objects), 3), group=group)


@pytest.mark.parametrize("count", [2, 3])
def test_regularisers_are_the_mean_over_particles(count):
    made = particles.create(count, lambda streams: create(OPTIONS, streams), Streams(0))
    order = [k for _ in range(2) for k in range(count)]
    found = made.regularise(made.render(look_of(order)), 0.5)
    each = []
    for k, member in enumerate(particles.members_of(made)):
        look = look_of(order)
        rows = torch.tensor([i for i, object_ in enumerate(order) if object_ == k])
        each.append(member.regularise(member.render(look.rows(rows)), 0.5))
    assert set(found) == {"tv", "opacity", "entropy"}
    for name, loss in found.items():
        assert float(loss) == pytest.approx(sum(float(e[name]) for e in each) / count, rel=1e-5)


def test_views_come_back_in_the_order_of_the_look():
    made = particles.create(2, lambda streams: create(OPTIONS, streams), Streams(0))
    look = look_of([1, 0, 1, 0])
    rgb = made.render(look)["rgb"]
    for row, k in enumerate([1, 0, 1, 0]):
        alone = particles.members_of(made)[k].render(look.rows(torch.tensor([row])))["rgb"]
        assert torch.allclose(rgb[row], alone[0], atol=1e-6)
    assert not torch.allclose(rgb[0], rgb[1]), "particles differ from the start"
