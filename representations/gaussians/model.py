"""3D Gaussians as a representation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sds3d.core.assets import Asset, Box
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments, ParamGroup
from ..raster.gaussians import rasterize_gaussians
from . import init, regularise, surfels
from .densify import Densify
from .mcmc import Mcmc
from .options import Options
from .parameters import Parameters, project
from .strategy import Between, Fixed, Strategy


class GaussianModel:
    """A Representation (see representations.base) of N Gaussians, drawn by splatting.

    Args:
        options: see Options. parameters: the Gaussians at the start, at least one.
    """

    def __init__(self, options: Options, parameters: Parameters):
        if not len(parameters):
            raise AssetError("a Gaussian model needs at least one Gaussian to start from")
        self.provides = frozenset({"rgb", "alpha", "depth"} | ({"normal"} if options.surfels else set()))
        self.options, self.parameters = options, parameters
        self.degree = sh_degree(options, 0.0)
        self.strategy = make_strategy(options, len(parameters))
        h = options.half_extent
        self.bounds = Box((-h, -h, -h), (h, h, h))

    def to(self, device: torch.device) -> None:
        """Move the Gaussians; the strategy's memory stays on the CPU."""
        self.parameters = self.parameters.map(lambda value: value.detach().to(device))

    def render(self, look: Look) -> Render:
        """rgb over the background, alpha, depth, radii (B, N); with gradients also means2d (B, N, 2), zeros whose
        gradient is that of the Gaussians' positions in the picture, in pixels. Of surfels also normal, see .surfels."""
        if look.cameras is None:
            raise ValueError("Gaussians need cameras in their look")
        p, device = self.parameters, self.parameters.means.device
        probe = None
        if torch.is_grad_enabled() and p.means.requires_grad:
            probe = torch.zeros(len(look.cameras), len(p), 2, device=device, requires_grad=True)
        if self.options.surfels:
            render = surfels.render(p, (self.degree + 1) ** 2, look, probe, self.options.rasterizer)
            return render if probe is None else {**render, "means2d": probe}
        out = rasterize_gaussians(
            p.means,
            p.scales,
            p.rotations,
            p.opacities,
            p.sh((self.degree + 1) ** 2),
            look.cameras.to(device),
            look.size,
            look.background.to(device),
            probe=probe,
            implementation=self.options.rasterizer,
        )
        render = {
            "rgb": regularise.gamut(out.rgb),
            "alpha": out.alpha,
            "depth": out.depth,
            "radii": out.radii,
        }
        return render if probe is None else render | {"means2d": probe}

    def regularise(self, render: Render, progress: float) -> dict[str, torch.Tensor]:
        """See gaussians.regularise."""
        return regularise.losses(self.parameters, render, self.options, progress)

    def param_groups(self) -> list[ParamGroup]:
        """One group a tensor; the higher harmonics once they are in use."""
        o, p = self.options, self.parameters
        rates = {
            "means": o.lr_means,
            "log_scales": o.lr_scales,
            "rotations": o.lr_rotations,
            "logit_opacities": o.lr_opacities,
            "sh_dc": o.lr_colors,
        }
        if self.degree:
            rates["sh_rest"] = o.lr_harmonics
        named = p.named()
        return [ParamGroup(name, {name: named[name]}, lr) for name, lr in rates.items()]

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """The strategy's changes, then the projection onto what is allowed, then the next degree of harmonics."""
        o = self.options
        between = Between(step, total, o.lr_means(step / total), render, moments, streams)
        parameters, metrics = self.strategy.after_step(self.parameters, between)
        self.parameters = project(parameters, o.half_extent, o.min_scale, o.surfels)
        self.degree = sh_degree(o, between.progress)
        return {"gaussians": float(len(self.parameters)), **metrics}

    def state_dict(self) -> Tree:
        """Parameters, degree in use, and the strategy's memory."""
        named = self.parameters.map(torch.Tensor.detach).named()
        return {"parameters": named, "degree": self.degree, "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value; the number of Gaussians is the saved one.

        Raises:
            RunFolderError: it was saved by another strategy or for another degree of harmonics.
        """
        named: dict[str, Any] = state["parameters"]
        wanted, saved = (self.options.sh_degree + 1) ** 2 - 1, named["sh_rest"].shape[1]
        if saved != wanted:
            raise RunFolderError(
                f"the saved Gaussians have {saved} higher harmonics, the options ask for {wanted}; "
                f"set representation.sh_degree to {round((saved + 1) ** 0.5) - 1}"
            )
        if state["strategy"].keys() != self.strategy.state_dict().keys():
            raise RunFolderError(
                f"the state was not saved by the strategy {self.options.strategy!r}; "
                "set representation.strategy to what the run was made with"
            )
        device = self.parameters.means.device
        self.parameters = Parameters(
            **{k: v.detach().to(device, copy=True) for k, v in sorted(named.items())}
        )
        self.degree = int(state["degree"])
        self.strategy.load_state_dict(state["strategy"])

    def to_asset(self, kind: str) -> Asset:
        """Export as "splats" (exact) or "mesh" (the surface of the Gaussians' density, see gaussians.surface).

        Raises:
            AssetError: another kind is asked for, or nothing solid is there to make a mesh of.
        """
        if kind == "splats":
            return self.parameters.to_splats()
        if kind == "mesh":
            from .surface import to_mesh

            return to_mesh(self)
        raise AssetError(f'Gaussians export as "splats" or "mesh", not as "{kind}"')

    def surface_colors(self) -> Callable[[Tensor], Tensor]:
        """(P, 3) points of the mesh's surface to sRGB."""
        from .surface import surface_colors

        return surface_colors(self)

    @classmethod
    def from_asset(cls, asset: Asset, options: Options, streams: Streams | None = None) -> GaussianModel:
        """Gaussians that look like an asset: splats one to one, points one each, meshes sampled by area.

        Args:
            streams: where to draw sample positions; seed 0 by default.

        Raises:
            AssetError: the asset is empty.
        """
        return cls(options, init.from_asset(asset, options, streams or Streams(0)))


def from_asset(source: Asset, options: Options, streams: Streams) -> GaussianModel:
    """See GaussianModel.from_asset."""
    return GaussianModel.from_asset(source, options, streams)


def make_strategy(options: Options, count: int) -> Strategy:
    """The strategy of that name."""
    if options.strategy == "densify":
        return Densify(options.densify, count)
    return Mcmc(options.mcmc) if options.strategy == "mcmc" else Fixed()


def sh_degree(options: Options, progress: float) -> int:
    """Degree of the harmonics in use: one more every `sh_every` of the run, up to sh_degree."""
    if not options.sh_every:
        return options.sh_degree
    return min(options.sh_degree, int(progress / options.sh_every + 1e-9))


def create(options: Options, streams: Streams) -> GaussianModel:
    """A fresh model.

    Raises:
        AssetError: its source cannot be read.
    """
    return GaussianModel(options, init.initial(options, streams))
