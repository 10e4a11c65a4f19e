"""Dense grids that add up, coarse ones first, made to show something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .lattice import Lattice

SURE = 1e-3
"""How close to 0 and 1 a colour is taken when a grid is made to show it."""


def pyramid(
    wanted: Callable[[Tensor], Tensor], resolutions: Sequence[int], half: float
) -> list[Float[Tensor, "l l l c"]]:
    """Grids whose sum is a function (N, 3) -> (N, C) at the finest one's points: each is what the coarser ones lack."""
    levels: list[Tensor] = []
    for size in resolutions:
        target = wanted(Lattice(size - 1, half).points()).reshape(size, size, size, -1)
        levels.append(target - sum_at(levels, size) if levels else target)
    return levels


def sum_at(levels: Sequence[Float[Tensor, "l l l c"]], size: int) -> Float[Tensor, "r r r c"]:
    """The sum of grids at another resolution."""
    total = levels[0].new_zeros(size, size, size, levels[0].shape[-1])
    for level in levels:
        first = level.permute(3, 0, 1, 2)[None]
        total += F.interpolate(first, size=(size,) * 3, mode="trilinear", align_corners=True)[0].permute(
            1, 2, 3, 0
        )
    return total
