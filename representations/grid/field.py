"""The multi-resolution dense radiance field: the simplest NeRF, with a grid in place of the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset, Box
from sds3d.core.cameras import axis_cosine, rays
from sds3d.core.errors import AssetError
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..alpha import alpha_entropy, alpha_sparsity
from ..base import Moments, ParamGroup, require_same_shapes
from ..raster.march import compose, march, total_variation
from .options import Options

FLAT_REACH = 0.6
"""How far beyond blob_radius the initial blob keeps falling, in world units."""


class GridField:
    """A Representation (see representations.base) of dense grids whose sum is a radiance field.

    Args:
        options: the field. levels: raw grids (L, L, L, 4), one a resolution, coarse to fine.
        active: number of grids that are switched on, coarse to fine.
    """

    provides = frozenset({"rgb", "alpha", "depth"})

    def __init__(self, options: Options, levels: list[Float[Tensor, "l l l 4"]], active: int):
        self.options, self.levels, self.active = options, levels, active
        h = options.half_extent
        self.bounds = Box((-h, -h, -h), (h, h, h))
        self._bias = blob(options, options.resolutions[-1]).to(levels[0].device)

    def to(self, device: torch.device) -> None:
        """Move the grids."""
        self.levels = [level.detach().to(device) for level in self.levels]
        self._bias = self._bias.to(device)

    def volume(self) -> Float[Tensor, "r r r 4"]:
        """The activated field, axes z, y, x: extinction per world unit and display-referred RGB."""
        o = self.options
        levels = self.levels[: self.active]
        return compose(levels, self._bias, o.density_gain, o.color_gain, implementation=o.rasterizer)

    def render(self, look: Look) -> Render:
        """rgb over the background, alpha, depth; with gradients also "volume", which `regularise` reads."""
        volume = self.volume()
        return render_volume(volume, look, self.options)

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Total variation of the field; sparsity and entropy of the opacity, summed over pixels, mean of views."""
        o, alpha = self.options, render["alpha"]
        losses = {}
        if weight := o.tv(progress):
            volume = render["volume"] if "volume" in render else self.volume()
            weights = (weight / o.density_gain**2, weight, weight, weight)
            losses["tv"] = total_variation(volume, weights, implementation=o.rasterizer)
        if weight := o.opacity(progress):
            losses["opacity"] = weight * alpha_sparsity(alpha)
        if weight := o.entropy(progress):
            losses["entropy"] = weight * alpha_entropy(alpha)
        return losses

    def param_groups(self) -> list[ParamGroup]:
        """One group of the grids that are switched on, named by resolution."""
        named = zip(self.options.resolutions, self.levels, strict=True)
        params = {f"level_{size}": level for size, level in list(named)[: self.active]}
        return [ParamGroup("field", params, self.options.lr)]

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Switch on the next grid when its time has come."""
        self.active = active_levels(self.options, (step + 1) / total)
        return {"grids": float(self.active)} if self.options.grow_until else {}

    def state_dict(self) -> Tree:
        """The grids and how many are switched on."""
        named = zip(self.options.resolutions, self.levels, strict=True)
        return {"levels": {f"level_{size}": level for size, level in named}, "active": self.active}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: the saved grids are not those of the options.
        """
        own = self.state_dict()["levels"]
        require_same_shapes(state["levels"], own, "grids", "representation.resolutions")
        device = self.levels[0].device
        self.levels = [state["levels"][name].detach().to(device, copy=True) for name in own]
        self.active = int(state["active"])

    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh": the surface where one grid cell is half opaque, coloured by the field.

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "mesh":
            raise AssetError(f'a grid field exports as "mesh", not as "{kind}"')
        from .surface import to_mesh

        return to_mesh(self.volume().detach().cpu(), self.options)

    def surface_colors(self) -> Callable[[Tensor], Tensor]:
        """(P, 3) points of the surface to the sRGB that is seen there."""
        from .surface import seen_color

        volume = self.volume().detach().cpu()
        return lambda points: seen_color(volume, points, self.options)


def render_volume(volume: Float[Tensor, "r r r 4"], look: Look, options: Options) -> Render:
    """March a volume for every pixel of a look; outputs as in core.look."""
    if look.cameras is None:
        raise ValueError("a grid field needs cameras in its look")
    (height, width), views = look.size, len(look.cameras)
    origins, directions = (v.to(volume.device) for v in rays(look.cameras, look.size, look.jitter))
    offsets = None if look.ray_offset is None else look.ray_offset.to(origins).reshape(-1)
    samples = options.samples if volume.requires_grad else options.picture_samples
    out = march(
        volume,
        origins.reshape(-1, 3),
        directions.reshape(-1, 3),
        offsets,
        half=options.half_extent,
        samples=samples,
        stop=options.stop,
        implementation=options.rasterizer,
    )
    color, alpha, moment = out.reshape(views, height, width, 5).permute(0, 3, 1, 2).split([3, 1, 1], dim=1)
    background = look.background.to(volume)[:, :, None, None]
    outputs = {"rgb": color + (1 - alpha) * background, "alpha": alpha}
    if "depth" in look.want:
        outputs["depth"] = moment / alpha.clamp_min(1e-8) * axis_cosine(look.cameras, directions)
    if volume.requires_grad:
        outputs["volume"] = volume
    return outputs


def blob(options: Options, resolution: int) -> Float[Tensor, "r r r"]:
    """The raw density that a fresh field starts from: a soft ball; -inf outside the ball that may be filled."""
    h, line = options.half_extent, torch.linspace(-1.0, 1.0, resolution) * options.half_extent
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    radius = (x * x + y * y + z * z).sqrt()
    inward = (options.blob_radius - radius).clamp(min=-FLAT_REACH)
    raw = options.blob_bias + options.blob_slope * inward
    return raw.masked_fill(radius >= h - options.empty_margin, float("-inf"))


def active_levels(options: Options, progress: float) -> int:
    """How many grids are switched on at that progress: the first at 0, the last at grow_until."""
    count = len(options.resolutions)
    if progress >= options.grow_until:
        return count
    return min(count, 1 + int(progress / options.grow_until * (count - 1) + 1e-9))


def create(options: Options, streams: Streams) -> GridField:
    """A fresh field: the blob with a little noise."""
    levels = [
        options.initial_noise * streams.normal((size, size, size, 4), "grid-init", size)[0]
        for size in options.resolutions
    ]
    return GridField(options, levels, active_levels(options, 0.0))
