"""The fixed views that results are judged from, and rendering a representation there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import Cameras, orbit, turntable
from ..core.look import Look, Render


def outline_cameras() -> Cameras:
    """Eight views at elevation 15°, every 45° of azimuth: for silhouettes."""
    return turntable(8, elevation_deg=15.0)


def judge_cameras() -> Cameras:
    """Sixteen views, eight each at elevations 15° and 45°: for R-precision."""
    azimuths = [45.0 * k for k in range(8)]
    return orbit(azimuths * 2, [15.0] * 8 + [45.0] * 8)


def unseen_cameras(count: int = 16) -> Cameras:
    """Views spread over the sphere between elevations -10° and 60° by the golden angle: for PSNR.

    They fall on none of the regular steps of a training or turntable camera.
    """
    golden = 180.0 * (3.0 - 5.0**0.5)
    low, high = torch.sin(torch.deg2rad(torch.tensor([-10.0, 60.0], dtype=torch.float64))).tolist()
    heights = [low + (high - low) * (k + 0.5) / count for k in range(count)]
    elevations = torch.rad2deg(torch.asin(torch.tensor(heights, dtype=torch.float64)))
    return orbit([(9.0 + golden * k) % 360.0 for k in range(count)], elevations)


@torch.no_grad()
def render_views(
    render: Callable[[Look], Render],
    cameras: Cameras,
    size: tuple[int, int],
    background: Sequence[float] | Float[Tensor, " 3"] = (1.0, 1.0, 1.0),
    want: frozenset[str] = frozenset({"rgb", "alpha"}),
    batch: int = 8,
) -> dict[str, Tensor]:
    """Render many views a few at a time, without gradients.

    Args:
        render: such as a representation's `render`. size: (height, width). background: one RGB in [0, 1] for all.
        batch: views at once.

    Returns:
        the outputs named in `want`, each (B, …) over all cameras.
    """
    colour = torch.as_tensor(background, dtype=torch.float32)
    parts = []
    for start in range(0, len(cameras), batch):
        some = cameras[start : start + batch]
        look = Look(some, size, colour.expand(len(some), 3), want=want)
        out = render(look)
        parts.append({name: out[name] for name in want})
    return {name: torch.cat([part[name] for part in parts]) for name in want}
