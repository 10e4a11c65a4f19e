"""Where in the world each pixel looks: pictures that tell a network its camera.

A camera that reaches a network through its time embedding alone scales channels, the same everywhere in the picture:
left and right are hard to tell from it, and a small network learns the light of a view but not its side. Maps say it
pixel by pixel, as ray maps do in networks for new views (Watson et al., "Novel View Synthesis with Diffusion Models",
2022, arXiv 2210.04628, section 3.2).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

CHANNELS = 14
"""Two of the picture, nine of the world, three of the direction."""


def plane_points(
    azimuth: Float[Tensor, "b 2"], elevation: Float[Tensor, "b 2"], side: int
) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b 3"], tuple[Float[Tensor, "s s"], Float[Tensor, "s s"]]]:
    """Where the pixels of orbit cameras meet the plane through the origin that faces them.

    Args:
        azimuth, elevation: sin and cos of the angles. side: pixels a side.

    Returns:
        The points, in units of half the picture's side there; the unit vectors towards the cameras; the pixels' places
        (right, up) in [-1, 1].
    """
    (sin_a, cos_a), (sin_e, cos_e) = azimuth.unbind(1), elevation.unbind(1)
    zero = torch.zeros_like(sin_a)
    right = torch.stack([cos_a, zero, -sin_a], dim=1)
    up = torch.stack([-sin_a * sin_e, cos_e, -cos_a * sin_e], dim=1)
    towards = torch.stack([sin_a * cos_e, sin_e, cos_a * cos_e], dim=1)
    along = (torch.arange(side, device=azimuth.device, dtype=azimuth.dtype) + 0.5) * (2 / side) - 1
    u, v = along.expand(side, side), -along[:, None].expand(side, side)
    return right[:, :, None, None] * u + up[:, :, None, None] * v, towards, (u, v)


def view_maps(
    azimuth: Float[Tensor, "b 2"],
    elevation: Float[Tensor, "b 2"],
    told: Float[Tensor, " b"],
    side: int,
) -> Float[Tensor, "b 14 s s"]:
    """Maps of orbit cameras that look at the origin.

    With P the point that a pixel meets on the plane through the origin that faces the camera, in units of half the
    picture's side there: the pixel's place (right, up), in [-1, 1]; P, sin(pi P), cos(pi P); the unit vector towards
    the camera, the same at every pixel. All but the first two are zero where the network is not told.

    Args:
        azimuth, elevation: sin and cos of the angles. told: 1 where the network hears of the camera, else 0.
        side: pixels a side.
    """
    points, towards, (u, v) = plane_points(azimuth, elevation, side)
    world = [points, (math.pi * points).sin(), (math.pi * points).cos()]
    maps = torch.cat([*world, towards[:, :, None, None].expand_as(points)], dim=1)
    place = torch.stack([u, v]).expand(len(told), -1, -1, -1)
    return torch.cat([place, maps * told[:, None, None, None]], dim=1)
