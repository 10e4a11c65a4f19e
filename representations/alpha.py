"""Losses on the alpha of a render: sums over the pixels of a view, mean of views, as the distillation loss itself."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def alpha_sparsity(alpha: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Σ sqrt(alpha) over pixels, mean of views: steep at 0, so that faint fog goes first."""
    return (alpha + 1e-4).sqrt().sum() / len(alpha)


def alpha_entropy(alpha: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Σ of the binary entropy of alpha over pixels, mean of views."""
    p = alpha.clamp(1e-3, 1 - 1e-3)
    return -(p * p.log() + (1 - p) * (-p).log1p()).sum() / len(alpha)
