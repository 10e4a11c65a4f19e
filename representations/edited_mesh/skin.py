"""The colours of a mesh file's parts: its pictures' texels, its vertices' colours, its materials."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.original_mesh import MeshOriginal
from sds3d.core.assets import Material
from sds3d.core.color import srgb_to_linear

from ..base import ParamGroup
from ..edited import Differences
from ..mesh.paint import Coat, Place, edge_cost
from ..mesh.shading import slopes_of
from ..mesh.surface import Surface
from ..raster.triangles import interpolate
from ..raster.triangles_texture import pyramid, texture
from .merged import Merged
from .options import Options

COLORS = "colors"


def texels(number: int) -> str:
    """Name of the differences of a picture's texels."""
    return f"texels{number}"


class Skin:
    """A Paint (see mesh.paint) that shows what the file says, with the differences of an edit.

    Args:
        options: see Options. file, merged: the parts. group: (V,) of all parts' vertices the number of its colour;
            corners that share a place, a part's look and a colour share it. differences: what moves.
        reference: side in texels that levels are counted for.
    """

    def __init__(
        self,
        options: Options,
        file: MeshOriginal,
        merged: Merged,
        group: Int[Tensor, " v"],
        differences: Differences,
        reference: int,
    ):
        self.options, self.merged, self.differences, self.reference = options, merged, differences, reference
        self.textures = [t.movedim(0, 2).contiguous() for t in file.textures]
        looks = [p.texture for p in file.parts]
        self.picture = torch.tensor([-1 if t is None else t for t in looks])[merged.part]
        self.factor = torch.tensor([p.factor for p in file.parts])[merged.part]
        self.reflections = [p.reflection or Material() for p in file.parts]
        self.corner_group = group[merged.corner]
        colors = torch.cat([p.colors.float() for p in file.parts])
        self.colors = torch.zeros(int(group.max()) + 1, 3)
        self.colors[group] = colors
        self.neighbours = _edges(self.corner_group, self.picture)

    def to(self, device: torch.device) -> None:
        """Move what is drawn; the differences are moved by their owner."""
        self.textures = [t.to(device) for t in self.textures]
        for name in ("picture", "factor", "corner_group", "colors", "neighbours"):
            setattr(self, name, getattr(self, name).to(device))

    def region(self) -> Skin:
        """A skin that is white where colours or vertices may change, and black elsewhere."""
        out, rows = copy(self), self.differences.rows
        out.differences, out.factor = Differences({}, {}), torch.ones_like(self.factor)
        out.colors = torch.zeros_like(self.colors)
        out.textures = [torch.zeros_like(image) for image in self.textures]
        if COLORS in rows:
            out.colors[rows[COLORS]] = 1.0
        for number, image in enumerate(out.textures):
            if texels(number) in rows:
                image.view(-1, 3)[rows[texels(number)]] = 1.0
        if "offsets" in rows:
            vertex = torch.zeros(
                len(self.merged.surface.vertices), dtype=torch.bool, device=out.colors.device
            )
            vertex[rows["offsets"]] = True
            moves = vertex[self.merged.surface.faces.to(vertex.device)]
            out.colors[self.corner_group[moves]] = 1.0
            out.picture = torch.where(moves.any(1), -1, self.picture)
        return out

    def texture(self, number: int) -> Float[Tensor, "h w 3"]:
        """A picture as it is now, sRGB."""
        value = self.textures[number]
        return self.differences.added(texels(number), value.reshape(-1, 3)).reshape(value.shape)

    def coat(self, place: Place) -> Coat:
        """Base colours in linear light: picture times factor, or the vertices' colour; and the materials."""
        face = place.seen.face.long().clamp_min(0)
        kernels = self.options.rasterizer
        vertex = srgb_to_linear(self.differences.added(COLORS, self.colors)[self.corner_group])
        base = interpolate(vertex, place.seen, self.corner_group, implementation=kernels)
        for number in range(len(self.textures)):
            image = self.texture(number)
            levels = pyramid(srgb_to_linear(image), self.options.mip_levels)
            shift = torch.log2(torch.tensor(max(image.shape[:2]) / self.reference)).item()
            level = (place.level + shift).clamp_min(0.0)
            sampled = texture(levels, place.uv, level, implementation=kernels)
            base = torch.where((self.picture[face] == number)[..., None], sampled, base)
        base = base * self.factor[face]
        return Coat(base, *self._reflection(place, face))

    def _reflection(self, place: Place, face: Tensor) -> tuple[Tensor, Tensor]:
        """Metallic and roughness, and slopes of the normal maps."""
        part = self.merged.part.to(face.device)[face]
        numbers = place.uv.new_tensor([[r.metallic, r.roughness] for r in self.reflections])
        values, slopes = numbers[part], torch.zeros_like(place.uv)
        for number, reflection in enumerate(self.reflections):
            here = (part == number)[..., None]
            if reflection.metallic_roughness is not None:
                image = reflection.metallic_roughness.movedim(0, 2).to(values).contiguous()
                values = torch.where(here, texture(image, place.uv), values)
            if reflection.normal is not None:
                image = reflection.normal.movedim(0, 2).to(values).contiguous()
                slopes = torch.where(here, slopes_of(2 * texture(image, place.uv) - 1), slopes)
        return values, slopes

    def losses(self, progress: float) -> dict[str, Tensor]:
        """Smoothness of the changes and their anchor, weighted."""
        o, values, out = self.options, self.differences.values, {}
        named = {n: v for n, v in values.items() if n == COLORS or n.startswith("texels")}
        if not named:
            return {}
        if weight := o.smoothness(progress):
            changes = [self._steps(name) for name in named]
            out["smoothness"] = weight * edge_cost(torch.cat(changes), o.edge)
        if weight := o.anchor_colors(progress):
            out["anchor_colors"] = 0.5 * weight * torch.cat([*named.values()]).square().sum()
        return out

    def _steps(self, name: str) -> Float[Tensor, "n 3"]:
        """Differences between neighbouring changes, of texels that may both change or of vertices."""
        if name == COLORS:
            change = self.differences.added(COLORS, torch.zeros_like(self.colors))
            return change[self.neighbours[:, 0]] - change[self.neighbours[:, 1]]
        shape = self.textures[int(name.removeprefix("texels"))].shape
        rows = self.differences.rows[name]
        place = rows.new_full((shape[0] * shape[1],), -1)
        place[rows] = torch.arange(len(rows), device=rows.device)
        place = place.reshape(shape[:2])
        pairs = [
            torch.stack([a.reshape(-1), b.reshape(-1)], dim=1)
            for a, b in ((place[1:], place[:-1]), (place[:, 1:], place[:, :-1]))
        ]
        pair = torch.cat(pairs)
        pair = pair[(pair >= 0).all(1)]
        change = self.differences.values[name]
        return change[pair[:, 0]] - change[pair[:, 1]]

    def param_groups(self) -> list[ParamGroup]:
        """Texels and vertex colours that may change."""
        values = self.differences.values
        return [ParamGroup(n, {n: v}, self.options.lr) for n, v in values.items() if n != "offsets"]

    def project(self) -> None:
        """Colours stay in [0, 1]."""
        self.differences.limit(COLORS, self.colors, 0.0, 1.0)
        for number, value in enumerate(self.textures):
            self.differences.limit(texels(number), value.reshape(-1, 3), 0.0, 1.0)

    def cover(self, surface: Surface) -> None:
        """The surface is the file's."""

    def maps(self) -> dict[str, Tensor]:
        """The pictures."""
        return {texels(k): self.texture(k).detach() for k in range(len(self.textures))}

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing beside the differences."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


def _edges(corner: Int[Tensor, "f 3"], picture: Int[Tensor, " f"]) -> Int[Tensor, "e 2"]:
    """Pairs of colours of the vertices along the edges of faces without a picture, each once."""
    bare = corner[picture < 0]
    pairs = torch.cat([bare[:, [0, 1]], bare[:, [1, 2]], bare[:, [2, 0]]])
    pairs = pairs.sort(dim=1).values
    return torch.unique(pairs[pairs[:, 0] != pairs[:, 1]], dim=0)
