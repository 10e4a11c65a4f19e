"""Asset types: what representations export and assetio reads and writes.

World as everywhere: right-handed, +Y up, front faces +Z, so that glTF needs no flip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """An axis-aligned box, (3,) low and high corners in world units."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def diagonal(self) -> float:
        """Length of the space diagonal."""
        return float(sum((b - a) ** 2 for a, b in zip(self.low, self.high, strict=True)) ** 0.5)


@dataclass(frozen=True)
class Material:
    """How a surface reflects light: glTF's metallic-roughness model. The base colour is the mesh's own.

    Args:
        metallic: 0 (dielectric) to 1 (metal). roughness: 0 (mirror) to 1 (matte); perceptual, alpha = roughness².
        metallic_roughness: (2, H, W) the same two as a texture, linear in [0, 1], in place of the numbers; or None.
        normal: (3, H, W) in [0, 1], tangent-space normals as 0.5 + 0.5 n, +Y up (OpenGL's sign); or None.
    """

    metallic: float = 0.0
    roughness: float = 1.0
    metallic_roughness: Float[Tensor, "2 h w"] | None = None
    normal: Float[Tensor, "3 h2 w2"] | None = None


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Args:
        vertices: (V, 3) float32. faces: (F, 3) int64, counter-clockwise seen from outside.
        colors: (V, 3) display-referred (sRGB) RGB in [0, 1], or None.
        normals: (V, 3) unit vectors, or None.
        uv: (V, 2) texture coordinates, glTF convention (origin top left), or None.
        texture: (3, H, W) base colour, sRGB in [0, 1], or None.
        name: a label.
        material: metallic, roughness and normal map, or None (matte).
    """

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    colors: Float[Tensor, "v 3"] | None = None
    normals: Float[Tensor, "v 3"] | None = None
    uv: Float[Tensor, "v 2"] | None = None
    texture: Float[Tensor, "3 h w"] | None = None
    name: str = "mesh"
    material: Material | None = None

    def bounds(self) -> Box:
        """The axis-aligned box around the vertices."""
        low, high = self.vertices.min(0).values, self.vertices.max(0).values
        return Box(tuple(low.tolist()), tuple(high.tolist()))


@dataclass(frozen=True)
class Splats:
    """3D Gaussians with activated parameters (no logs, no logits).

    Args:
        means: (N, 3). scales: (N, 3) standard deviations > 0. rotations: (N, 4) unit quaternions w, x, y, z.
        opacities: (N,) in [0, 1]. sh: (N, K, 3) spherical harmonic coefficients, K = (degree + 1)^2;
            colour = 0.5 + sum_k Y_k(direction) sh_k, display-referred.
        name: a label.
    """

    means: Float[Tensor, "n 3"]
    scales: Float[Tensor, "n 3"]
    rotations: Float[Tensor, "n 4"]
    opacities: Float[Tensor, " n"]
    sh: Float[Tensor, "n k 3"]
    name: str = "splats"

    @property
    def sh_degree(self) -> int:
        """0 to 3."""
        return round(self.sh.shape[1] ** 0.5) - 1


@dataclass(frozen=True)
class PointCloud:
    """Points with colours: (N, 3) positions, (N, 3) sRGB in [0, 1] or None."""

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"] | None = None
    name: str = "points"


@dataclass(frozen=True)
class Picture:
    """A picture: (3, H, W) display-referred (sRGB) in [0, 1]."""

    pixels: Float[Tensor, "3 h w"]
    name: str = "picture"


@dataclass(frozen=True)
class Sound:
    """A sound: (C, T) samples in [-1, 1], one or two channels, `rate` samples a second."""

    samples: Float[Tensor, "c t"]
    rate: int
    name: str = "sound"

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples.shape[1] / self.rate


@dataclass(frozen=True)
class Scene:
    """What a file held: at most one of each kind, notes on what was left out, and where it came from.

    `provenance` holds names and values as text (prompt, method, model, seed, licence …), no times.
    """

    mesh: Mesh | None = None
    splats: Splats | None = None
    points: PointCloud | None = None
    picture: Picture | None = None
    sound: Sound | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    provenance: Mapping[str, str] = field(default_factory=dict)


Asset = Mesh | Splats | PointCloud | Picture | Sound


def sample_surface(mesh: Mesh, count: int, uniform: Float[Tensor, "n 3"]) -> tuple[Tensor, Tensor]:
    """Points spread evenly over a mesh by area.

    Args:
        uniform: (count, 3) numbers in (0, 1) from Streams: triangle choice and barycentric pair.

    Returns:
        points (count, 3), face index (count,) int64.
    """
    corner = mesh.vertices[mesh.faces].double()
    area = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).norm(dim=-1)
    cumulative = area.cumsum(0)
    u = uniform.double()
    face = torch.searchsorted(cumulative, u[:, 0] * cumulative[-1])
    root = u[:, 1].sqrt()
    weight = torch.stack([1 - root, root * (1 - u[:, 2]), root * u[:, 2]], dim=-1)
    return (corner[face] * weight[:, :, None]).sum(1).float(), face
