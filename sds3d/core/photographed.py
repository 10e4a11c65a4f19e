"""Where our world lies in a capture: upright, centred on what its cameras look at, as large as they see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG, Cameras
from .frame import Frame, Vector

SEEN = DEFAULT_DISTANCE * math.tan(math.radians(DEFAULT_FOV_Y_DEG / 2))
"""Half of the height that our default camera sees at the origin, world units."""

_MARGIN = 5.0
_SHARE = 0.9
_GAP = 90.0
_SPREAD = 0.02


def common_up(c2w: Float[Tensor, "b 4 4"]) -> Float[Tensor, " 3"]:
    """(3,) float64: the direction that is up for cameras, which most people hold level.

    The one that is across to what is right in all pictures, where these point in several directions of one plane, else
    what is up in the pictures on the average; (0, 0, 0) where they contradict each other.
    """
    right, mean = c2w[:, :3, 0].double(), c2w[:, :3, 1].double().mean(0)
    if float(mean.norm()) <= 0.05:
        return torch.zeros_like(mean)
    found = torch.linalg.eigh(right.T @ right / len(right))
    least, middle, _ = found.eigenvalues.tolist()
    if middle > _SPREAD and least < 0.1 * middle:
        level = found.eigenvectors[:, 0]
        return level if float(level @ mean) > 0 else -level
    return mean


def looked_at(c2w: Float[Tensor, "b 4 4"]) -> Float[Tensor, " 3"] | None:
    """The point nearest to the optical axes of all cameras, in the sense of least squares.

    Returns:
        (3,) float64; None where there is none: the axes are parallel, or most cameras look away from it.
    """
    position, ahead = c2w[:, :3, 3].double(), -c2w[:, :3, 2].double()
    across = torch.eye(3, dtype=torch.float64) - ahead[:, :, None] * ahead[:, None, :]
    whole = across.sum(0)
    least, _, most = torch.linalg.eigvalsh(whole).tolist()
    if least < 1e-4 * most:
        return None
    point = torch.linalg.solve(whole, (across @ position[:, :, None]).sum(0))[:, 0]
    before = ((point - position) * ahead).sum(1) > 0
    return point if float(before.double().mean()) > 0.5 else None


def frame_seen(
    c2w: Float[Tensor, "b 4 4"],
    half_angle_deg: Float[Tensor, " b"],
    turn: tuple[Vector, Vector, Vector],
    centre: Float[Tensor, " 3"],
    radius: float | None = None,
) -> Frame:
    """The frame in which cameras see as much of the world as our default camera does.

    Args:
        half_angle_deg: half the angle of view of each camera's shorter side. radius: of what is to fill our world, in
            the capture's units; by default what the cameras see at the centre, half of them more and half less.

    Raises:
        ValueError: the cameras stand at the centre.
    """
    if radius is None:
        away = (c2w[:, :3, 3].double() - centre).norm(dim=1)
        radius = float((away * torch.tan(torch.deg2rad(half_angle_deg.double()))).median())
    if not radius > 0.0:
        raise ValueError("the cameras stand where they look at")
    x, y, z = centre.tolist()
    return Frame(radius / SEEN, turn, (x, y, z))


@dataclass(frozen=True)
class Coverage:
    """From where a scene was photographed: (low, high) azimuths and elevations in degrees."""

    azimuth_deg: tuple[float, float]
    elevation_deg: tuple[float, float]


def coverage(cameras: Cameras) -> Coverage:
    """The middle of the elevations, and the azimuths without their largest gap, if that is large; a little more."""
    e = cameras.elevation_deg.double().sort().values
    cut = round((1 - _SHARE) / 2 * (len(e) - 1))
    low, high = float(e[cut]) - _MARGIN, float(e[len(e) - 1 - cut]) + _MARGIN
    elevation = max(-89.0, round(low, 1)), min(89.0, round(high, 1))
    a = torch.remainder(cameras.azimuth_deg.double(), 360.0).sort().values
    gaps = torch.cat([a[1:], a[:1] + 360.0]) - a
    widest = int(gaps.argmax())
    if float(gaps[widest]) <= _GAP:
        return Coverage((-180.0, 180.0), elevation)
    start = float(a[(widest + 1) % len(a)])
    start -= 360.0 if start > 180.0 else 0.0
    end = start + 360.0 - float(gaps[widest])
    azimuth = round(max(start - _MARGIN, -360.0), 1), round(min(end + _MARGIN, 360.0), 1)
    return Coverage(azimuth, elevation)
