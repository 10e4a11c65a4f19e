"""Values of tiny-cuda-nn's grid encodings, after its published source (encodings/grid.h, common_device.h).

Not written from the project's own hash grid: an adapter that lays tables out otherwise is found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import torch
from torch import Tensor

PRIMES = (1, 2654435761, 805459861, 3674653429)
DEFAULTS = {
    "n_levels": 16,
    "n_features_per_level": 2,
    "log2_hashmap_size": 19,
    "base_resolution": 16,
    "per_level_scale": 2.0,
}


class Grid:
    """A multi-level grid of points in [0, 1]^dims; `params` numbers, a row's features beside each other."""

    def __init__(self, dims: int, config: Mapping) -> None:
        given = {name: config.get(name, usual) for name, usual in DEFAULTS.items()}
        self.dims, self.levels, self.features = dims, given["n_levels"], given["n_features_per_level"]
        if dims not in (2, 3, 4):
            raise RuntimeError(f"GridEncoding: number of input dims must be 2, 3 or 4, not {dims}")
        if self.features not in (1, 2, 4, 8):
            raise RuntimeError(
                f"GridEncoding: n_features_per_level must be 1, 2, 4, or 8, not {self.features}"
            )
        dense = config["otype"] == "DenseGrid" or config.get("type", "").lower() == "dense"
        growth = np.log2(np.float32(given["per_level_scale"]))
        steps = [np.exp2(np.float32(level) * growth) for level in range(self.levels)]
        self.scales = [np.float32(s * np.float32(given["base_resolution"]) - np.float32(1)) for s in steps]
        self.sides = [int(np.ceil(scale)) + 1 for scale in self.scales]
        whole = [-(-(side**dims) // 8) * 8 for side in self.sides]
        self.rows = [n if dense else min(n, 1 << given["log2_hashmap_size"]) for n in whole]
        self.starts = np.cumsum([0, *self.rows]).tolist()
        self.width, self.params = self.levels * self.features, self.starts[-1] * self.features

    def __call__(self, x: Tensor, params: Tensor) -> Tensor:
        """(N, width) for points (N, dims) and a flat table."""
        table = params.reshape(-1, self.features)
        return torch.cat([self._level(level, x, table) for level in range(self.levels)], 1)

    def _level(self, level: int, x: Tensor, table: Tensor) -> Tensor:
        place = x * float(self.scales[level]) + 0.5
        cell = place.detach().floor()
        part = place - cell
        out = 0.0
        for corner in product((0, 1), repeat=self.dims):
            at, weight = [], 1.0
            for axis, upper in enumerate(corner):
                at.append(cell[:, axis].long() + upper)
                weight = weight * (part[:, axis] if upper else 1 - part[:, axis])
            out = out + weight[:, None] * table[self._row(level, at)]
        return out

    def _row(self, level: int, at: list[Tensor]) -> Tensor:
        side, rows = self.sides[level], self.rows[level]
        if side**self.dims <= rows:
            index = sum(coordinate * side**axis for axis, coordinate in enumerate(at))
        else:
            index = torch.zeros_like(at[0])
            for coordinate, prime in zip(at, PRIMES, strict=False):
                index = index ^ ((coordinate * prime) & 0xFFFFFFFF)
        return self.starts[level] + index % rows
