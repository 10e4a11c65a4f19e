"""Options of the mesh on a lattice of signed distances."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sds3d.config.options import Options as Base
from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions


class InitOptions(Base):
    """The surface before the first step."""

    shape: Literal["sphere", "box"] = "sphere"
    """A sphere or a box; a file takes the place of both."""
    file: str | None = None
    """A mesh, splat or point cloud file (glb, obj, ply …) to start from."""
    radius: float = Field(0.5, gt=0.0)
    """Radius of the sphere, world units."""
    box: tuple[float, float, float] = (0.4, 0.4, 0.4)
    """Half the edges of the box along x, y, z, world units."""
    samples: int = Field(30_000, ge=100, le=5_000_000)
    """Points spread over an asset, by which its distances and colours are found."""


class Options(RepresentationOptions):
    """A mesh cut out of a lattice of signed distances: watertight in every step, sharp outlines, no fog."""

    starts_from: ClassVar[tuple[str, ...]] = ("tetmesh", "mesh", "splats", "points")

    kind: Literal["tetmesh"] = "tetmesh"
    """Name of the representation."""
    surface: Literal["dmtet", "flexicubes"] = "flexicubes"
    """dmtet: marching tetrahedra; flexicubes: a dual surface with weights that learn, which keeps edges sharper."""
    cells: int = Field(40, ge=4, le=512)
    """Cubes along an edge of the lattice."""
    half_extent: float = Field(0.85, gt=0.0)
    """Half the edge of the lattice, world units; the surface stays a cube's width inside the ball of that radius."""
    init: InitOptions = Field(default_factory=InitOptions)
    """The start."""
    color_resolutions: tuple[int, ...] = Field((6, 12, 24, 48), min_length=1)
    """Points along an edge of each grid of the colour field, growing; the grids add up."""
    color_gain: float = Field(1.5, gt=0.0)
    """Slope of the colour's sigmoid."""
    initial_noise: float = Field(0.02, ge=0.0)
    """Standard deviation of the colour grids' initial values."""
    color_at: Literal["pixels", "vertices"] = "pixels"
    """Where the colour field is read: at every pixel, or at the mesh's vertices and interpolated between them."""
    picture: Literal["color", "normal", "depth"] = "color"
    """What the prior sees as the picture: colours, or for geometry first normals in the camera's axes, or nearness."""
    train: Literal["all", "geometry", "texture"] = "all"
    """What learns."""
    samples: int = Field(2, ge=1, le=8)
    """Samples a pixel along each axis. Outlines are antialiased with 1 already, but where faces are smaller than a
    sample at the outline their gradients are missed: with 40 cells on 64 pixels 1 finds a third, 2 three quarters."""
    rasterizer: Literal["auto", "native", "warp", "twin"] = "auto"
    """Kernels that draw: auto takes the fastest of the device; native: C++ on the CPU; warp: NVIDIA Warp, what a GPU
    gets; twin: plain PyTorch, slow."""

    clear_every: int = Field(25, ge=0)
    """Steps between two rounds in which pieces below 2 % of the largest one are taken away; 0 for never."""

    lr_sdf: Scalar = schedules.Schedule("linear", (5e-3, 1e-3), warmup=0.02)
    """Learning rate of the signed distances, world units."""
    lr_deform: Scalar = schedules.Schedule("linear", (1e-2, 2e-3), warmup=0.02)
    """Learning rate of the lattice points' raw offsets."""
    lr_weights: Scalar = schedules.Schedule("linear", (1e-2, 2e-3), warmup=0.02)
    """Learning rate of FlexiCubes' raw weights."""
    lr_color: Scalar = schedules.Schedule("linear", (0.04, 0.008), warmup=0.05)
    """Learning rate of the colour grids."""

    normal_consistency: Scalar = schedules.constant(200.0)
    """Weight of 1 - cos of the angle between faces that share an edge, mean of edges."""
    laplacian: Scalar = schedules.constant(200.0)
    """Weight of the squared distance of a vertex to its neighbours' mean, in cubes' edges, mean of vertices."""
    sign_change: Scalar = schedules.constant(10.0)
    """Weight of the cross-entropy between the ends of lattice edges that the surface crosses, mean of them."""
    eikonal: Scalar = schedules.constant(1.0)
    """Weight of (|slope of the distance| - 1)², mean of the cubes that the surface crosses."""
    deviation: Scalar = schedules.constant(5.0)
    """FlexiCubes: weight of how unevenly far a dual vertex lies from its crossings, in units of a cube's edge."""

    @field_validator("color_resolutions")
    @classmethod
    def _growing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 2 or any(b <= a for a, b in pairwise(value)):
            raise ValueError(f"color_resolutions must grow from at least 2, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Options:
        limit = self.limit
        if self.init.file is None and self.init.shape == "sphere" and self.init.radius >= limit:
            raise ValueError(
                f"init.radius {self.init.radius:g} reaches the lattice's border; keep it below {limit:g}"
            )
        if min(self.init.box) <= 0:
            raise ValueError(f"init.box holds half the edges, all > 0, got {list(self.init.box)}")
        return self

    @property
    def limit(self) -> float:
        """Radius of the ball that the surface cannot leave, world units."""
        return self.half_extent * (1.0 - 2.0 / self.cells)

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {} if self.init.file is None else {"init.file": self.init.file}
