"""Inputs for every function of the rasterization core, and calls of it, to compare its implementations by.

All numbers come from `Streams`, so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from sds3d.representations.raster import (
    hash_grid,
    march,
    sampled_rays,
    triangles,
    triangles_antialias,
    triangles_texture,
)
from sds3d.representations.raster.gaussians import rasterize_gaussians
from sds3d.representations.raster.hash_grid_layout import HashGrid
from sds3d.representations.raster.surfels import rasterize_surfels

from ...core.cameras import Cameras, orbit
from ...core.streams import Streams
from .bench import Amounts

HALF = 0.85

Arrays = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One call of a function.

    Args:
        arrays: float32 on the CPU, by name; the call is differentiable in them.
        call: (arrays on any one device, implementation) -> float outputs there.
        exact: type in which the twin is the reference.
    """

    arrays: dict[str, Tensor]
    call: Callable[[Arrays, str], Sequence[Tensor]]
    exact: torch.dtype = torch.float64


Maker = Callable[[Streams, Amounts], Case]


def _normal(streams: Streams, *shape: int, tag: str) -> Tensor:
    return streams.normal(shape, tag)[0].float()


def _uniform(streams: Streams, *shape: int, tag: str) -> Tensor:
    return streams.uniform(shape, tag)[0].float()


def _cameras(views: int) -> Cameras:
    azimuths = [25.0 + 360.0 * i / views for i in range(views)]
    return orbit(azimuths, 20.0)


def _size(amounts: Amounts) -> tuple[int, int]:
    return amounts.side, 4 * amounts.side // 3


def _splats(streams: Streams, amounts: Amounts, draw: Callable[..., Any], axes: int, shown: str) -> Case:
    count, views = amounts.gaussians, amounts.views
    arrays = {
        "means": _normal(streams, count, 3, tag="means") * 0.35,
        "scales": torch.exp(_normal(streams, count, axes, tag="scales") * 0.4 - 2.2 - math.log(count) / 5),
        "rotations": _normal(streams, count, 4, tag="rotations"),
        "opacities": 0.05 + 0.9 * _uniform(streams, count, tag="opacities"),
        "sh": _normal(streams, count, 4, 3, tag="sh") * 0.4,
    }
    behind = _uniform(streams, views, 3, tag="background")

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        device, dtype = given["means"].device, given["means"].dtype
        render = draw(
            **given,
            cameras=_cameras(views).to(device),
            size=_size(amounts),
            background=behind.to(device, dtype),
            implementation=implementation,
        )
        return [getattr(render, name) for name in shown.split()]

    return Case(arrays, call)


def gaussians(streams: Streams, amounts: Amounts) -> Case:
    """Gaussians of all shapes in a ball; rgb, alpha, depth."""
    return _splats(streams, amounts, rasterize_gaussians, 3, "rgb alpha depth")


def surfels(streams: Streams, amounts: Amounts) -> Case:
    """Flat Gaussians in a ball; rgb, alpha, depth, normal, distortion."""
    return _splats(streams, amounts, rasterize_surfels, 2, "rgb alpha depth normal distortion")


def compose(streams: Streams, amounts: Amounts) -> Case:
    """Three levels of a grid."""
    side = amounts.resolution
    sides = (max(2, side // 4), max(3, side // 2), side)
    arrays = {f"level{n}": _normal(streams, s, s, s, 4, tag=f"level{n}") for n, s in enumerate(sides)}

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        like = given["level0"]
        bias = torch.zeros(side, side, side, dtype=like.dtype, device=like.device)
        return [march.compose([*given.values()], bias, implementation=implementation)]  # type: ignore[arg-type]

    return Case(arrays, call)


def march_rays(streams: Streams, amounts: Amounts) -> Case:
    """Rays through a volume with empty places."""
    side, count = amounts.resolution, amounts.rays
    volume = _uniform(streams, side, side, side, 4, tag="volume")
    volume[..., 0] = 12.0 * (volume[..., 0] - 0.5).clamp_min(0.0)
    origins = 2.4 * normalize(_normal(streams, count, 3, tag="origins"), dim=-1)
    directions = normalize(0.4 * _normal(streams, count, 3, tag="targets") - origins, dim=-1)

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        rays = (origins.to(given["volume"]), directions.to(given["volume"]))
        # without an early end, which rounding may bring a sample sooner
        limits: dict[str, Any] = {"half": HALF, "samples": 48, "stop": 0.0}
        return [march.march(given["volume"], *rays, **limits, implementation=implementation)]  # type: ignore[arg-type]

    return Case({"volume": volume}, call)


def total_variation(streams: Streams, amounts: Amounts) -> Case:
    """Of a random volume."""
    side = amounts.resolution

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        total = march.total_variation(given["volume"], implementation=implementation)  # type: ignore[arg-type]
        return [total[None]]

    return Case({"volume": _uniform(streams, side, side, side, 4, tag="volume")}, call)


GRID = HashGrid(levels=6, features=2, log2_size=12, base=8, finest=64)
"""A hash grid with dense and hashed levels."""


def encode(streams: Streams, amounts: Amounts) -> Case:
    """Features of random points, differentiable in table and points."""
    arrays = {
        "points": _uniform(streams, amounts.points, 3, tag="points"),
        "table": _normal(streams, GRID.rows, GRID.features, tag="table"),
    }

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        encoded = hash_grid.encode(given["points"], given["table"], GRID, implementation=implementation)  # type: ignore[arg-type]
        return [encoded]

    return Case(arrays, call)


def encode_slopes(streams: Streams, amounts: Amounts) -> Case:
    """Features and their slopes, differentiable in the table."""
    points = _uniform(streams, amounts.points, 3, tag="points")

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        table = given["table"]
        return [*hash_grid.encode_slopes(points.to(table), table, GRID, implementation=implementation)]  # type: ignore[arg-type]

    return Case({"table": _normal(streams, GRID.rows, GRID.features, tag="table")}, call)


def sampled(streams: Streams, amounts: Amounts) -> Case:
    """Samples in occupied cells, a density and colours there, and the sums along rays."""
    side, count = amounts.resolution, amounts.rays
    occupied = _uniform(streams, side, side, side, tag="occupied") < 0.6
    origins = 2.4 * normalize(_normal(streams, count, 3, tag="origins"), dim=-1)
    directions = normalize(0.4 * _normal(streams, count, 3, tag="targets") - origins, dim=-1)
    arrays = {
        "level": torch.ones(1),
        "slope": 2.0 * _normal(streams, 3, tag="slope"),
        "colours": _normal(streams, 3, 4, tag="colours"),
    }

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        by: dict[str, Any] = {"implementation": implementation}
        like = given["slope"]
        rays = (origins.to(like), directions.to(like))
        # nerfacc weighs and adds; which places count is asked of what "auto" takes
        first: dict[str, Any] = {} if implementation == "nerfacc" else by
        found = sampled_rays.sample(occupied.to(like.device), *rays, half=HALF, samples=48, **first)
        density = softplus(given["level"] + found.points @ like)
        seen = sampled_rays.weights(density, found, stop=0.0, **by)
        return [sampled_rays.accumulate(seen, torch.sigmoid(found.points @ given["colours"]), found, **by)]

    return Case(arrays, call)


def _soup(streams: Streams, amounts: Amounts) -> tuple[Tensor, Tensor]:
    """(V, 3) vertices and (F, 3) faces: small triangles on and in a ball, two of each three sharing an edge."""
    count = amounts.faces
    middle = 0.6 * normalize(_normal(streams, count, 1, 3, tag="middle"), dim=-1)
    spread = 1.5 / math.sqrt(count)
    corners = middle + spread * _normal(streams, count, 4, 3, tag="corners")
    first = 4 * torch.arange(count)[:, None]
    faces = torch.stack([first + torch.tensor([0, 1, 2]), first + torch.tensor([2, 1, 3])], 1)
    return corners.reshape(-1, 3), faces.reshape(-1, 3)[:count]


def rasterize(streams: Streams, amounts: Amounts) -> Case:
    """Triangles that overlap; weights and depths of what is nearest."""
    vertices, faces = _soup(streams, amounts)

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        device = given["vertices"].device
        seen = triangles.rasterize(
            given["vertices"],
            faces.to(device),
            _cameras(amounts.views).to(device),
            _size(amounts),
            implementation=implementation,  # type: ignore[arg-type]
        )
        return [seen.barycentric, seen.depth]

    # every implementation works on float32 positions: in float64 another face could be the nearest
    return Case({"vertices": vertices}, call, exact=torch.float32)


def _fragments(vertices: Tensor, faces: Tensor, amounts: Amounts) -> triangles.Fragments:
    with torch.no_grad():
        return triangles.rasterize(vertices, faces, _cameras(amounts.views), _size(amounts))


def interpolate(streams: Streams, amounts: Amounts) -> Case:
    """Attributes of vertices at what pixels see."""
    vertices, faces = _soup(streams, amounts)
    seen = _fragments(vertices, faces, amounts)
    arrays = {
        "attributes": _normal(streams, len(vertices), 5, tag="attributes"),
        "barycentric": seen.barycentric,
    }

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        attributes, weights = given["attributes"], given["barycentric"]
        face, depth = seen.face.to(weights.device), seen.depth.to(weights)
        there = triangles.Fragments(face, weights, depth)
        rows = faces.to(weights.device)
        return [triangles.interpolate(attributes, there, rows, implementation=implementation)]  # type: ignore[arg-type]

    return Case(arrays, call, exact=torch.float32)


def texture(streams: Streams, amounts: Amounts) -> Case:
    """Bilinear samples, some outside the unit square."""
    height, width = _size(amounts)
    arrays = {
        "image": _normal(streams, 33, 47, 3, tag="image"),
        "uv": 1.4 * _uniform(streams, amounts.views, height, width, 2, tag="uv") - 0.2,
    }

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        return [triangles_texture.texture(given["image"], given["uv"], implementation=implementation)]  # type: ignore[arg-type]

    return Case(arrays, call, exact=torch.float32)


def antialias(streams: Streams, amounts: Amounts) -> Case:
    """Silhouettes over a random picture."""
    vertices, faces = _soup(streams, amounts)
    seen = _fragments(vertices, faces, amounts)
    picture = _uniform(streams, amounts.views, *_size(amounts), 3, tag="picture")

    def call(given: Arrays, implementation: str) -> list[Tensor]:
        vertices = given["vertices"]
        parts = (seen.face.to(vertices.device), *(t.to(vertices) for t in (seen.barycentric, seen.depth)))
        return [
            triangles_antialias.antialias(
                given["image"],
                triangles.Fragments(*parts),
                vertices,
                faces.to(vertices.device),
                _cameras(amounts.views).to(vertices.device),
                implementation=implementation,  # type: ignore[arg-type]
            )
        ]

    return Case({"image": picture, "vertices": vertices}, call, exact=torch.float32)


MAKERS: Mapping[str, tuple[Maker, tuple[str, ...]]] = {
    "rasterize_gaussians": (gaussians, ("warp", "gsplat")),
    "rasterize_surfels": (surfels, ("warp",)),
    "compose": (compose, ("warp",)),
    "march": (march_rays, ("warp",)),
    "total_variation": (total_variation, ("warp",)),
    "hash grid": (encode, ("warp", "tcnn")),
    "hash grid's slopes": (encode_slopes, ("warp",)),
    "rays through cells": (sampled, ("warp", "nerfacc")),
    "rasterize triangles": (rasterize, ("warp",)),
    "interpolate": (interpolate, ("warp",)),
    "texture": (texture, ("warp",)),
    "antialias": (antialias, ("warp",)),
}
"""Function -> how to make a case of it, and its implementations on a GPU."""
