"""Random volumes and rays, and the implementations to compare, for the tests of the grid kernels."""

from __future__ import annotations

import pytest
import torch
from raster_cases import native_levels as native_levels
from raster_cases import select
from sds3d.representations.raster import march_native
from torch import Tensor

HALF = 0.85


def use(patch: pytest.MonkeyPatch, name: str) -> str:
    """Select an entry of `implementations`; returns the value for the argument `implementation`."""
    return select(patch, march_native, name)


def random_volume(seed: int, resolution: int, density: float = 8.0, dtype=torch.float32) -> Tensor:
    """Densities of that scale with empty places among them, colours in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    volume = torch.rand(resolution, resolution, resolution, 4, generator=generator, dtype=dtype)
    volume[..., 0] = density * (volume[..., 0] - 0.4).clamp_min(0)
    return volume


def random_rays(seed: int, count: int, dtype=torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Origins outside and inside the ball, directions towards it, past it, and along the axes; offsets."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator, dtype=dtype)
    distance = 0.2 + 2.5 * torch.rand(count, 1, generator=generator, dtype=dtype)
    origins = torch.nn.functional.normalize(origins, dim=-1) * distance
    target = 0.6 * torch.randn(count, 3, generator=generator, dtype=dtype)
    directions = torch.nn.functional.normalize(target - origins, dim=-1)
    for axis in range(min(3, count)):
        origins[axis], directions[axis] = 0.0, 0.0
        origins[axis, axis], directions[axis, axis] = 2.0, -1.0
    return origins, directions, torch.rand(count, generator=generator, dtype=dtype)
