"""Whether neighbouring views of an object show the same thing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .retrieval import ImageText


@torch.no_grad()
def view_consistency(model: ImageText, rgb: Float[Tensor, "n 3 h w"]) -> float:
    """Mean cosine of the embeddings of neighbouring views on a closed ring; 1 where all look alike.

    A proxy: a judge's notion of likeness. An object with a front and a back has neighbours that differ, so that it
    is to be compared at equal cameras, or with that of the true object, and not with 1.

    Args:
        rgb: views in [0, 1] at equal steps of azimuth, once around.

    Raises:
        ValueError: fewer than two views.
    """
    if len(rgb) < 2:
        raise ValueError(f"neighbouring views need at least two, got {len(rgb)}")
    vectors = torch.nn.functional.normalize(model.embed_images(rgb).double(), dim=-1)
    return float((vectors * vectors.roll(-1, 0)).sum(1).mean())
