"""The mesh on a lattice of signed distances as a representation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset, Box, Mesh
from sds3d.core.errors import AssetError
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .. import distance
from ..bake import keep_large
from ..base import Moments, ParamGroup, require_same_shapes
from ..lattice import Lattice
from ..starts import asset_in
from . import color, regularise
from .crumbs import without_crumbs
from .draw import draw
from .flexicubes import Dual, Weights, dual_surface
from .options import Options
from .tetrahedra import march_tetrahedra

SWING = 0.99
"""How far FlexiCubes' weights go: alpha and beta in 1 ± SWING, gamma in (1 ± SWING) / 2, as in the authors' code."""

KEEP = 0.02
"""Components below this share of the largest one's volume are crumbs: cleared away now and then, not exported."""


@dataclass(frozen=True)
class Cut:
    """What a surface is cut from; all raw, as Adam moves it.

    Args:
        sdf: (V,) signed distances at the lattice's points, world units. deform: (V, 3) offsets, see TetMesh.points.
        alpha, beta, gamma: (V, 8), (V, 12), (V,) FlexiCubes' weights; empty without it.
    """

    sdf: Float[Tensor, " v"]
    deform: Float[Tensor, "v 3"]
    alpha: Float[Tensor, "c 8"]
    beta: Float[Tensor, "c 12"]
    gamma: Float[Tensor, " c"]

    def named(self) -> dict[str, Tensor]:
        """Name -> tensor."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class TetMesh:
    """A Representation (see representations.base): a closed mesh, cut in every step out of a lattice of distances.

    Args:
        options: see Options. sdf: (V,) signed distances at the lattice's points, negative inside.
        colors: grids (L, L, L, 3), one a resolution.
    """

    provides = frozenset({"rgb", "alpha", "depth", "normal"})

    def __init__(self, options: Options, sdf: Float[Tensor, " v"], colors: list[Float[Tensor, "l l l 3"]]):
        self.options, self.colors = options, colors
        self.lattice = Lattice(options.cells, options.half_extent)
        count = self.lattice.size if options.surface == "flexicubes" else 0
        self.cut = Cut(
            sdf,
            torch.zeros(self.lattice.size, 3),
            torch.zeros(count, 8),
            torch.zeros(count, 12),
            torch.zeros(count),
        )
        self._rest = self.lattice.points()
        h = options.half_extent
        self.bounds = Box((-h, -h, -h), (h, h, h))

    def to(self, device: torch.device) -> None:
        """Move everything."""
        self.cut = Cut(**{k: v.detach().to(device) for k, v in self.cut.named().items()})
        self.colors = [level.detach().to(device) for level in self.colors]
        self._rest = self._rest.to(device)

    def points(self) -> Float[Tensor, "v 3"]:
        """(V, 3) the lattice's points, each moved by less than half a cube: rest + cell / 2 · tanh(raw)."""
        return self._rest + 0.5 * self.lattice.cell * torch.tanh(self.cut.deform)

    def sdf(self) -> Float[Tensor, " v"]:
        """(V,) distances, cut off at the ball that the surface cannot leave."""
        return torch.maximum(self.cut.sdf, distance.ball(self._rest, self.options.limit))

    def surface(self, fans: bool = True) -> Dual:
        """The mesh; `fans` as in flexicubes.dual_surface. Marching tetrahedra have no deviation.

        Raises:
            AssetError: no point is inside: the surface has vanished.
        """
        sdf, points = self.sdf(), self.points()
        if not bool((sdf < 0).any()):
            raise AssetError(
                "the surface has shrunk to nothing: no lattice point is inside any more. Start from a larger "
                "init.radius, lower lr_sdf, or lower normal_consistency, laplacian and sign_change."
            )
        if self.options.surface == "dmtet":
            vertices, faces = march_tetrahedra(points, sdf, self.lattice)
            return Dual(vertices, faces, sdf.new_zeros(0))
        weights = Weights(
            1 + SWING * torch.tanh(self.cut.alpha),
            1 + SWING * torch.tanh(self.cut.beta),
            SWING * torch.sigmoid(self.cut.gamma) + 0.5 * (1 - SWING),
        )
        return dual_surface(points, sdf, weights, self.lattice, fans)

    def colors_at(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """(N, 3) sRGB of the colour field."""
        return color.colors_at(self.colors, points, self.options.half_extent, self.options.color_gain)

    def surface_colors(self) -> Callable[[Tensor], Tensor]:
        """See representations.base.Colored."""
        levels, o = [level.detach().cpu() for level in self.colors], self.options

        def color_at(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
            return color.colors_at(levels, points, o.half_extent, o.color_gain)

        return color_at

    def render(self, look: Look) -> Render:
        """rgb over the background, alpha, depth, normal; with gradients also the mesh, for `regularise`."""
        surface = self.surface()
        out = dict(draw(surface.vertices, surface.faces, self.colors_at, look, self.options))
        partners = out.pop("partners")
        if not torch.is_grad_enabled():
            return out
        mesh = {"vertices": surface.vertices, "faces": surface.faces, "deviation": surface.deviation}
        return out | mesh | {"partners": partners}

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Losses on the surface of the render and on the distances, see tetmesh.regularise; none while only the
        texture learns."""
        o, cell = self.options, self.lattice.cell
        if o.train == "texture":
            return {}
        vertices, faces, sdf = render["vertices"], render["faces"], self.sdf()
        terms = {
            "normal_consistency": lambda: regularise.normal_consistency(vertices, faces, render["partners"]),
            "laplacian": lambda: regularise.laplacian(vertices, faces) / cell**2,
            "sign_change": lambda: regularise.sign_change(sdf, self.lattice),
            "eikonal": lambda: regularise.eikonal(sdf, self.lattice),
        }
        if o.surface == "flexicubes":
            terms["deviation"] = lambda: render["deviation"].mean() / cell
        return {name: w * term() for name, term in terms.items() if (w := getattr(o, name)(progress))}

    def param_groups(self) -> list[ParamGroup]:
        """The distances, the offsets, the weights and the colours, as far as they learn."""
        o, cut, groups = self.options, self.cut, []
        if o.train != "texture":
            groups += [
                ParamGroup("sdf", {"sdf": cut.sdf}, o.lr_sdf),
                ParamGroup("deform", {"deform": cut.deform}, o.lr_deform),
            ]
            if o.surface == "flexicubes":
                weights = {"alpha": cut.alpha, "beta": cut.beta, "gamma": cut.gamma}
                groups.append(ParamGroup("weights", weights, o.lr_weights))
        if o.train != "geometry":
            groups.append(ParamGroup("color", self._named_colors(), o.lr_color))
        return groups

    def _named_colors(self) -> dict[str, Tensor]:
        named = zip(self.options.color_resolutions, self.colors, strict=True)
        return {f"color_{size}": level for size, level in named}

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Crumbs are cleared away where their time has come; tells the size of the mesh."""
        numbers = {"faces": float(len(render["faces"]))}
        every = self.options.clear_every
        if every and (step + 1) % every == 0 and self.options.train != "texture":
            sdf, count = without_crumbs(self.cut.sdf.detach(), self.lattice, KEEP)
            self.cut = replace(self.cut, sdf=sdf)
            numbers["cleared"] = float(count)
        return numbers

    def state_dict(self) -> Tree:
        """Distances, offsets, weights and colours."""
        return {"cut": self.cut.named(), "colors": self._named_colors()}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: it was saved with other cells, colour grids or another kind of surface.
        """
        for part, mine in self.state_dict().items():
            keys = "representation.surface, cells and color_resolutions"
            require_same_shapes(state[part], mine, f"mesh's {part}", keys)
        device = self.cut.sdf.device
        own = {k: v.detach().to(device, copy=True) for k, v in state["cut"].items()}
        self.cut = Cut(**own)
        self.colors = [state["colors"][k].detach().to(device, copy=True) for k in self._named_colors()]

    @torch.no_grad()
    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh": watertight, with vertex colours; floating crumbs are left out.

        Raises:
            AssetError: another kind is asked for, or the surface has vanished.
        """
        if kind != "mesh":
            raise AssetError(f'a tetrahedral mesh exports as "mesh", not as "{kind}"')
        surface = self.surface(fans=False)
        vertices, faces = keep_large(
            surface.vertices.cpu().double().numpy(), surface.faces.cpu().numpy(), KEEP
        )
        found = Mesh(torch.from_numpy(vertices).float(), torch.from_numpy(faces))
        return replace(found, colors=self.colors_at(found.vertices.to(self._rest.device)).cpu())


def create(options: Options, streams: Streams) -> TetMesh:
    """A fresh mesh: the options' sphere or box in grey, or their file.

    Raises:
        AssetError: the file cannot be read or holds no surface.
    """
    from .start import from_asset

    o = options.init
    if o.file is not None:
        return from_asset(asset_in(o.file, options.starts_from), options, streams)
    points = Lattice(options.cells, options.half_extent).points()
    sdf = distance.ball(points, o.radius) if o.shape == "sphere" else distance.box(points, o.box)
    return TetMesh(options, sdf, color.fresh(options.color_resolutions, options.initial_noise, streams))
