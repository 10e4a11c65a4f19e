"""An image in tiles of 16 x 16 pixels, and sorted lists of what lies in each; the kernels are in `compositing`."""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from .runtime import launch

TILE = 16


def tile_threads(views: int, size: tuple[int, int]) -> int:
    """One a pixel of every tile."""
    return views * -(-size[0] // TILE) * -(-size[1] // TILE) * TILE * TILE


def read(numbers: Tensor) -> list[int]:
    """The one wait for the device in a call."""
    return numbers.tolist()


def tile_lists(
    place: Float32[Tensor, "b n 4"],
    tiles: Int32[Tensor, "b n 4"],
    counts: Int32[Tensor, "b n"],
    total: int,
    size: tuple[int, int],
) -> tuple[Int32[Tensor, " t"], Int32[Tensor, " e"]]:
    """(starts, gaussians): the Gaussians of every tile of every camera, nearest first, equal depths by index.

    The sort is stable and entries are made in order of the index, so the order has no chance in it.

    Args:
        place: the depth, positive, is its fourth number. tiles: left, top, right, bottom of each one's box in tiles.
        counts: tiles of each box. total: their sum.
    """
    from .compositing import list_tiles

    views, device = len(counts), counts.device
    per_row, per_column = -(-size[1] // TILE), -(-size[0] // TILE)
    per_image = per_row * per_column
    ends = counts.flatten().cumsum(0).reshape(counts.shape)
    keys = torch.empty(total, dtype=torch.int64, device=device)
    gaussians = torch.empty(total, dtype=torch.int32, device=device)
    launch(list_tiles, counts.numel(), place, tiles, counts, ends, per_row, per_image, keys, gaussians)
    keys, permutation = torch.sort(keys, stable=True)
    edges = torch.arange(views * per_image + 1, device=device) << 32
    return torch.searchsorted(keys, edges).int(), gaussians[permutation]
