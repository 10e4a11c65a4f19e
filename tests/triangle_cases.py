"""Random triangles and the implementations to compare, for the tests of the triangle functions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from raster_cases import native_levels, select, warp_kernels
from sds3d.representations.raster import triangles_native
from torch import Tensor

from sds3d.core.cameras import Cameras, orbit


def use(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """Select an entry of `implementations`; returns the value for the argument `implementation`."""
    return select(monkeypatch, triangles_native, name)


def best_kernels() -> list:
    """The native kernels as this processor runs them, and Warp's on the CPU."""
    return [*native_levels()[-1:], *warp_kernels()]


def soup(seed: int, count: int, spread: float = 0.5, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """Triangles between shared random vertices, (V, 3) and (F, 3); some reach behind the camera when the
    spread is large, some have no area."""
    generator = torch.Generator().manual_seed(seed)
    vertices = spread * torch.randn(2 * count + 3, 3, generator=generator, dtype=dtype)
    return vertices, torch.randint(0, len(vertices), (count, 3), generator=generator)


def views(seed: int, count: int = 2) -> Cameras:
    """Cameras all round."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(2, count, generator=generator)
    return orbit(360 * angle[0], 160 * angle[1] - 80)


def agree(value: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Equal up to `tolerance` of the largest element."""
    torch.testing.assert_close(value, wanted, rtol=0, atol=tolerance * max(1e-9, float(wanted.abs().max())))


def ahead(fov_y_deg: float = 90.0) -> Cameras:
    """One camera at the origin that looks down -Z."""
    return replace(orbit([0.0], 0.0, 1.0, fov_y_deg), c2w=torch.eye(4)[None])
