"""Options of splats that are edited."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions


class Options(RepresentationOptions):
    """The Gaussians of a splat file, edited where they lie: as many as there are, each where it may change."""

    forms: ClassVar[frozenset[str]] = frozenset({"splats"})
    kernels: ClassVar[tuple[str, ...]] = ("native", "gsplat", "warp")

    kind: Literal["edited_splats"] = "edited_splats"
    """Name of the representation."""
    rasterizer: Literal["auto", "native", "warp", "gsplat", "twin"] = "auto"
    """Kernels that draw, as for gaussians."""
    lr_means: Scalar = schedules.Schedule("exponential", (3e-3, 3e-4))
    """Learning rate of the positions, world units: the file's own are scaled."""
    lr_scales: Scalar = schedules.constant(0.01)
    """Learning rate of the log scales."""
    lr_rotations: Scalar = schedules.constant(0.005)
    """Learning rate of the quaternions."""
    lr_opacities: Scalar = schedules.constant(0.03)
    """Learning rate of the opacities' logits."""
    lr_colors: Scalar = schedules.Schedule("linear", (0.04, 0.01))
    """Learning rate of the harmonics of degree 0."""
    lr_harmonics: Scalar = schedules.Schedule("linear", (2e-3, 5e-4))
    """Learning rate of the higher harmonics."""
    smoothness: Scalar = schedules.constant(0.2)
    """Weight of the differences between the changes of neighbouring splats' base colours, half of their squares below
    `edge`, `edge` times them above, summed over five neighbours each."""
    edge: float = Field(0.05, gt=0.0)
    """Difference of changes, sRGB, above which it is an edge, which stays."""
    anchor_means: Scalar = schedules.constant(1.0)
    """Weight of half the squared distances of the centres from where they were, world units, summed."""
    anchor_scales: Scalar = schedules.constant(0.01)
    """Weight of half the squared differences of the log scales and of the opacities' logits from the file's, summed."""
    anchor_colors: Scalar = schedules.constant(0.0)
    """Weight of half the squared differences of the colours from the file's, sRGB, summed."""
