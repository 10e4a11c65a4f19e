"""Options of the neural radiance field."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sds3d.config.options import Options as Base
from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions
from ..hash_network import HashGridOptions


class EncodingOptions(HashGridOptions):
    """The multi-resolution hash grid (Müller et al. 2022): what the network is told of a place."""

    finest: int = Field(48, ge=2, le=4096)
    """Points along an edge of the finest level. 48 suits pictures of 64 pixels; larger ones want more."""
    grow_until: float = Field(0.3, ge=0.0, le=1.0)
    """Share of the run over which the levels are switched on one after another, coarse to fine; 0 = all at once."""
    start: int = Field(4, ge=1, le=32)
    """Levels that are on from the first step."""


class OccupancyOptions(Base):
    """Which cells of the cube are marched through; what lies in the others costs nothing and does not learn."""

    resolution: int = Field(32, ge=1, le=512)
    """Cells along an edge."""
    every: int = Field(8, ge=1)
    """Steps between two updates."""
    warmup: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the run in which every cell is marched through."""
    decay: float = Field(0.9, gt=0.0, le=1.0)
    """A cell's density is the largest of those that were met, which fade by this factor an update."""
    threshold: float = Field(3e-3, ge=0.0, lt=1.0)
    """Cells are empty where one training interval of their density absorbs less than this."""


class BackgroundOptions(Base):
    """What lies behind the object."""

    kind: Literal["none", "solid", "network"] = "none"
    """none: each view's own background; solid: one learned colour; network: a learned colour by direction. Learned
    ones are for priors that are told no background."""
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Initial colour, RGB in (0, 1)."""
    hidden: int = Field(16, ge=1, le=128)
    """Width of the network's hidden layer."""
    frequencies: int = Field(2, ge=0, le=8)
    """Octaves of sines and cosines of the direction that it is told."""
    lr: Scalar = schedules.constant(1e-3)
    """Learning rate of Adam."""


class Options(RepresentationOptions):
    """A radiance field of a hash grid and a small network: sharper than `grid` at the same memory."""

    starts_from: ClassVar[tuple[str, ...]] = ("nerf", "grid", "mesh", "splats", "points")

    kind: Literal["nerf"] = "nerf"
    """Name of the representation."""
    encoding: EncodingOptions = Field(default_factory=EncodingOptions)
    """The hash grid."""
    hidden: int = Field(32, ge=1, le=256)
    """Width of the network's hidden layers."""
    hidden_layers: int = Field(1, ge=1, le=4)
    """Their number."""
    half_extent: float = Field(0.85, gt=0.0)
    """Radius of the ball that is marched, half the edge of the hash grid's cube, in world units."""
    empty_margin: float = Field(0.05, ge=0.0)
    """Width of the shell inside that ball which stays empty, in world units."""
    samples: int = Field(48, ge=1, le=4096)
    """Samples along a diameter of the ball in training."""
    picture_samples: int = Field(96, ge=1, le=4096)
    """The same for renders without gradients (previews, turntables, metrics)."""
    stop: float = Field(1e-3, ge=0.0, lt=1.0)
    """Transmittance below which a ray ends."""
    rasterizer: Literal["auto", "native", "warp", "twin"] = "auto"
    """Kernels that draw: auto takes the fastest of the device; native: C++ on the CPU; warp: NVIDIA Warp, what a GPU
    gets, on the CPU too; twin: plain PyTorch, slow."""
    occupancy: OccupancyOptions = Field(default_factory=OccupancyOptions)
    """Where the field is asked."""
    background: BackgroundOptions = Field(default_factory=BackgroundOptions)
    """What is seen past the object."""
    density_gain: float = Field(20.0, gt=0.0)
    """Extinction per world unit where softplus(raw + blob) is 1."""
    color_gain: float = Field(1.5, gt=0.0)
    """Slope of the colour's sigmoid."""
    blob_bias: float = -4.5
    """Raw density at blob_radius from the centre, before training."""
    blob_slope: float = 10.0
    """How fast the raw density falls with the distance from the centre, per world unit."""
    blob_radius: float = Field(0.5, ge=0.0)
    """Where the initial blob has blob_bias; its slope holds from the centre to 0.6 beyond the radius."""
    normals: Literal["analytic", "finite_difference"] = "analytic"
    """How normals are taken: from the encoding's slopes, or from six more places."""
    normal_step: float = Field(0.01, gt=0.0)
    """Distance of those places, world units."""
    lr_table: Scalar = schedules.Schedule("linear", (0.02, 0.004), warmup=0.05)
    """Learning rate of Adam for the hash grid."""
    lr_network: Scalar = schedules.Schedule("linear", (0.005, 0.001), warmup=0.05)
    """The same for the network."""
    opacity: Scalar = schedules.constant(0.03)
    """Weight of sqrt(alpha) summed over the pixels of a view: drives haze to zero."""
    entropy: Scalar = schedules.Schedule("linear", (0.0, 0.02))
    """Weight of the binary entropy of alpha summed over the pixels of a view: drives pixels to full or empty."""
    orientation: Scalar = schedules.constant(0.0)
    """Weight of seen normals that point away from the camera: against surfaces with an inside-out shell."""
    distortion: Scalar = schedules.constant(0.0)
    """Weight of the spread of a ray's weights: against floaters and half-transparent layers."""
    z_variance: Scalar = schedules.constant(2.0)
    """Weight of the variance of depth along rays: crisp surfaces."""
