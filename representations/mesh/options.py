"""Options of the textured mesh."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from sds3d.config.options import Options as BaseOptions
from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..base import RepresentationOptions
from ..hash_network import HashGridOptions


class MaterialOptions(BaseOptions):
    """How the surface reflects light beside its base colour: glTF's metallic-roughness model."""

    metallic: float = Field(0.0, ge=0.0, le=1.0)
    """0 for paint, plastic, wood, cloth; 1 for metal. Where it is learned, the value at the start."""
    roughness: float = Field(0.6, ge=0.05, le=1.0)
    """0.05 for a mirror to 1 for chalk. Where it is learned, the value at the start."""
    learn: bool = False
    """Learn metallic and roughness as a texture."""
    normal_map: bool = False
    """Learn a tangent-space normal map: fine relief without more triangles."""
    lr: Scalar = schedules.Schedule("linear", (0.01, 0.002))
    """Learning rate of Adam for metallic and roughness, which lie in [0, 1]."""
    lr_normals: Scalar = schedules.Schedule("linear", (0.01, 0.002))
    """Learning rate of Adam for the slopes of the normal map."""
    prior: Scalar = schedules.constant(1.0)
    """Weight of the squared distance of metallic and roughness from their values at the start, mean of texels."""
    flatness: Scalar = schedules.constant(1.0)
    """Weight of the squared slopes of the normal map, mean of texels."""


class HashOptions(HashGridOptions):
    """Colours in a hash grid (Müller et al. 2022) around the surface and a small network, for texture: hash."""

    log2_size: int = Field(14, ge=3, le=24)
    """A level has at most 2 to this power rows; finer levels share them by a hash."""
    finest: int = Field(128, ge=2, le=4096)
    """Points along an edge of the finest level."""
    hidden: int = Field(32, ge=1, le=128)
    """Width of the network's hidden layer."""
    half_extent: float = Field(0.85, gt=0.0)
    """Half the edge of the cube that the grid fills, in world units."""
    lr_table: Scalar = schedules.Schedule("linear", (0.02, 0.004), warmup=0.05)
    """Learning rate of Adam for the grid."""
    lr_network: Scalar = schedules.Schedule("linear", (0.005, 0.001), warmup=0.05)
    """Learning rate of Adam for the network."""


class Options(RepresentationOptions):
    """A mesh with a texture: the shape is given, the guidance paints it; exported with its texture."""

    kind: Literal["mesh"] = "mesh"
    """Name of the representation."""
    file: str | None = None
    """A mesh file (glb, gltf, obj, ply, stl, usdz) that gives the shape, and the colours that the texture starts
    with."""
    shape: str | None = None
    """In place of a file: a kind of object that sds3d makes itself, such as mug, chair, dragon or mushroom. With
    neither there is a sphere."""
    fit_radius: float | None = Field(0.75, gt=0.0)
    """A file's mesh is moved to the centre and scaled to this radius in world units; null leaves it where it is."""
    color: tuple[float, float, float] | None = None
    """RGB in [0, 1] that the surface starts with; null: the file's own colours, or grey."""
    texture: Literal["atlas", "hash"] = "atlas"
    """Where the colours are learned: atlas: in the texture itself; hash: in a hash grid around the surface and a small
    network, baked into a texture for export."""
    hash: HashOptions = Field(default_factory=HashOptions)
    """The grid, for texture: hash."""
    texture_size: int = Field(256, ge=16, le=4096)
    """Side of the square texture in texels."""
    padding: int = Field(4, ge=0, le=64)
    """Texels around each chart of the atlas, twice as many between two: with n levels, 2^(n-2) keep charts from
    mixing."""
    mip_levels: int = Field(4, ge=1, le=12)
    """Sizes of the texture that a view chooses from, each half of the one before; 1 switches mip-mapping off."""
    shading: Literal["unlit", "pbr"] = "pbr"
    """pbr: the surface is lit (by the embedded prior's studio, where a view brings no lights of its own), and the
    texture is its base colour; unlit: the texture is the picture, with its light painted in."""
    material: MaterialOptions = Field(default_factory=MaterialOptions)
    """Reflection, for shading: pbr."""
    max_offset: float = Field(0.0, ge=0.0)
    """How far each vertex may move from its place, in world units; 0 keeps the shape as it is."""
    samples: int = Field(2, ge=1, le=8)
    """Samples per pixel and axis."""
    rasterizer: Literal["auto", "native", "warp", "nvdiffrast", "twin"] = "auto"
    """Kernels that draw: auto takes the fastest of the device; native: C++ on the CPU; warp: NVIDIA Warp, what a GPU
    gets; nvdiffrast: where you have it (non-commercial licence); twin: plain PyTorch, slow."""
    lr: Scalar = schedules.Schedule("linear", (0.03, 0.006), warmup=0.05)
    """Learning rate of Adam for the base colours of an atlas, which lie in [0, 1]."""
    lr_offsets: Scalar = schedules.Schedule("linear", (2e-3, 4e-4), warmup=0.05)
    """Learning rate of Adam for the vertices' offsets, world units."""
    smoothness: Scalar = schedules.constant(2.0)
    """Weight of the differences between neighbouring texels of a chart, half of their squares below `edge`, `edge`
    times them above, summed; for an atlas."""
    edge: float = Field(0.01, gt=0.0)
    """Difference of sRGB between neighbouring texels above which it is an edge, which stays."""
    laplacian: Scalar = schedules.constant(100.0)
    """Weight of the squared Laplacian of the offsets, summed: keeps their differences small, not the offsets."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file is not None and self.shape is not None:
            raise ValueError("has both file and shape; keep one")
        if self.shading == "unlit" and (self.material.learn or self.material.normal_map):
            raise ValueError("learns a material that nobody sees: set shading: pbr, or leave material alone")
        return self

    @property
    def kernels(self) -> tuple[str, ...]:
        """As RepresentationOptions."""
        return ("native", "warp", "nvdiffrast")

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {} if self.file is None else {"file": self.file}
