"""Pixel-space priors: z is the picture itself, in [-1, 1]."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def encode_pixels(media: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c hh ww"]:
    """2 x - 1, resized to `size` = (height, width) where it differs: area average when shrinking, else bilinear.

    Differentiable.
    """
    if tuple(media.shape[-2:]) != size:
        shrink = media.shape[-2] >= size[0] and media.shape[-1] >= size[1]
        mode = {"mode": "area"} if shrink else {"mode": "bilinear", "align_corners": False}
        media = torch.nn.functional.interpolate(media, size=size, **mode)
    return 2.0 * media - 1.0


def decode_pixels(z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """(z + 1) / 2, clamped to [0, 1]; no gradient."""
    return ((z.detach() + 1.0) / 2.0).clamp(0.0, 1.0)
