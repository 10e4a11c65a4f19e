"""Options of 3D Gaussians."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from sds3d.config.options import Options as Base
from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions


class InitOptions(Base):
    """Where the Gaussians stand before the first step."""

    shape: Literal["ball", "shell"] = "ball"
    """A filled ball or the surface of a sphere; a file takes the place of both."""
    file: str | None = None
    """A mesh (glb, obj, ply, stl …), point cloud (ply) or splat file to start from."""
    count: int = Field(4000, ge=1, le=5_000_000)
    """Number of Gaussians; splat files and point clouds with fewer points give as many as they have."""
    radius: float = Field(0.5, gt=0.0)
    """Radius of the ball or the sphere, world units."""
    opacity: float = Field(0.1, gt=0.0, lt=1.0)
    """Opacity of each."""
    scale: float = Field(1.0, gt=0.0)
    """Standard deviation as a multiple of the root mean square distance to the three nearest neighbours."""
    flatness: float = Field(0.3, gt=0.0, le=1.0)
    """Thickness along the normal over the width, for Gaussians on a mesh."""
    color_noise: float = Field(0.05, ge=0.0)
    """Standard deviation of the colours around grey, where the source has none."""


class DensifyOptions(Base):
    """Clone, split, prune and reset after Kerbl et al. 2023; used by strategy: densify."""

    every: int = Field(50, ge=1)
    """Steps between two rounds."""
    start: float = Field(0.1, ge=0.0, le=1.0)
    """Progress at which rounds begin."""
    stop: float = Field(0.7, ge=0.0, le=1.0)
    """Progress after which there are none."""
    gradient: float = Field(1.5, gt=0.0)
    """Threshold of the mean gradient of a Gaussian's picture position above which it is cloned or split."""
    gradient_unit: Literal["relative", "absolute"] = "relative"
    """Multiples of the mean over all Gaussians seen (any loss scale), or loss per half image width as in the paper."""
    split_scale: float = Field(0.04, gt=0.0)
    """Gaussians with a larger standard deviation are split, smaller ones cloned; world units."""
    shrink: float = Field(1.6, gt=1.0)
    """The two halves of a split have the scale divided by this."""
    keep_opacity: bool = True
    """Copies share the opacity, 1 - sqrt(1 - o), so that the picture stays (Bulò et al. 2024)."""
    cap: int = Field(12_000, ge=1)
    """Most Gaussians."""
    prune_opacity: float = Field(0.02, ge=0.0, lt=1.0)
    """Gaussians of lower opacity go."""
    prune_scale: float = Field(0.4, gt=0.0)
    """Gaussians of larger standard deviation go; world units."""
    prune_screen: float = Field(0.5, gt=0.0)
    """Gaussians whose half-width was larger than this share of the image go."""
    reset_every: int = Field(0, ge=0)
    """Steps between two resets of all opacities; 0 for none (short runs do not recover)."""
    reset_opacity: float = Field(0.05, gt=0.0, lt=1.0)
    """Opacity that a reset leaves at most."""


class McmcOptions(Base):
    """Relocation, growth and noise after Kheradmand et al. 2024; used by strategy: mcmc."""

    every: int = Field(25, ge=1)
    """Steps between two rounds of relocation and growth."""
    start: float = Field(0.05, ge=0.0, le=1.0)
    """Progress at which rounds begin."""
    stop: float = Field(0.8, ge=0.0, le=1.0)
    """Progress after which there are none."""
    dead_opacity: float = Field(0.01, gt=0.0, lt=1.0)
    """Gaussians of at most this opacity are moved to where opaque ones are."""
    grow: float = Field(1.05, ge=1.0)
    """Factor on the number of Gaussians a round."""
    cap: int = Field(6_000, ge=1)
    """Most Gaussians."""
    noise: Scalar = schedules.constant(20.0)
    """Noise on faint Gaussians' positions, times the positions' learning rate and the covariance; 1 / world unit."""


class Options(RepresentationOptions):
    """3D Gaussians, drawn by splatting: sharp, quick, exported as splats or as a mesh."""

    forms: ClassVar[frozenset[str]] = frozenset({"mesh", "splats"})
    starts_from: ClassVar[tuple[str, ...]] = ("splats", "mesh", "points")

    kind: Literal["gaussians"] = "gaussians"
    """Name of the representation."""
    surfels: bool = False
    """Flat Gaussians (Huang et al. 2024, 2DGS), which have depth and normals of a surface, in place of solid ones."""
    init: InitOptions = Field(default_factory=InitOptions)
    """The start."""
    sh_degree: int = Field(0, ge=0, le=3)
    """Degree of the colours' spherical harmonics; 0 is one colour from all sides."""
    sh_every: float = Field(0.2, ge=0.0, le=1.0)
    """Progress between two degrees, starting at 0; 0 switches all of them on at once."""
    rasterizer: Literal["auto", "native", "warp", "gsplat", "twin"] = "auto"
    """Kernels that draw: auto takes the fastest of the device; native: C++ on the CPU; warp: NVIDIA Warp, what a GPU
    gets, on the CPU too; gsplat: that package's, on a GPU; twin: plain PyTorch, slow."""
    half_extent: float = Field(0.85, gt=0.0)
    """Radius of the ball that holds the centres, world units; centres that leave it are put back on its surface."""
    min_scale: float = Field(0.01, gt=0.0)
    """Smallest standard deviation, world units: Gaussians below a pixel fit one resolution, with gaps in others."""
    strategy: Literal["densify", "mcmc", "fixed"] = "mcmc"
    """How the number of Gaussians changes: mcmc gives smooth solids, densify more texture and a rougher outline."""
    densify: DensifyOptions = Field(default_factory=DensifyOptions)
    """Clone, split, prune."""
    mcmc: McmcOptions = Field(default_factory=McmcOptions)
    """Relocation, growth, noise."""

    lr_means: Scalar = schedules.Schedule("exponential", (5e-3, 2e-4))
    """Learning rate of the positions, world units."""
    lr_scales: Scalar = schedules.constant(0.02)
    """Learning rate of the log scales."""
    lr_rotations: Scalar = schedules.constant(0.01)
    """Learning rate of the quaternions."""
    lr_opacities: Scalar = schedules.constant(0.05)
    """Learning rate of the opacities' logits."""
    lr_colors: Scalar = schedules.Schedule("linear", (0.04, 0.01))
    """Learning rate of the harmonics of degree 0."""
    lr_harmonics: Scalar = schedules.Schedule("linear", (2e-3, 5e-4))
    """Learning rate of the higher harmonics."""

    alpha: Scalar = schedules.constant(0.005)
    """Weight of sqrt(alpha) summed over the pixels of a view: the background shall stay empty."""
    entropy: Scalar = schedules.Schedule("linear", (0.0, 0.06))
    """Weight of the binary entropy of alpha summed over the pixels of a view: drives pixels to full or empty."""
    opacity: Scalar = schedules.constant(0.02)
    """Weight of the sum of the opacities: drives Gaussians that nobody needs to nothing."""
    scale: Scalar = schedules.constant(10.0)
    """Weight of the squared excess of each standard deviation over max_scale, in units of max_scale."""
    max_scale: float = Field(0.1, gt=0.0)
    """Standard deviation above which `scale` acts, world units."""
    anisotropy: Scalar = schedules.constant(5.0)
    """Weight of the squared excess of log(longest / middle axis) over log(max_anisotropy): no needles, discs stay."""
    max_anisotropy: float = Field(2.5, ge=1.0)
    """Ratio above which `anisotropy` acts."""

    normal_consistency: Scalar = schedules.Schedule("linear", (0.0, 0.2))
    """Surfels: weight of w (1 - n · N) summed over surfels and the pixels of a view, N the normal of the depth map."""
    distortion: Scalar = schedules.Schedule("linear", (0.0, 20.0))
    """Surfels: weight of w_i w_j (z_i - z_j)² summed over pairs and the pixels of a view: gathers them in one sheet."""

    mesh_resolution: int = Field(112, ge=8, le=512)
    """Samples along an edge of the grid on which the mesh is found."""

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {} if self.init.file is None else {"init.file": self.init.file}

    @property
    def kernels(self) -> tuple[str, ...]:
        """As RepresentationOptions."""
        return ("native", "warp") if self.surfels else ("native", "gsplat", "warp")

    def unserved(self, device: torch.device) -> str:
        """As RepresentationOptions."""
        if self.surfels and self.rasterizer == "gsplat":
            return "representation.rasterizer: gsplat draws no surfels: take auto, native, warp or twin"
        return super().unserved(device)
