"""How well two objects' outlines agree."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def mask(alpha: Float[Tensor, "b 1 h w"], threshold: float = 0.5) -> Bool[Tensor, "b 1 h w"]:
    """Where alpha is above the threshold."""
    return alpha > threshold


def silhouette_iou(
    first: Float[Tensor, "b 1 h w"], second: Float[Tensor, "b 1 h w"], threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Intersection over union of two silhouettes, view by view.

    Args:
        first, second: alpha in [0, 1] of the same cameras. threshold: what counts as inside is above it.

    Returns:
        (B,) in [0, 1]; 1 where both views are empty.
    """
    a, b = mask(first, threshold), mask(second, threshold)
    union = (a | b).flatten(1).sum(1)
    both = (a & b).flatten(1).sum(1)
    return torch.where(union > 0, both / union.clamp_min(1), torch.ones(len(union)))


def dilate(inside: Bool[Tensor, "b 1 h w"], pixels: int) -> Bool[Tensor, "b 1 h w"]:
    """The mask grown by a square of side 2 · pixels + 1."""
    grown = torch.nn.functional.max_pool2d(inside.float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown > 0.5
