"""Options of the multi-resolution dense radiance field."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions as Base


class Options(Base):
    """A radiance field on dense grids that add up: coarse ones carry the shape, fine ones the detail."""

    starts_from: ClassVar[tuple[str, ...]] = ("grid", "mesh", "splats", "points")

    kind: Literal["grid"] = "grid"
    """Name of the representation."""
    resolutions: tuple[int, ...] = Field((6, 12, 24, 48), min_length=1)
    """Points along an edge of each grid, growing; the last is the resolution of the field."""
    grow_until: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the run over which the grids are switched on one after another, coarse to fine; 0 = all at once."""
    half_extent: float = Field(0.85, gt=0.0)
    """Radius of the ball that is marched, half the edge of the grids' cube, in world units."""
    empty_margin: float = Field(0.05, ge=0.0)
    """Width of the shell inside that ball which stays empty, in world units."""
    samples: int = Field(48, ge=1, le=4096)
    """Samples along a diameter of the ball in training."""
    rasterizer: Literal["auto", "native", "warp", "twin"] = "auto"
    """Kernels that draw: auto takes the fastest of the device; native: C++ on the CPU; warp: NVIDIA Warp, what a GPU
    gets, on the CPU too; twin: plain PyTorch, slow."""
    picture_samples: int = Field(96, ge=1, le=4096)
    """The same for renders without gradients (previews, turntables, metrics)."""
    stop: float = Field(1e-3, ge=0.0, lt=1.0)
    """Transmittance below which a ray ends."""
    density_gain: float = Field(20.0, gt=0.0)
    """Extinction per world unit where softplus(raw + bias) is 1."""
    color_gain: float = Field(1.5, gt=0.0)
    """Slope of the colour's sigmoid."""
    blob_bias: float = -4.5
    """Raw density at blob_radius from the centre, before training."""
    blob_slope: float = 10.0
    """How fast the raw density falls with the distance from the centre, per world unit."""
    blob_radius: float = Field(0.5, ge=0.0)
    """Where the initial blob has blob_bias; its slope holds from the centre to 0.6 beyond the radius."""
    initial_noise: float = Field(0.02, ge=0.0)
    """Standard deviation of the grids' initial values."""
    lr: Scalar = schedules.Schedule("linear", (0.04, 0.008), warmup=0.05)
    """Learning rate of Adam."""
    tv: Scalar = schedules.constant(1e-3)
    """Weight of the total variation: squared differences of neighbouring field values (density over its gain)."""
    opacity: Scalar = schedules.constant(0.03)
    """Weight of sqrt(alpha) summed over the pixels of a view: drives haze to zero."""
    entropy: Scalar = schedules.Schedule("linear", (0.0, 0.02))
    """Weight of the binary entropy of alpha summed over the pixels of a view: drives pixels to full or empty."""

    @field_validator("resolutions")
    @classmethod
    def _growing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 2 or any(b <= a for a, b in pairwise(value)):
            raise ValueError(f"resolutions must grow from at least 2, got {list(value)}")
        return value
