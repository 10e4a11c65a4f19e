"""What fields of a hash grid and a small network share: the grid's options, and the values that both start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from sds3d.config.options import Options
from sds3d.core.streams import Streams

from .raster.hash_grid_layout import HashGrid

LAST = 0.1
"""Share of its usual spread that the last layer starts with: the field says next to nothing yet."""


class HashGridOptions(Options):
    """The shape of a multi-resolution hash grid (Müller et al. 2022)."""

    levels: int = Field(8, ge=1, le=32)
    """Resolutions, growing geometrically from base to finest."""
    features: Literal[1, 2, 4, 8] = 2
    """Numbers a level."""
    log2_size: int = Field(15, ge=3, le=24)
    """A level has at most 2 to this power rows; finer levels share them by a hash."""
    base: int = Field(8, ge=2, le=4096)
    """Points along an edge of the coarsest level."""
    finest: int = Field(64, ge=2, le=4096)
    """Points along an edge of the finest level."""
    initial_noise: float = Field(1e-2, ge=0.0)
    """Half-width of the even distribution that the rows start from."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.finest < self.base:
            raise ValueError(f"finest must be at least base ({self.base}), got {self.finest}")
        return self

    def grid(self) -> HashGrid:
        """Its shape."""
        return HashGrid(self.levels, self.features, self.log2_size, self.base, self.finest)


def initial_table(options: HashGridOptions, streams: Streams, tag: str) -> Float[Tensor, "r f"]:
    """(R, F) float32 rows, even in ± initial_noise; `tag` names the random stream."""
    grid = options.grid()
    rows = 2 * streams.uniform((grid.rows, grid.features), tag)[0] - 1
    return (options.initial_noise * rows).float()


def initial_layers(widths: Sequence[int], streams: Streams, tag: str) -> tuple[list[Tensor], list[Tensor]]:
    """Weights (B, A) after He et al. (2015), the last ones times `LAST`, and biases (B,) of 0.

    Args:
        widths: numbers before, between and behind the layers. tag: of the random stream.
    """
    weights, biases = [], []
    for k, (a, b) in enumerate(pairwise(widths)):
        spread = math.sqrt(2 / a) * (LAST if k + 2 == len(widths) else 1.0)
        weights.append(spread * streams.normal((b, a), tag, k)[0])
        biases.append(torch.zeros(b))
    return weights, biases
