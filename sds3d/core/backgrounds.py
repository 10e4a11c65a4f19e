"""Background colours of training views."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .streams import Streams


def random_backgrounds(
    streams: Streams, step: int, ids: list[int], white_share: float
) -> Float[Tensor, "b 3"]:
    """White with probability `white_share`, else a uniform RGB colour; keyed by view id.

    Random colours are what stops a field from painting fog in the colour of the background.

    Returns:
        (B, 3) float32 in [0, 1].
    """
    u = streams.uniform((4,), "background", step=step, ids=ids).float()
    # u is above 0, but may have been rounded to 1: a share of 0 makes none white, one of 1 all
    return torch.where(u[:, :1] <= white_share, torch.ones(3), u[:, 1:])
