"""Maps that tell a network its camera: they follow the cameras of the rest of the house, and nothing leaks untold."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core.cameras import orbit
from sds3d.priors.pixel_unet import ViewFeatures
from sds3d.priors.view_maps import CHANNELS

ANGLES = st.floats(-360, 360)
TILTS = st.floats(-89, 89)


def maps_of(
    features: ViewFeatures, azimuth: float, elevation: float, told: float, side: int = 8
) -> torch.Tensor:
    """The maps that come back out of the labels, which is the way that the network goes."""
    one = torch.ones(1)
    labels = features.encode(one * azimuth, one * elevation, torch.ones(1, 3), one * told, one)
    return features.maps_of(torch.cat([labels, torch.randn(1, 5)], dim=1), side)


@given(ANGLES, TILTS, st.integers(1, 5), st.integers(1, 3), st.sampled_from([1.0, 3.0]))
def test_points_lie_where_the_camera_says(azimuth, elevation, waves, tilts, gain):
    maps = maps_of(ViewFeatures(waves, tilts, gain, True), azimuth, elevation, 1.0)[0].double()
    turned = orbit([azimuth], [elevation]).c2w[0, :3, :3].double()
    place = torch.stack([maps[0], maps[1], torch.zeros_like(maps[0])])
    points = torch.einsum("ij,jhw->ihw", turned, place)
    assert torch.allclose(maps[2:5], points, atol=1e-4)
    assert torch.allclose(maps[5:8], (torch.pi * points).sin(), atol=1e-3)
    assert torch.allclose(maps[8:11], (torch.pi * points).cos(), atol=1e-3)
    assert torch.allclose(maps[11:], turned[:, 2, None, None].expand(3, 8, 8), atol=1e-4)


@given(ANGLES, TILTS)
def test_an_untold_camera_leaves_only_the_place_in_the_picture(azimuth, elevation):
    features = ViewFeatures(4, 2, 3.0, True)
    untold, other = maps_of(features, azimuth, elevation, 0.0), maps_of(features, azimuth + 90.0, 0.0, 1.0)
    assert untold.shape == (1, CHANNELS, 8, 8)
    assert float(untold[:, 2:].abs().max()) == 0.0
    assert torch.equal(untold[:, :2], other[:, :2])


def test_opposite_cameras_are_told_apart_at_every_pixel_but_the_axis():
    """What a channel-wise embedding cannot say: the same pixel looks at the other side of the object."""
    features = ViewFeatures(4, 2, 3.0, True)
    front, back = maps_of(features, 0.0, 0.0, 1.0), maps_of(features, 180.0, 0.0, 1.0)
    assert torch.allclose(front[:, 2], -back[:, 2], atol=1e-5), "left in front is right behind"
    assert torch.allclose(front[:, 3], back[:, 3], atol=1e-5), "up stays up"


def test_a_model_without_maps_gets_none():
    assert maps_of(ViewFeatures(), 30.0, 10.0, 1.0).shape == (1, 0, 8, 8)
    assert ViewFeatures.of({}, Path()).map_channels == 0
