"""The rule by which pictures change their size; encoders of latent models have that of their papers (priors.latent)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def resize(media: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c hh ww"]:
    """To `size` = (height, width) where it differs: area average when shrinking, else bilinear. Differentiable."""
    if tuple(media.shape[-2:]) == tuple(size):
        return media
    if media.shape[-2] >= size[0] and media.shape[-1] >= size[1]:
        return torch.nn.functional.interpolate(media, size=size, mode="area")
    return torch.nn.functional.interpolate(media, size=size, mode="bilinear", align_corners=False)
