"""Options of meshes that are edited."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions


class Options(RepresentationOptions):
    """A mesh file, edited where it lies: texels of its pictures or colours of its vertices, and where these are."""

    kernels: ClassVar[tuple[str, ...]] = ("native", "warp", "nvdiffrast")

    kind: Literal["edited_mesh"] = "edited_mesh"
    """Name of the representation."""
    shading: Literal["auto", "unlit", "pbr"] = "auto"
    """pbr: lit by the embedded prior's studio; unlit: colours are the picture. auto: as the file's materials say."""
    mip_levels: int = Field(4, ge=1, le=12)
    """Sizes of each texture that a view chooses from, each half of the one before; 1 switches mip-mapping off."""
    samples: int = Field(2, ge=1, le=8)
    """Samples per pixel and axis."""
    rasterizer: Literal["auto", "native", "warp", "nvdiffrast", "twin"] = "auto"
    """Kernels that draw, as for mesh."""
    max_offset: float = Field(0.4, gt=0.0)
    """How far each vertex may move from its place, in world units, where the shape may change."""
    lr: Scalar = schedules.Schedule("linear", (0.03, 0.006), warmup=0.05)
    """Learning rate of Adam for texels and vertex colours, sRGB in [0, 1]."""
    lr_offsets: Scalar = schedules.Schedule("linear", (4e-3, 8e-4), warmup=0.05)
    """Learning rate of Adam for the vertices' offsets, world units."""
    smoothness: Scalar = schedules.constant(0.5)
    """Weight of the differences between the changes of neighbouring texels or vertices, half of their squares below
    `edge`, `edge` times them above, summed."""
    edge: float = Field(0.01, gt=0.0)
    """Difference of changes, sRGB, above which it is an edge, which stays."""
    laplacian: Scalar = schedules.constant(100.0)
    """Weight of the squared Laplacian of the offsets, summed: keeps their differences small, not the offsets."""
    anchor_offsets: Scalar = schedules.constant(0.5)
    """Weight of half the squared offsets of the vertices, world units, summed."""
    anchor_colors: Scalar = schedules.constant(0.0)
    """Weight of half the squared changes of texels and vertex colours, sRGB, summed."""
