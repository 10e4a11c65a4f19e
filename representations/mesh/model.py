"""A textured mesh as a representation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset, Box, Material, Mesh
from sds3d.core.color import linear_to_srgb
from sds3d.core.errors import AssetError
from sds3d.core.lights import studio
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments, ParamGroup, require_same_shapes
from ..faces import beside_neighbours
from ..outlines import blended
from ..raster.triangles import interpolate, rasterize
from ..raster.triangles_texture import mip_level
from .hash_paint import HashPaint, fresh
from .options import Options
from .paint import AtlasPaint, Paint, Place
from .shading import bend, normals_of, shade, turned
from .source import GREY, baked, mesh_in, mesh_of
from .surface import Surface, surface_of


class MeshModel:
    """A Representation (see representations.base) of a surface with a texture.

    Args:
        options: see Options. surface: the shape. paint: what is learned on it.
    """

    provides = frozenset({"rgb", "alpha", "depth", "normal"})

    def __init__(self, options: Options, surface: Surface, paint: Paint):
        self.options, self.surface, self.paint = options, surface, paint
        self.offsets = torch.zeros_like(surface.vertices)

    @property
    def bounds(self) -> Box:
        """The box around everywhere that the vertices may go."""
        low, high = self.surface.vertices.amin(0), self.surface.vertices.amax(0)
        reach = self.options.max_offset
        return Box(tuple((low - reach).tolist()), tuple((high + reach).tolist()))

    @property
    def vertices(self) -> Float[Tensor, "v 3"]:
        """Where the vertices are now."""
        return self.surface.vertices + self.offsets if self.options.max_offset else self.surface.vertices

    def to(self, device: torch.device) -> None:
        """Move the surface, its offsets and its paint."""
        self.surface, self.offsets = self.surface.to(device), self.offsets.detach().to(device)
        self.paint.to(device)

    def render(self, look: Look) -> Render:
        """rgb over the background, alpha, depth, normal in world axes; see representations.outlines."""
        if look.cameras is None:
            raise ValueError("a mesh needs cameras in its look")
        o, surface, vertices = self.options, self.surface, self.vertices
        cameras, kernels = look.cameras.to(vertices.device), o.rasterizer
        fine = (look.size[0] * o.samples, look.size[1] * o.samples)
        scene = (vertices, surface.faces, cameras)
        seen = rasterize(*scene, fine, implementation=kernels)
        hit = seen.face >= 0
        normals = surface.moved_normals(vertices) if o.max_offset else surface.normals
        corners = torch.cat([surface.uv, vertices[surface.faces], normals, surface.tangents], dim=2)
        maps = interpolate(corners, seen, surface.faces, implementation=kernels)
        uv, point, normal, tangent = maps.split([2, 3, 3, 4], dim=3)
        texels = (o.texture_size, o.texture_size)
        level = mip_level(surface.uv, seen, *scene, texels, implementation=kernels)
        place = Place(hit, point, uv.contiguous(), level, seen)
        normal = F.normalize(normal, dim=-1, eps=1e-12)
        shown = self._colors(place, normal, tangent, look)
        behind = look.background.to(vertices)[:, None, None, :]
        rgb = torch.where(hit[..., None], shown, behind)
        return blended(rgb, normal, seen, scene, surface.partners, o.samples, kernels)

    def _colors(self, place: Place, normal: Tensor, tangent: Tensor, look: Look) -> Float[Tensor, "b h w 3"]:
        """sRGB of what is seen."""
        coat, hit = self.paint.coat(place), place.hit
        if self.options.shading == "unlit":
            return linear_to_srgb(coat.base)
        assert look.cameras is not None
        cameras = look.cameras.to(normal.device)
        lights = studio(cameras) if look.lights is None else look.lights.to(normal.device)
        view, seen = hit.nonzero()[:, 0], place.point[hit]
        eye = F.normalize(cameras.position[view] - seen, dim=1, eps=1e-12)
        metallic, roughness = coat.metallic_roughness[hit].unbind(1)
        bent = bend(normal[hit], tangent[hit], coat.slopes[hit])
        flat = self.surface.flat_normals(self.vertices.detach())[place.seen.face[hit].long()]
        light = shade(coat.base[hit], metallic, roughness, turned(bent, flat, eye), eye, lights, view)
        return torch.zeros_like(coat.base).index_put((hit,), linear_to_srgb(light.clamp(0, 1)))

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Smoothness of the texture, the material's priors, the Laplacian of the offsets."""
        losses = self.paint.losses(progress)
        if self.options.max_offset and (weight := self.options.laplacian(progress)):
            losses["laplacian"] = weight * beside_neighbours(self.offsets, self.surface.faces).square().sum()
        return losses

    def param_groups(self) -> list[ParamGroup]:
        """The paint's, and the offsets where they are learned."""
        groups = self.paint.param_groups()
        if self.options.max_offset:
            groups.append(ParamGroup("offsets", {"offsets": self.offsets}, self.options.lr_offsets))
        return groups

    @torch.no_grad()
    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Put everything back into its range."""
        self.paint.project()
        if not self.options.max_offset:
            return {}
        length = self.offsets.norm(dim=1, keepdim=True)
        self.offsets.mul_((self.options.max_offset / length.clamp_min(1e-12)).clamp_max(1.0))
        return {"offset": float(length.max())}

    def state_dict(self) -> Tree:
        """The surface, its offsets and its paint: what is needed to go on without the file that it came from."""
        return {
            "surface": self.surface.tensors(),
            "offsets": self.offsets.detach(),
            "paint": self.paint.state_dict(),
        }

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value, of whatever shape.

        Raises:
            RunFolderError: it was saved with another size of texture or another kind of paint.
        """
        keys = "representation.texture, texture_size, hash and material"
        require_same_shapes(state.get("paint", {}), self.paint.state_dict(), "texture and material", keys)
        device = self.surface.vertices.device
        self.surface = Surface(**{k: v.detach().clone() for k, v in state["surface"].items()}).to(device)
        self.paint.cover(self.surface)
        self.offsets = state["offsets"].detach().to(device, copy=True)
        self.paint.load_state_dict(state["paint"])

    @torch.no_grad()
    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh": texture, and for shading: pbr the material.

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "mesh":
            raise AssetError(f'a textured mesh exports as "mesh", not as "{kind}"')
        surface, maps = self.surface, {name: value.cpu() for name, value in self.paint.maps().items()}
        normals = (surface.moved_normals(self.vertices) if self.options.max_offset else surface.normals).cpu()
        corner = surface.corner.cpu().reshape(-1, 1)
        key = torch.cat([corner, (normals.reshape(-1, 3) * 1e4).round().long()], dim=1)
        _, first, index = np.unique(key.numpy(), axis=0, return_index=True, return_inverse=True)
        row = torch.from_numpy(first)
        return Mesh(
            vertices=self.vertices.cpu()[surface.faces.cpu().reshape(-1)[row]],
            faces=torch.from_numpy(index.reshape(-1, 3)).long(),
            normals=normals.reshape(-1, 3)[row],
            uv=surface.uv.cpu().reshape(-1, 2)[row],
            texture=maps["base_color"].movedim(2, 0).clamp(0, 1).contiguous(),
            material=None if self.options.shading == "unlit" else material_of(maps),
        )


def material_of(maps: dict[str, Tensor]) -> Material:
    """glTF's material: numbers where a map has one texel, else textures."""
    values, slopes = maps["metallic_roughness"], maps["slopes"]
    metallic, roughness = values.mean((0, 1)).tolist()
    normal = 0.5 + 0.5 * normals_of(slopes).movedim(2, 0) if len(slopes) > 1 else None
    textured = values.movedim(2, 0).contiguous() if len(values) > 1 else None
    return Material(metallic, roughness, textured, normal)


def create(options: Options, streams: Streams) -> MeshModel:
    """The mesh that the options name.

    Raises:
        AssetError: its file cannot be read, or it cannot be unwrapped. ObjectError: there is no such shape.
    """
    return from_asset(mesh_of(options), options, streams)


def from_asset(asset: Asset | MeshModel, options: Options, streams: Streams) -> MeshModel:
    """A mesh where it stands, made ready to be painted: its colours or texture baked into a new atlas.

    Args:
        asset: a mesh, or a textured mesh of other options.
        streams: where the hash grid's first values come from.

    Raises:
        AssetError: the asset is no mesh, has no faces, or cannot be unwrapped.
    """
    mesh = mesh_in(asset.to_asset("mesh") if isinstance(asset, MeshModel) else asset)
    size = options.texture_size
    surface, kept = surface_of(mesh, size, options.padding)
    found = baked(mesh, kept, surface, size)
    if options.color is not None or "base_color" not in found:
        color = torch.tensor(options.color or (GREY, GREY, GREY))
        found["base_color"] = color.expand(size, size, 3).contiguous()
    material = options.material
    numbers = torch.tensor([[[material.metallic, material.roughness]]])
    maps = {"metallic_roughness": numbers, "slopes": torch.zeros(1, 1, 2)} | found
    for name, learned in (("metallic_roughness", material.learn), ("slopes", material.normal_map)):
        if learned and len(maps[name]) == 1:
            maps[name] = maps[name].expand(size, size, 2).contiguous()
    paint = AtlasPaint(options, surface, maps)
    if options.texture == "atlas":
        return MeshModel(options, surface, paint)
    return MeshModel(options, surface, HashPaint(options, surface, paint, fresh(options, streams)))
