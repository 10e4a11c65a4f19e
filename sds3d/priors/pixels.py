"""Pixel-space priors: z is the picture itself, in [-1, 1]."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..core.resize import resize


def encode_pixels(media: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c hh ww"]:
    """2 x - 1, resized to `size` = (height, width) where it differs (see core.resize). Differentiable."""
    return 2.0 * resize(media, size) - 1.0


def decode_pixels(z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """(z + 1) / 2, clamped to [0, 1]; no gradient."""
    return ((z.detach() + 1.0) / 2.0).clamp(0.0, 1.0)
