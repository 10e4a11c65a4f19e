"""The field itself: density, colour and normals at places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..hash_network import initial_layers, initial_table
from ..raster.dispatch import Implementation
from ..raster.hash_grid import encode, encode_slopes
from ..raster.mlp import perceptron
from .options import Options

FLAT_REACH = 0.6
"""How far beyond blob_radius the initial blob keeps falling, in world units."""


@dataclass(frozen=True)
class Field:
    """A hash grid and a perceptron behind it.

    Args:
        options: see Options. table: (T, features). weights, biases: the perceptron's, last outputs raw density, RGB.
        active: levels of the hash grid that are switched on, coarse to fine.
    """

    options: Options
    table: Float[Tensor, "t f"]
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    active: int

    def named(self) -> dict[str, Tensor]:
        """The network's parameters by name."""
        pairs = enumerate(zip(self.weights, self.biases, strict=True))
        return {f"{kind}_{k}": v for k, (w, b) in pairs for kind, v in (("weight", w), ("bias", b))}

    def map(self, change) -> Field:
        """The field with every tensor changed."""
        weights, biases = (tuple(change(t) for t in part) for part in (self.weights, self.biases))
        return replace(self, table=change(self.table), weights=weights, biases=biases)

    def unit(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
        """World places in the cube -> [0, 1]^3."""
        return (points / (2 * self.options.half_extent) + 0.5).clamp(0.0, 1.0)

    def raw(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 4"]:
        """The network's outputs at world places."""
        o = self.options
        features = encode(
            self.unit(points), self.table, o.encoding.grid(), self.active, implementation=o.rasterizer
        )
        return perceptron(features, self.weights, self.biases, implementation=network_kernels(o))

    def density(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, " p"]:
        """Extinction per world unit."""
        return self._density(self.raw(points)[:, 0], points)

    def density_and_color(
        self, points: Float[Tensor, "p 3"]
    ) -> tuple[Float[Tensor, " p"], Float[Tensor, "p 3"]]:
        """Extinction per world unit, and display-referred RGB in [0, 1]."""
        raw = self.raw(points)
        return self._density(raw[:, 0], points), torch.sigmoid(self.options.color_gain * raw[:, 1:])

    def _density(self, raw: Tensor, points: Tensor) -> Tensor:
        o = self.options
        return o.density_gain * F.softplus(raw + blob(points, o)) * inside(points, o)

    def normals(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
        """Unit vectors against the slope of the density, (0, 0, 0) where it has none; differentiable in the
        parameters."""
        analytic = self.options.normals == "analytic"
        uphill = self.slopes(points) if analytic else self.differences(points)
        return -F.normalize(uphill, dim=1, eps=1e-6)

    def slopes(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
        """Derivative of (raw density + blob) by world position, exact: the network's linear part at a place times
        the encoding's slopes. The derivative of the density is this times a positive number."""
        o = self.options
        grid = o.encoding.grid()
        hidden, by_place = encode_slopes(
            self.unit(points), self.table, grid, self.active, implementation=o.rasterizer
        )
        masks = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = F.linear(hidden, weight, bias).relu()
            masks.append((hidden > 0).to(hidden))
        linear = self.weights[-1][:1].expand(len(points), -1)
        for weight, mask in zip(self.weights[-2::-1], masks[::-1], strict=True):
            linear = (linear * mask) @ weight
        slope = (by_place @ linear[:, :, None])[:, :, 0] / (2 * o.half_extent)
        return slope + blob_slope(points, o)

    def differences(self, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
        """The same from central differences over `normal_step`."""
        step = self.options.normal_step
        around = torch.cat([torch.eye(3), -torch.eye(3)]).to(points) * step
        places = (points[:, None] + around).reshape(-1, 3)
        raw = (self.raw(places)[:, 0] + blob(places, self.options)).reshape(-1, 2, 3)
        return (raw[:, 0] - raw[:, 1]) / (2 * step)


def network_kernels(options: Options) -> Implementation:
    """Who computes the perceptron: Warp has none, torch's matrix products serve."""
    return "twin" if options.rasterizer == "warp" else options.rasterizer


def blob(points: Float[Tensor, "p 3"], options: Options) -> Float[Tensor, " p"]:
    """The raw density that a fresh field starts from: a soft ball (the density bias of Poole et al. 2023,
    arXiv 2209.14988, appendix A.2, linear in the distance as in Magic3D, arXiv 2211.10440)."""
    inward = (options.blob_radius - points.norm(dim=1)).clamp(min=-FLAT_REACH)
    return options.blob_bias + options.blob_slope * inward


def blob_slope(points: Float[Tensor, "p 3"], options: Options) -> Float[Tensor, "p 3"]:
    """Its derivative by place."""
    radius = points.norm(dim=1, keepdim=True)
    falling = (radius < options.blob_radius + FLAT_REACH).to(points)
    return -options.blob_slope * falling * points / radius.clamp_min(1e-12)


def inside(points: Float[Tensor, "p 3"], options: Options) -> Bool[Tensor, " p"]:
    """Whether a place may be filled."""
    return points.norm(dim=1) < options.half_extent - options.empty_margin


def fresh(options: Options, streams: Streams, active: int) -> Field:
    """A field that is the blob, grey: small rows, and layers after He et al. 2015 whose last one starts at a tenth."""
    table = initial_table(options.encoding, streams, "nerf-table")
    widths = [options.encoding.grid().width, *[options.hidden] * options.hidden_layers, 4]
    weights, biases = initial_layers(widths, streams, "nerf-network")
    return Field(options, table, tuple(weights), tuple(biases), active)
