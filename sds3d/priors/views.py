"""Words for the side that a camera sees, for priors that are told in the prompt."""

from __future__ import annotations

from ..core.cameras import Cameras

VIEW_WORDS = ("front view", "side view", "back view", "overhead view")


def view_index(cameras: Cameras, overhead_deg: float = 55.0, front_deg: float = 45.0) -> list[int]:
    """Index into VIEW_WORDS for each camera.

    Args:
        overhead_deg: elevation above which a view is overhead.
        front_deg: half width in azimuth of "front view" and of "back view".
    """
    angles = zip(cameras.azimuth_deg.tolist(), cameras.elevation_deg.tolist(), strict=True)
    return [side_seen(azimuth, elevation, overhead_deg, front_deg) for azimuth, elevation in angles]


def side_seen(
    azimuth_deg: float, elevation_deg: float, overhead_deg: float = 55.0, front_deg: float = 45.0
) -> int:
    """Index into VIEW_WORDS for one direction; arguments as in `view_index`."""
    if elevation_deg > overhead_deg:
        return 3
    off_front = abs((azimuth_deg + 180.0) % 360.0 - 180.0)
    return 0 if off_front < front_deg else 2 if off_front > 180.0 - front_deg else 1
