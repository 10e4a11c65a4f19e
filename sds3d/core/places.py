"""A fixed set of cameras: views that come again, as those of a capture or of a ring around an object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .cameras import Cameras, orbit
from .errors import ConfigError
from .streams import Streams

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, eq=False)
class FixedSampler:
    """Views out of a fixed set of cameras; the order is drawn anew whenever all have been seen.

    The id of a view is its place in the set: what a guidance remembers of a view, it finds again under that number.

    Args:
        cameras: the set; their own ids and groups do not matter.
    """

    cameras: Cameras

    def sample(self, streams: Streams, step: int, views: int) -> Cameras:
        """`views` different cameras of the set: a pure function of (seed, step).

        Raises:
            ConfigError: there are fewer.
        """
        count = len(self.cameras)
        if views > count:
            raise ConfigError(
                f"a step wants {views} views, but there are {count} fixed places.",
                key="cameras.places",
                hint="Set it to more, or optimize.views to fewer.",
            )
        steps = -(-count // views)
        order = streams.uniform((count,), "camera-order", step=step // steps)[0].argsort()
        # the last step of a round takes from its beginning what is missing
        places = order.roll(-(step % steps) * views)[:views]
        return replace(self.cameras[places], ids=places, group=torch.zeros_like(places))


@dataclass(frozen=True)
class RingSampler:
    """The places of a `ring`; see FixedSampler.

    Args:
        count: of places. The others: (low, high) ranges as in OrbitSampler.
    """

    count: int
    azimuth_deg: tuple[float, float]
    elevation_deg: tuple[float, float]
    distance: tuple[float, float]
    fov_y_deg: tuple[float, float]

    def sample(self, streams: Streams, step: int, views: int) -> Cameras:
        """See FixedSampler."""
        places = ring(self.count, self.azimuth_deg, self.elevation_deg, self.distance, self.fov_y_deg)
        return FixedSampler(places).sample(streams, step, views)


def ring(
    count: int,
    azimuth_deg: tuple[float, float],
    elevation_deg: tuple[float, float],
    distance: tuple[float, float],
    fov_y_deg: tuple[float, float],
) -> Cameras:
    """`count` cameras at equal steps of azimuth, which fill the other ranges evenly; degrees and world units."""
    k = torch.arange(count, dtype=torch.float64)

    def filled(limits: tuple[float, float], turns: float) -> torch.Tensor:
        return limits[0] + (limits[1] - limits[0]) * torch.remainder(0.5 + k * turns, 1.0)

    low, high = azimuth_deg
    azimuth = low + (high - low) * (k + 0.5) / count
    spread = (filled(elevation_deg, _GOLDEN), filled(distance, _GOLDEN**2), filled(fov_y_deg, _GOLDEN**3))
    return orbit(azimuth, *spread)
