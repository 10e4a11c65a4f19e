"""Colours learned in a hash grid around the surface: no chart has an edge there, and no texel is left unseen."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.color import linear_to_srgb, srgb_to_linear
from sds3d.core.streams import Streams

from ..base import ParamGroup
from ..hash_network import initial_layers, initial_table
from ..raster.dispatch import Implementation
from ..raster.hash_grid import encode
from ..raster.mlp import perceptron
from ..raster.triangles import interpolate
from .atlas import spread, texels
from .options import Options
from .paint import AtlasPaint, Coat, Place
from .surface import Surface

SURE = 1e-3
"""How close to 0 and 1 a start colour is taken, whose logit the network adds to."""


class HashPaint:
    """A Paint whose base colour is sigmoid(logit(start) + network(place)); the start and the material lie in textures.

    Args:
        options: see Options. surface: what is painted. start: its textures; their base colour stays.
        network: "table", "weight_0", "bias_0", "weight_1", "bias_1"; see `fresh`.
    """

    def __init__(self, options: Options, surface: Surface, start: AtlasPaint, network: Mapping[str, Tensor]):
        self.options, self.surface, self.start, self.network = options, surface, start, dict(network)

    def to(self, device: torch.device) -> None:
        """Move everything."""
        self.start.to(device)
        self.surface = self.surface.to(device)
        self.network = {name: value.detach().to(device) for name, value in self.network.items()}

    def coat(self, place: Place) -> Coat:
        """The network at every point that is seen, the rest as in the textures."""
        under = self.start.coat(place)
        color = self._color(place.point[place.hit], linear_to_srgb(under.base[place.hit]))
        base = torch.zeros_like(place.point).index_put((place.hit,), srgb_to_linear(color))
        return Coat(base, under.metallic_roughness, under.slopes)

    def _color(self, point: Float[Tensor, "n 3"], start: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """sRGB at world points, where the start has that colour."""
        o, net = self.options, self.network
        unit = (point / (2 * o.hash.half_extent) + 0.5).clamp(0, 1)
        # nvdiffrast has no grids, Warp no networks
        grids: Implementation = "auto" if o.rasterizer == "nvdiffrast" else o.rasterizer
        nets: Implementation = "twin" if o.rasterizer == "warp" else grids
        features = encode(unit, net["table"], o.hash.grid(), implementation=grids)
        layers = ((net["weight_0"], net["weight_1"]), (net["bias_0"], net["bias_1"]))
        return torch.sigmoid(
            torch.logit(start.clamp(SURE, 1 - SURE)) + perceptron(features, *layers, implementation=nets)
        )

    def losses(self, progress: float) -> dict[str, Tensor]:
        """The material's."""
        found = self.start.losses(progress)
        return {name: loss for name, loss in found.items() if name != "smoothness"}

    def param_groups(self) -> list[ParamGroup]:
        """The network, and what of the material is learned."""
        material = [g for g in self.start.param_groups() if g.name != "base_color"]
        o, network = self.options.hash, dict(self.network)
        table = {"table": network.pop("table")}
        groups = [ParamGroup("table", table, o.lr_table), ParamGroup("network", network, o.lr_network)]
        return groups + material

    def project(self) -> None:
        """The material's ranges."""
        self.start.project()

    def cover(self, surface: Surface) -> None:
        """Lie on another surface."""
        self.surface = surface
        self.start.cover(surface)

    @torch.no_grad()
    def maps(self) -> dict[str, Tensor]:
        """The textures, the network's colours at the texels' centres baked in."""
        maps, surface = self.start.maps(), self.surface
        color = maps["base_color"]
        seen = texels(surface.uv, len(color))
        point = interpolate(surface.vertices[surface.faces], seen, surface.faces)[0]
        hit = seen.face[0] >= 0
        baked = torch.zeros_like(color).index_put((hit,), self._color(point[hit], color[hit]))
        return maps | {"base_color": spread(baked, hit)}

    def state_dict(self) -> dict[str, Tensor]:
        """Textures and network."""
        return self.start.state_dict() | {name: value.detach() for name, value in self.network.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`'s value."""
        device = self.network["table"].device
        self.start.load_state_dict(state)
        self.network = {name: state[name].detach().to(device, copy=True) for name in self.network}


def fresh(options: Options, streams: Streams) -> dict[str, Tensor]:
    """A network that adds next to nothing yet: small rows, layers after He et al. (2015), the last one a tenth."""
    o = options.hash
    weights, biases = initial_layers([o.grid().width, o.hidden, 3], streams, "mesh-network")
    return {
        "table": initial_table(o, streams, "mesh-table"),
        "weight_0": weights[0],
        "bias_0": biases[0],
        "weight_1": weights[1],
        "bias_1": biases[1],
    }
