"""The hash grid of tiny-cuda-nn (BSD-3, github.com/NVlabs/tiny-cuda-nn), where its torch binding is installed.

Its tables hold the same rows in the same order (hash_grid_layout), so that a field moves between implementations.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from .compiled import obstacle
from .dispatch import RasterError
from .hash_grid_layout import HashGrid

INSTALL = "pip install --no-build-isolation 'git+https://github.com/NVlabs/tiny-cuda-nn#subdirectory=bindings/torch'"

BELOW = 1 - 2e-7
"""The growth that is told is a little smaller: where a resolution is whole, rounding could give one point more."""


@cache
def installed() -> str:
    """Why tiny-cuda-nn cannot be used; "" where it can."""
    return obstacle("tiny-cuda-nn", "tinycudann", "tinycudann", INSTALL)


def tcnn_status(device: torch.device) -> str:
    """Why tiny-cuda-nn cannot encode on that device; "" where it can."""
    if device.type != "cuda":
        return f"tiny-cuda-nn runs on CUDA devices, not on '{device.type}'"
    return installed()


def config_of(grid: HashGrid) -> dict[str, Any]:
    """The encoding in tiny-cuda-nn's terms (its DOCUMENTATION.md, "Grid")."""
    return {
        "otype": "Grid",
        "type": "Hash",
        "n_levels": grid.levels,
        "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_size,
        "base_resolution": grid.base,
        "per_level_scale": grid.growth * BELOW if grid.growth > 1 else 1.0,
        "interpolation": "Linear",
    }


@cache
def _encoding(grid: HashGrid, device: torch.device) -> torch.nn.Module:
    """The module of a grid; its own parameters are never used."""
    import tinycudann

    with torch.device(device):
        return tinycudann.Encoding(3, config_of(grid), dtype=torch.float32).requires_grad_(False)


def encode(points: Tensor, table: Tensor, grid: HashGrid, active: int) -> Tensor:
    """See hash_grid_twin.encode; float32 on a CUDA device.

    Raises:
        RasterError: tiny-cuda-nn lays this grid out in another way.
    """
    module = _encoding(grid, points.device)
    own = sum(p.numel() for p in module.parameters())
    if own != table.numel():
        raise RasterError(
            f"encode: tiny-cuda-nn has {own} parameters for this grid, the table {table.numel()}: resolutions round "
            "differently there; choose another finest, or ask for implementation='warp'"
        )
    out = torch.func.functional_call(module, {"params": table.reshape(-1)}, (points,))
    if active == grid.levels:
        return out
    shown = torch.arange(grid.width, device=out.device) < active * grid.features
    return torch.where(shown, out, torch.zeros_like(out))
