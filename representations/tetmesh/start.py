"""From an asset, or from a mesh on another lattice, to a mesh on a lattice."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams

from .. import distance
from ..as_mesh import mesh_of
from ..lattice import Lattice
from ..surface_samples import Samples, spread_over
from . import color
from .model import TetMesh
from .options import Options


def from_asset(source: Asset | TetMesh, options: Options, streams: Streams) -> TetMesh:
    """A mesh that looks like an asset: its signed distance, and a colour field of its colours.

    Splats and points become the surface of their density first (see gaussians.surface). Of another TetMesh, distances
    and colours are kept, offsets and weights too where the lattices agree.

    Raises:
        AssetError: the asset has no surface, or one that encloses nothing on this lattice.
    """
    if isinstance(source, TetMesh):
        return _onto(source, options)
    mesh = mesh_of(source, streams)
    samples = spread_over(mesh, streams.uniform((options.init.samples, 3), "tetmesh-init")[0])
    lattice = Lattice(options.cells, options.half_extent)
    sdf = distance.of_mesh(mesh, samples, lattice)
    if not bool((sdf < 0).any()):
        raise AssetError(
            f"the mesh '{mesh.name}' encloses no point of a lattice of {options.cells} cells: it is open, thinner than "
            "a cell, or lies outside. Raise representation.cells, or close the mesh first."
        )
    return TetMesh(options, sdf, _colors(samples, options, streams))


def _colors(samples: Samples, options: Options, streams: Streams) -> list[Float[Tensor, "l l l 3"]]:
    """Colour grids of what is known at samples; grey where nothing is."""
    o = options
    if samples.colors is None:
        return color.fresh(o.color_resolutions, o.initial_noise, streams)
    return color.showing(samples.points, samples.colors, o.color_resolutions, o.half_extent, o.color_gain)


def _onto(source: TetMesh, options: Options) -> TetMesh:
    """The same surface and colours under other options."""
    lattice = Lattice(options.cells, options.half_extent)
    same_lattice = lattice == source.lattice
    sdf = source.sdf().detach() if same_lattice else _resampled(source, lattice)
    out = TetMesh(options, sdf, _moved_colors(source, options))
    out.to(sdf.device)
    if same_lattice:
        keep = {k: v.detach().clone() for k, v in source.cut.named().items()}
        if options.surface != source.options.surface:
            keep = {"deform": keep["deform"]}
        out.cut = replace(out.cut, **(keep | {"sdf": sdf}))
    return out


def _resampled(source: TetMesh, lattice: Lattice) -> Float[Tensor, " v"]:
    """(V,) distances between the source's points; beyond its lattice those of its border."""
    n, half = source.lattice.line, source.lattice.half
    volume = source.sdf().detach().reshape(1, 1, n, n, n)
    place = (lattice.points(volume.device) / half).reshape(1, 1, 1, -1, 3)
    return F.grid_sample(volume, place, padding_mode="border", align_corners=True).reshape(-1)


def _moved_colors(source: TetMesh, options: Options) -> list[Float[Tensor, "l l l 3"]]:
    """The source's colour grids, or new ones that show the same colours at the lattice's points near the surface."""
    old, new = source.options, options
    same = ("color_resolutions", "color_gain", "half_extent")
    if all(getattr(old, name) == getattr(new, name) for name in same):
        return [level.detach().clone() for level in source.colors]
    with torch.no_grad():
        points = source.surface().vertices
        colors = source.colors_at(points).cpu()
    return color.showing(points.cpu(), colors, new.color_resolutions, new.half_extent, new.color_gain)
