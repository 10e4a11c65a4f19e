"""What is learned on a surface: base colour, metallic and roughness, relief, as textures of its atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.color import srgb_to_linear

from ..base import ParamGroup
from ..raster.triangles import Fragments
from ..raster.triangles_texture import pyramid, texture
from .atlas import texels
from .options import Options
from .surface import Surface


@dataclass(frozen=True)
class Place:
    """Where the surface is seen: (B, H, W, …) maps.

    Args:
        hit: whether it is. point: world position. uv, level: place in the atlas and size of a pixel there.
        seen: faces and places in them.
    """

    hit: Bool[Tensor, "b h w"]
    point: Float[Tensor, "b h w 3"]
    uv: Float[Tensor, "b h w 2"]
    level: Float[Tensor, "b h w"]
    seen: Fragments


@dataclass(frozen=True)
class Coat:
    """What is there: (B, H, W, …) maps.

    Args:
        base: linear RGB in [0, 1]. metallic_roughness: in [0, 1]. slopes: the normal map's x / z and y / z.
    """

    base: Float[Tensor, "b h w 3"]
    metallic_roughness: Float[Tensor, "b h w 2"]
    slopes: Float[Tensor, "b h w 2"]


class Paint(Protocol):
    """Learned attributes of a surface."""

    def coat(self, place: Place) -> Coat:
        """At the places that are seen; differentiable."""
        ...

    def losses(self, progress: float) -> dict[str, Tensor]:
        """Regularisers, weighted."""
        ...

    def param_groups(self) -> list[ParamGroup]:
        """What is learned."""
        ...

    def project(self) -> None:
        """Put values back into their ranges, after a step."""
        ...

    def cover(self, surface: Surface) -> None:
        """Lie on another surface."""
        ...

    def maps(self) -> dict[str, Tensor]:
        """For export: "base_color" (S, S, 3) sRGB, "metallic_roughness" and "slopes" (S, S, 2) or (1, 1, 2)."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything, by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`'s value."""
        ...

    def to(self, device: torch.device) -> None:
        """Move everything."""
        ...


class AtlasPaint:
    """A Paint of textures; maps that are the same everywhere have one texel.

    Args:
        options: see Options. surface: what is painted. maps: "base_color" (S, S, 3) sRGB in [0, 1],
            "metallic_roughness" in [0, 1] and "slopes", (S, S, 2) or (1, 1, 2).
    """

    def __init__(self, options: Options, surface: Surface, maps: Mapping[str, Tensor]):
        self.options, self._maps = options, {name: value.clone() for name, value in maps.items()}
        self.charts = _charts(surface, len(maps["base_color"]))

    def to(self, device: torch.device) -> None:
        """Move everything."""
        self._maps = {name: value.detach().to(device) for name, value in self._maps.items()}
        self.charts = self.charts.to(device)

    def coat(self, place: Place) -> Coat:
        """Trilinear samples, base colours in linear light as a viewer filters them."""
        values = dict(self._maps, base_color=srgb_to_linear(self._maps["base_color"]))
        large = {name: value for name, value in values.items() if len(value) > 1}
        found: dict[str, Tensor] = {}
        for size in {len(value) for value in large.values()}:
            named = {name: value for name, value in large.items() if len(value) == size}
            levels = pyramid(torch.cat(list(named.values()), dim=2), self.options.mip_levels)
            sampled = texture(levels, place.uv, place.level, implementation=self.options.rasterizer)
            parts = sampled.split([value.shape[2] for value in named.values()], dim=3)
            found |= dict(zip(named, parts, strict=True))
        for name in values.keys() - found.keys():
            found[name] = values[name].expand(*place.hit.shape, -1)
        return Coat(found["base_color"], found["metallic_roughness"], found["slopes"])

    def losses(self, progress: float) -> dict[str, Tensor]:
        """Smoothness of the colours within charts; how far the material is from where it began."""
        o, material, out = self.options, self.options.material, {}
        base = self._maps["base_color"]
        if weight := o.smoothness(progress):
            down = (base[1:] - base[:-1])[self.charts[1:] & self.charts[:-1]]
            right = (base[:, 1:] - base[:, :-1])[self.charts[:, 1:] & self.charts[:, :-1]]
            out["smoothness"] = weight * (edge_cost(down, o.edge) + edge_cost(right, o.edge))
        if material.learn and (weight := material.prior(progress)):
            start = base.new_tensor([material.metallic, material.roughness])
            out["material"] = weight * (self._maps["metallic_roughness"] - start).square().mean()
        if material.normal_map and (weight := material.flatness(progress)):
            out["flatness"] = weight * self._maps["slopes"].square().mean()
        return out

    def param_groups(self) -> list[ParamGroup]:
        """The colours, and what of the material is learned."""
        o, material = self.options, self.options.material
        rates = {"base_color": o.lr}
        if material.learn:
            rates["metallic_roughness"] = material.lr
        if material.normal_map:
            rates["slopes"] = material.lr_normals
        return [ParamGroup(name, {name: self._maps[name]}, lr) for name, lr in rates.items()]

    @torch.no_grad()
    def project(self) -> None:
        """Put colours, metallic and roughness back into [0, 1]."""
        for name in ("base_color", "metallic_roughness"):
            self._maps[name].clamp_(0.0, 1.0)

    def cover(self, surface: Surface) -> None:
        """Lie on another surface."""
        self.charts = _charts(surface, len(self._maps["base_color"]))

    def maps(self) -> dict[str, Tensor]:
        """The textures."""
        return {name: value.detach() for name, value in self._maps.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The textures."""
        return self.maps()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`'s value."""
        device = self._maps["base_color"].device
        self._maps = {name: state[name].detach().to(device, copy=True) for name in self._maps}


def _charts(surface: Surface, size: int) -> Bool[Tensor, "s s"]:
    """The texels that the surface shows, with those around that bilinear samples reach."""
    shown = (texels(surface.uv, size).face >= 0).float()
    return F.max_pool2d(shown, 3, stride=1, padding=1)[0] > 0


def edge_cost(difference: Float[Tensor, "n c"], edge: float) -> Float[Tensor, ""]:
    """Σ edge² (sqrt(1 + |d|² / edge²) - 1): half the square of small differences, and `edge` times large ones, so that
    noise is ironed out and edges stay (Charbonnier et al. 1994)."""
    return edge**2 * ((1 + difference.square().sum(1) / edge**2).sqrt() - 1).sum()
