"""Colour, masks and the likeness of neighbouring views."""

import colorsys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.streams import Streams
from sds3d.evaluate.colour import colour, foreground
from sds3d.evaluate.consistency import view_consistency

CHANNEL = st.floats(0.0, 1.0, width=32)
EVERYWHERE = torch.ones(1, 1, 4, 4, dtype=torch.bool)


def plain(*rgb, size=4):
    return torch.tensor(rgb)[None, :, None, None].expand(1, 3, size, size).clone()


@settings(max_examples=40, deadline=None)
@given(rgb=st.tuples(CHANNEL, CHANNEL, CHANNEL))
def test_saturation_is_that_of_hsv(rgb):
    found = colour(plain(*rgb), EVERYWHERE)
    assert found.saturation == pytest.approx(colorsys.rgb_to_hsv(*rgb)[1], abs=1e-5)
    assert found.pixels == 16
    assert found.outside == 0.0
    assert found.clipped == float(min(rgb) <= 1 / 255 or max(rgb) >= 254 / 255)


def test_only_the_mask_counts():
    picture, mask = plain(0.5, 0.5, 0.5), torch.zeros_like(EVERYWHERE)
    picture[0, :, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    mask[0, 0, 0, 0] = True
    assert colour(picture, mask).saturation == 1.0
    assert colour(picture, ~mask).saturation == 0.0
    empty = colour(picture, torch.zeros_like(mask))
    assert (empty.saturation, empty.clipped, empty.pixels) == (0.0, 0.0, 0)


def test_what_lies_beyond_the_scale_is_told():
    picture = plain(0.4, 0.5, 0.6)
    picture[0, 0, :2] = 1.3
    found = colour(picture, EVERYWHERE)
    assert (found.outside, found.clipped) == (0.5, 0.5)
    assert found.saturation == pytest.approx(0.5 * (1 - 0.5) + 0.5 * (1 - 0.4 / 0.6))


@settings(max_examples=20, deadline=None)
@given(ground=st.tuples(CHANNEL, CHANNEL, CHANNEL), row=st.integers(2, 5), seed=st.integers(0, 99))
def test_the_object_is_what_differs_from_the_border(ground, row, seed):
    picture = plain(*ground, size=12)
    picture += 0.02 * Streams(seed).uniform((1, 3, 12, 12), "ground")[0].float()
    inside = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    inside[..., row : row + 3, 4:9] = True
    apart = torch.where(torch.tensor(ground) > 0.5, -0.3, 0.3)[None, :, None, None]
    picture = torch.where(inside, picture + apart, picture)
    assert torch.equal(foreground(picture), inside)


class Compass:
    """Embeds a picture as the direction that its first two pixels hold."""

    def embed_images(self, rgb):
        return torch.nn.functional.normalize(2 * rgb[:, 0, 0, :2] - 1, dim=-1)

    def embed_texts(self, texts):
        raise AssertionError("no captions are needed")


def views_at(degrees):
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64))
    pictures = torch.zeros(len(angle), 3, 2, 2, dtype=torch.float64)
    pictures[:, 0, 0, 0], pictures[:, 0, 0, 1] = (angle.cos() + 1) / 2, (angle.sin() + 1) / 2
    return pictures


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 36), start=st.floats(0, 360))
def test_consistency_is_the_cosine_between_neighbours(count, start):
    turn = views_at([start + 360 * k / count for k in range(count)])
    assert view_consistency(Compass(), turn) == pytest.approx(
        torch.deg2rad(torch.tensor(360 / count)).cos().item(), abs=1e-5
    )
    assert view_consistency(Compass(), turn[:1].expand(count, -1, -1, -1)) == pytest.approx(1.0)


def test_one_view_that_differs_costs_two_neighbours():
    four = views_at([0, 0, 0, 90])
    assert view_consistency(Compass(), four) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least two"):
        view_consistency(Compass(), four[:1])
