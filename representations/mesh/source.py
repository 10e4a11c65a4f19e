"""Where the surface and its first colours come from: a file, a shape of ours, or another representation's mesh."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d import assetio
from sds3d.core.assets import Asset, Mesh
from sds3d.core.color import linear_to_srgb, srgb_to_linear
from sds3d.core.errors import AssetError
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build

from ..raster.triangles import interpolate
from ..raster.triangles_texture import texture
from .atlas import spread, texels
from .options import Options
from .shading import STEEPEST, bend, frame, slopes_of
from .surface import Surface, tangents

GREY = 0.6
FINER = 2
"""Texels are baked from as many samples along each axis."""


def mesh_of(options: Options) -> Mesh:
    """The mesh that the options name.

    Raises:
        AssetError: the file cannot be read or holds no mesh. ObjectError: there is no such shape.
    """
    if options.file is None:
        return replace(build(find(options.shape or "sphere")).mesh({}), colors=None)
    mesh = assetio.read(options.file).mesh
    if mesh is None:
        raise AssetError(f"{options.file}: holds no mesh; representation.file is a mesh to paint on")
    return mesh if options.fit_radius is None else fitted(mesh, options.fit_radius)


def fitted(mesh: Mesh, radius: float) -> Mesh:
    """Centred by its box and scaled so that its farthest vertex lies at `radius`."""
    vertices = mesh.vertices[mesh.faces.unique()]
    centre = 0.5 * (vertices.amin(0) + vertices.amax(0))
    reach = float((vertices - centre).norm(dim=1).max()) if len(vertices) else 0.0
    if reach == 0.0:
        raise AssetError(f"the mesh '{mesh.name}' has no extent: there is nothing to paint on")
    return replace(mesh, vertices=(mesh.vertices - centre) * (radius / reach))


def mesh_in(asset: Asset) -> Mesh:
    """The asset if it is a mesh.

    Raises:
        AssetError: it is not.
    """
    if isinstance(asset, Mesh):
        return asset
    raise AssetError(
        f"a textured mesh starts from a mesh, not from {type(asset).__name__}; put a stage in between that makes "
        "a surface of it, such as representation: tetmesh"
    )


def baked(mesh: Mesh, kept: Int[Tensor, " f"], surface: Surface, size: int) -> dict[str, Tensor]:
    """What a mesh brings along, on the texels of a new atlas; nothing for what it has not.

    Args:
        kept: the mesh's face of each face of the surface.

    Returns:
        Of "base_color" (S, S, 3), "metallic_roughness" (S, S, 2), or (1, 1, 2) where numbers say it all, and "slopes"
        (S, S, 2) those that there are: sRGB in [0, 1]; linear in [0, 1]; the normal map's x / z and y / z. Texels
        outside the charts continue their edge.
    """
    bake, found, material = _Bake(mesh, kept, surface, size), {}, mesh.material
    textured = mesh.uv is not None
    if mesh.texture is not None and textured:
        linear = srgb_to_linear(mesh.texture.cpu().float())
        found["base_color"] = linear_to_srgb(bake.shrunk(bake.looked_up(linear)))
    elif mesh.colors is not None:
        found["base_color"] = bake.shrunk(bake.at(mesh.colors.cpu().float()[bake.corner]))
    if material is not None:
        found["metallic_roughness"] = torch.tensor([[[material.metallic, material.roughness]]])
        if material.metallic_roughness is not None and textured:
            found["metallic_roughness"] = bake.shrunk(
                bake.looked_up(material.metallic_roughness.cpu().float())
            )
        if material.normal is not None and textured:
            found["slopes"] = bake.shrunk(bake.slopes(material.normal.cpu().float()))
    return {name: v if name == "slopes" else v.clamp(0, 1) for name, v in found.items()}


class _Bake:
    """The texels of an atlas as a picture of the mesh, in which its attributes can be read; see `baked`."""

    def __init__(self, mesh: Mesh, kept: Tensor, surface: Surface, size: int):
        self.mesh, self.surface = mesh, surface
        self.corner = mesh.faces.cpu()[kept]
        self.seen = texels(surface.uv, FINER * size)
        self.hit = (self.seen.face >= 0)[..., None]
        self.covered = F.avg_pool2d(self.hit[..., 0].float(), FINER)[0]

    def at(self, corners: Float[Tensor, "f 3 c"]) -> Float[Tensor, "1 y x c"]:
        """Attributes of the faces' corners at every fine texel."""
        return interpolate(corners, self.seen, self.surface.faces)

    def looked_up(self, image: Float[Tensor, "c h w"]) -> Float[Tensor, "1 y x c"]:
        """A texture of the mesh at every fine texel."""
        assert self.mesh.uv is not None
        where = self.at(self.mesh.uv.cpu().float()[self.corner])
        return texture(image.movedim(0, 2).contiguous(), where)

    def shrunk(self, fine: Float[Tensor, "1 y x c"]) -> Float[Tensor, "s s c"]:
        """Means over the covered part of each texel, continued beyond the charts."""
        mean = F.avg_pool2d((fine * self.hit).movedim(3, 1), FINER)[0].movedim(0, 2)
        return spread(mean / self.covered.clamp_min(1e-6)[..., None], self.covered > 0)

    def slopes(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "1 y x 2"]:
        """A normal map, out of the frame of the mesh's own texture into that of the atlas."""
        assert self.mesh.uv is not None
        surface, uv = self.surface, self.mesh.uv.cpu().float()[self.corner]
        own = tangents(surface.vertices, surface.faces, uv, self.corner)
        normal = F.normalize(self.at(surface.normals), dim=-1, eps=1e-12)
        bent = bend(normal, self.at(own), slopes_of(2 * self.looked_up(image) - 1))
        along, across = frame(normal, self.at(surface.tangents))
        height = (bent * normal).sum(-1, keepdim=True).clamp_min(STEEPEST)
        return torch.cat([(bent * v).sum(-1, keepdim=True) for v in (along, across)], dim=-1) / height
