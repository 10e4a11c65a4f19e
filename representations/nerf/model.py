"""The neural radiance field as a representation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core import schedules
from sds3d.core.assets import Asset, Box
from sds3d.core.errors import AssetError
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments, ParamGroup, require_same_shapes
from . import background, occupancy, regularise
from .field import Field, fresh
from .options import Options
from .render import render

_NEVER = schedules.constant(0.0)


class NerfModel:
    """A Representation (see representations.base) of a hash grid and a small network.

    Args:
        options: see Options. field: at the start. behind: parameters of a learned background.
        streams: for the first look at the occupied cells.
    """

    provides = frozenset({"rgb", "alpha", "depth", "normal"})

    def __init__(self, options: Options, field: Field, behind: dict[str, Tensor], streams: Streams):
        self.options, self.field, self.behind = options, field, behind
        h = options.half_extent
        self.bounds = Box((-h, -h, -h), (h, h, h))
        self.occupancy = occupancy.update(None, field, streams, None, options.occupancy.warmup > 0)

    def to(self, device: torch.device) -> None:
        """Move the parameters and the occupancy."""
        self.field = self.field.map(lambda t: t.detach().to(device))
        self.behind = {name: t.detach().to(device) for name, t in self.behind.items()}
        self.occupancy = self.occupancy.to(device)

    def render(self, look: Look) -> Render:
        """See nerf.render; depth and normals come where the look wants them."""
        facing = self.options.orientation != _NEVER
        return render(self.field, self.occupancy, self.behind, look, facing)

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """See nerf.regularise."""
        return regularise.losses(render, self.options, progress)

    def param_groups(self) -> list[ParamGroup]:
        """The hash grid, the network, and a learned background, each with its learning rate."""
        o = self.options
        groups = [
            ParamGroup("table", {"table": self.field.table}, o.lr_table),
            ParamGroup("network", self.field.named(), o.lr_network),
        ]
        return groups + ([ParamGroup("background", self.behind, o.background.lr)] if self.behind else [])

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Switch on the next level when its time has come; look at the cells again every few steps."""
        o, progress = self.options, (step + 1) / total
        self.field = replace(self.field, active=active_levels(o, progress))
        if (step + 1) % o.occupancy.every == 0:
            everywhere = progress < o.occupancy.warmup
            self.occupancy = occupancy.update(self.occupancy, self.field, streams, step, everywhere)
        occupied = float(self.occupancy.occupied.float().mean())
        return {"levels": float(self.field.active), "occupied": occupied}

    def state_dict(self) -> Tree:
        """Parameters, levels that are on, and the occupancy."""
        network = {"table": self.field.table, **self.field.named(), **self.behind}
        return {
            "parameters": {name: value.detach() for name, value in network.items()},
            "active": self.field.active,
            "occupancy": {
                "density": self.occupancy.density,
                "occupied": self.occupancy.occupied.to(torch.uint8),
            },
        }

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: the saved parameters are not those of the options.
        """
        own = {"table": self.field.table, **self.field.named(), **self.behind}
        keys = "representation.encoding, hidden, hidden_layers and background"
        require_same_shapes(state["parameters"], own, "parameters", keys)
        device = self.field.table.device
        new = {name: value.detach().to(device, copy=True) for name, value in state["parameters"].items()}
        layers = range(len(self.field.weights))
        self.field = replace(
            self.field,
            table=new["table"],
            weights=tuple(new[f"weight_{k}"] for k in layers),
            biases=tuple(new[f"bias_{k}"] for k in layers),
            active=int(state["active"]),
        )
        self.behind = {name: new[name] for name in self.behind}
        cells = state["occupancy"]
        self.occupancy = occupancy.Occupancy(
            cells["density"].to(device, copy=True), cells["occupied"].bool().to(device)
        )

    @torch.no_grad()
    def volume(self, resolution: int) -> Float[Tensor, "r r r 4"]:
        """The activated field on a lattice of the cube, axes z, y, x: extinction per world unit and RGB."""
        line = torch.linspace(-1.0, 1.0, resolution) * self.options.half_extent
        slices = []
        for z in line:
            y, x = torch.meshgrid(line, line, indexing="ij")
            points = torch.stack([x, y, z.expand_as(x)], dim=-1).reshape(-1, 3)
            density, color = self.field.density_and_color(points.to(self.field.table))
            slices.append(torch.cat([density[:, None], color], dim=1).reshape(resolution, resolution, 4))
        return torch.stack(slices)

    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh": the surface that is seen, with the colours that are seen (grid.surface).

        Raises:
            AssetError: another kind is asked for, or nothing solid is there.
        """
        if kind != "mesh":
            raise AssetError(f'a radiance field exports as "mesh", not as "{kind}"')
        from .surface import to_mesh

        return to_mesh(self)

    def surface_colors(self) -> Callable[[Tensor], Tensor]:
        """(P, 3) points of the mesh's surface to the sRGB that is seen there."""
        from .surface import surface_colors

        return surface_colors(self)


def active_levels(options: Options, progress: float) -> int:
    """How many levels are on at that progress: `start` at 0, all at grow_until."""
    e = options.encoding
    if progress >= e.grow_until or e.start >= e.levels:
        return e.levels
    return min(e.levels, e.start + int(progress / e.grow_until * (e.levels - e.start) + 1e-9))


def create(options: Options, streams: Streams) -> NerfModel:
    """A fresh field: the blob, grey."""
    field = fresh(options, streams, active_levels(options, 0.0))
    return NerfModel(options, field, background.fresh(options, streams), streams)
