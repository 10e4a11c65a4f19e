"""Where the Gaussians stand before the first step: a ball, a shell, or an asset."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset, Mesh, PointCloud, Splats
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams

from ..starts import asset_in
from ..surface_samples import spread_over
from .options import Options
from .parameters import FLAT, SH_0, Parameters, from_splats, logit

NEIGHBOURS = 3
PLANE = 9
"""Points, itself among them, that tell a point's plane."""


def initial(options: Options, streams: Streams) -> Parameters:
    """The start that the options ask for.

    Raises:
        AssetError: the source cannot be read or holds nothing.
    """
    o = options.init
    if o.file is not None:
        return from_asset(asset_in(o.file, options.starts_from), options, streams)
    direction = torch.nn.functional.normalize(streams.normal((o.count, 3), "gaussians-init")[0], dim=1)
    radius = torch.full((o.count, 1), o.radius)
    if o.shape == "ball":
        u = streams.uniform((o.count, 1), "gaussians-init-radius")[0]
        radius = (o.radius * u ** (1 / 3)).float()
    return from_points(direction * radius, None, options, streams, direction if options.surfels else None)


def from_asset(asset: Asset, options: Options, streams: Streams) -> Parameters:
    """Gaussians on an asset: splats one to one, points one each up to `count`, meshes sampled by area.

    Raises:
        AssetError: the asset is empty.
    """
    if isinstance(asset, Splats):
        if not len(asset.means):
            raise AssetError("these splats are empty: there is nothing to start from")
        return as_asked(from_splats(asset, options.sh_degree), options)
    if isinstance(asset, PointCloud):
        if not len(asset.points):
            raise AssetError("this point cloud is empty: there is nothing to start from")
        points, colors = asset.points, asset.colors
        if len(points) > options.init.count:
            order = streams.uniform((len(points),), "gaussians-init-choice")[0].argsort(stable=True)
            keep = order[: options.init.count].sort().values
            points, colors = points[keep], None if colors is None else colors[keep]
        return from_points(points, colors, options, streams)
    if not isinstance(asset, Mesh):
        raise AssetError("Gaussians start from a mesh, splats or points, not from a picture")
    return _from_mesh(asset, options, streams)


def _from_mesh(mesh: Mesh, options: Options, streams: Streams) -> Parameters:
    """Flat Gaussians on the surface."""
    on = spread_over(mesh, streams.uniform((options.init.count, 3), "gaussians-init-surface")[0])
    return from_points(on.points, on.colors, options, streams, on.normals)


def from_points(
    points: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"] | None,
    options: Options,
    streams: Streams,
    normals: Float[Tensor, "n 3"] | None = None,
) -> Parameters:
    """One Gaussian a point: as wide as its neighbours are far, flat where a normal is known.

    Args:
        colors: sRGB in [0, 1]; None gives grey with noise. normals: unit vectors, or None for round Gaussians.
    """
    o, count = options.init, len(points)
    if colors is None:
        noise = streams.normal((count, 3), "gaussians-init-color")[0]
        colors = (0.5 + o.color_noise * noise).clamp(0.0, 1.0)
    scale = (o.scale * neighbour_distance(points)).clamp_min(options.min_scale)
    log_scales = scale.log()[:, None].repeat(1, 3)
    rotations = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1)
    if normals is None and options.surfels:
        normals = neighbour_normals(points)
    if normals is not None:
        log_scales[:, 2] += math.log(o.flatness)
        rotations = from_z_to(normals)
    made = Parameters(
        means=points.float().clone(),
        log_scales=log_scales,
        rotations=rotations,
        logit_opacities=logit(torch.full((count,), o.opacity)),
        sh_dc=(colors.float() - 0.5) / SH_0,
        sh_rest=torch.zeros(count, (options.sh_degree + 1) ** 2 - 1, 3),
    )
    return as_asked(made, options)


def as_asked(parameters: Parameters, options: Options) -> Parameters:
    """Solid Gaussians as they are; surfels with their shortest axis as the normal, which has no width."""
    if not options.surfels:
        return parameters
    shortest = parameters.log_scales.argmin(1)
    turned = torch.stack([(shortest + 1) % 3, (shortest + 2) % 3, shortest], dim=1)
    log_scales = parameters.log_scales.gather(1, turned)
    log_scales[:, 2] = math.log(FLAT)
    # the quaternion of the turn of axes that brings the shortest to the third place: a third of a turn, or none
    turns = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, -0.5, -0.5], [1.0, 0.0, 0.0, 0.0]])
    rotations = product(torch.nn.functional.normalize(parameters.rotations, dim=1), turns[shortest])
    return replace(parameters, log_scales=log_scales, rotations=rotations)


def product(a: Float[Tensor, "n 4"], b: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """(N, 4) quaternions w, x, y, z of b's rotation followed by a's."""
    (w, *v), (t, *u) = a.unbind(1), b.unbind(1)
    first, second = torch.stack(v, dim=1), torch.stack(u, dim=1)
    real = w * t - (first * second).sum(1)
    rest = w[:, None] * second + t[:, None] * first + torch.linalg.cross(first, second)
    return torch.cat([real[:, None], rest], dim=1)


def neighbour_normals(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """(N, 3) unit normals of the plane through each point's neighbours, away from the cloud's centre."""
    from scipy.spatial import cKDTree

    position = points.double()
    near = min(PLANE, len(position))
    index = torch.from_numpy(cKDTree(position.numpy()).query(position.numpy(), k=near)[1]).reshape(-1, near)
    offset = position[index] - position[index].mean(1, keepdim=True)
    normal = torch.linalg.eigh(offset.mT @ offset).eigenvectors[:, :, 0]
    inwards = (normal * (position - position.mean(0))).sum(1) < 0
    return torch.where(inwards[:, None], -normal, normal).float()


def neighbour_distance(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """(N,) root mean square distance to the three nearest other points (fewer where there are fewer).

    A point alone, or on top of its neighbours, gets a tenth of the cloud's radius, or 0.1 for no radius.
    """
    from scipy.spatial import cKDTree

    position = points.double().numpy()
    near = min(NEIGHBOURS, len(position) - 1)
    distance = np.zeros(len(position))
    if near > 0:
        squared = cKDTree(position).query(position, k=near + 1)[0][:, 1:] ** 2
        distance = np.sqrt(squared.mean(axis=1))
    spread = float(np.linalg.norm(position - position.mean(axis=0), axis=1).max())
    fallback = 0.1 * spread if spread > 0 else 0.1
    return torch.from_numpy(np.where(distance > 0, distance, fallback)).float()


def from_z_to(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """(N, 4) unit quaternions w, x, y, z that turn +Z into unit vectors by the shortest way."""
    x, y, z = normals.unbind(1)
    turned = torch.stack([1 + z, -y, x, torch.zeros_like(z)], dim=1)
    half_turn = torch.tensor([0.0, 1.0, 0.0, 0.0]).expand_as(turned)
    turned = torch.where((turned.norm(dim=1) < 1e-4)[:, None], half_turn, turned)
    return torch.nn.functional.normalize(turned, dim=1)
