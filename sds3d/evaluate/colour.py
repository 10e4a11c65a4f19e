"""How colourful pictures of an object are, and how many of its pixels have run into the end of the scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_RAIL = 1.0 / 255.0
_AWAY = 0.1


@dataclass(frozen=True)
class Colour:
    """Means over the pixels of the object.

    Args:
        saturation: of HSV, (max - min) / max, in [0, 1]; 0 for grays and black.
        clipped: share of pixels with a channel at an end of the scale, within one step of 8 bits.
        outside: share of pixels with a channel beyond it, where the picture was not clamped.
        pixels: how many there were.
    """

    saturation: float
    clipped: float
    outside: float
    pixels: int


def colour(rgb: Float[Tensor, "b 3 h w"], inside: Bool[Tensor, "b 1 h w"]) -> Colour:
    """The colour of the pixels of a mask; all zero where it is empty.

    Args:
        rgb: pictures, [0, 1] being the scale.
    """
    found = rgb.permute(0, 2, 3, 1)[inside[:, 0]].double()
    if len(found) == 0:
        return Colour(0.0, 0.0, 0.0, 0)
    shown = found.clamp(0.0, 1.0)
    most, least = shown.amax(1), shown.amin(1)
    saturation = torch.where(most > 0.0, (most - least) / most.clamp_min(1e-12), 0.0)
    clipped = ((found <= _RAIL) | (found >= 1.0 - _RAIL)).any(1)
    outside = ((found < 0.0) | (found > 1.0)).any(1)
    mean, rails, beyond = (float(v.double().mean()) for v in (saturation, clipped, outside))
    return Colour(mean, rails, beyond, len(found))


def foreground(rgb: Float[Tensor, "b 3 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """Where a picture without alpha differs from its border's median colour, by more than 0.1 in some channel."""
    border = torch.cat([rgb[..., 0, :], rgb[..., -1, :], rgb[..., :, 0], rgb[..., :, -1]], dim=-1)
    usual = border.median(dim=-1).values[:, :, None, None]
    return (rgb - usual).abs().amax(1, keepdim=True) > _AWAY
