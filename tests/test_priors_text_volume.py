"""The volume that a text makes: seen where the cameras of the house see it, absent where no camera is told."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_cases import drawn

from sds3d.core.cameras import orbit
from sds3d.priors.pixel_unet import ViewFeatures
from sds3d.priors.text_volume import CHANNELS, PAINTS, TextVolume, load_text_volume

ANGLES, TILTS, PLACES = st.floats(-360, 360), st.floats(-60, 80), st.floats(-0.5, 0.5)


class Blob(TextVolume):
    """A dense ball of the second paint, whatever the text."""

    def __init__(self, centre: tuple[float, float, float]):
        super().__init__(text=4, hidden=4, side=24, samples=24)
        along = torch.linspace(-self.reach, self.reach, self.side)
        z, y, x = torch.meshgrid(along, along, along, indexing="ij")
        off = torch.stack([x, y, z], -1) - torch.tensor(centre)
        self.density = 30 * (-((off.norm(dim=-1) / 0.15) ** 2)).exp()

    def volume(self, pooled):
        """See TextVolume."""
        paints = torch.zeros(len(pooled), PAINTS, *self.density.shape)
        paints[:, 1] = 1
        return self.density.expand(len(pooled), 1, -1, -1, -1), paints


def waves(degrees: float) -> torch.Tensor:
    angle = math.radians(degrees)
    return torch.tensor([[math.sin(angle), math.cos(angle)]])


@settings(max_examples=25, deadline=None)
@given(ANGLES, TILTS, PLACES, PLACES, PLACES)
def test_a_blob_is_seen_where_the_camera_sees_its_place(azimuth, elevation, x, y, z):
    side = 32
    maps = Blob((x, y, z))(torch.zeros(1, 4), waves(azimuth), waves(elevation), side)[0]
    camera = orbit([azimuth], [elevation])
    to_camera = camera.c2w[0].double().inverse()
    px, py, pz, _ = (to_camera @ torch.tensor([x, y, z, 1.0], dtype=torch.float64)).tolist()
    focal = 1 / math.tan(math.radians(22.5))
    u, v = focal * px / -pz, focal * py / -pz
    along = (torch.arange(side) + 0.5) * (2 / side) - 1
    mass = maps[0] / maps[0].sum()
    assert float((mass.sum(0) * along).sum()) == pytest.approx(u, abs=0.06)
    assert float((mass.sum(1) * -along).sum()) == pytest.approx(v, abs=0.06)
    # it is of the second paint, and nearer means more
    torch.testing.assert_close(maps[2], maps[0])
    assert float(maps[1].abs().max()) == 0.0
    nearness = float(maps[-1].sum() / maps[0].sum())
    assert nearness == pytest.approx(0.5 + (2.4 + pz) / (2 * 1.4 * 1.05), abs=0.08)


@given(st.integers(0, 2**31), ANGLES, TILTS)
def test_maps_are_shares(seed, azimuth, elevation):
    pooled = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed))
    maps = drawn(seed)(pooled, waves(azimuth).expand(3, 2), waves(elevation).expand(3, 2), 4)
    assert maps.shape == (3, CHANNELS, 4, 4)
    assert float(maps.min()) >= 0
    assert float((maps - maps[:, :1]).max()) <= 1e-6, "no paint is seen more than there is"
    assert float(maps.max()) <= 1 + 1e-6
    assert not torch.allclose(maps[0], maps[1])


def test_half_precision_comes_back(tmp_path):
    volume = drawn(3)
    volume.save(tmp_path)
    again = load_text_volume(tmp_path)
    assert again.facts == volume.facts
    pooled = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    view = waves(30.0).expand(2, 2), waves(10.0).expand(2, 2), 6
    torch.testing.assert_close(again(pooled, *view), volume(pooled, *view), atol=0.02, rtol=0.02)
    assert not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("maps", [False, True])
def test_the_network_sees_it_behind_the_view_maps_where_it_hears_of_the_camera(maps):
    volume = drawn(4)
    features = ViewFeatures(4, 2, 3.0, maps, volume)
    one, pooled = torch.ones(1), torch.randn(1, 6, generator=torch.Generator().manual_seed(0))

    def shown(told: float) -> torch.Tensor:
        labels = features.encode(one * 40.0, one * 20.0, torch.ones(1, 3), one * told, one)
        return features.maps_of(torch.cat([labels, pooled], 1), 8)

    assert shown(1.0).shape[1] == features.map_channels == CHANNELS + 14 * maps
    own = volume(pooled, waves(40.0), waves(20.0), 8)
    torch.testing.assert_close(shown(1.0)[:, -CHANNELS:], own, atol=1e-5, rtol=1e-5)
    assert float(shown(0.0)[:, -CHANNELS:].abs().max()) == 0.0
