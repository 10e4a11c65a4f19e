"""Density fields to meshes: marching cubes, cleaning, decimation, colours.

Shared by every representation that has, or can sample, a density.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.assetio import topology
from sds3d.core.assets import Box, Mesh
from sds3d.core.errors import AssetError, MissingPackageError

Density = Callable[[Tensor], Tensor]
"""(P, 3) points to (P,) densities."""

ColorAt = Callable[[Tensor], Tensor]
"""(P, 3) points to (P, 3) sRGB colours in [0, 1]."""

_CHUNK = 1 << 18
_log = logging.getLogger(__name__)


def field_to_mesh(
    density: Float[Tensor, "d h w"],
    level: float,
    color_at: ColorAt | None,
    bounds: Box,
    *,
    max_faces: int = 20_000,
    keep_fraction: float = 0.02,
    smooth_iterations: int = 3,
    color_inset: float = 0.5,
    name: str = "mesh",
) -> Mesh:
    """The surface where a density crosses a level, as a clean coloured mesh.

    Marching cubes (Lewiner et al. 2003, scikit-image) on a volume padded with emptiness, so that the surface closes
    at the bounds; walls of hidden cavities and components smaller than `keep_fraction` go; stair steps are smoothed;
    quadrics decimate (Garland and Heckbert 1997, fast-simplification); what that pinched is closed again. Equal
    inputs give equal meshes.

    Args:
        density: (D, H, W) indexed [z, y, x]; the first and last samples of an axis lie on the bounds, as in
            grid_sample with align_corners=True. See `sample_density` for a field given as a function.
        level: the density of the surface; inside is above.
        color_at: (P, 3) float32 points in the bounds to (P, 3) sRGB in [0, 1]; None for a mesh without colours.
        bounds: where the samples lie, world units.
        max_faces: the decimation's target; small meshes stay as they are.
        keep_fraction: components below this share of the largest one's volume are floaters.
        smooth_iterations: pairs of Taubin steps on the full-resolution surface; 0 leaves it faceted.
        color_inset: how far below the surface colours are taken, in voxels: at the surface itself a field is
            half air.
        name: the mesh's name.

    Returns:
        A mesh with outward faces, unit normals and colours, watertight unless a warning is logged.

    Raises:
        AssetError: the density is not finite, or lies on one side of the level everywhere.
    """
    volume = density.detach().cpu().double().numpy()
    voxel = _voxel(volume.shape, bounds)
    _check(volume, level)
    vertices, faces = _surface(volume, level, voxel, bounds)
    vertices, faces = keep_large(vertices, faces, keep_fraction)
    if smooth_iterations:
        vertices = topology.smooth(vertices, faces, smooth_iterations)
    if len(faces) > max_faces:
        vertices, faces = _decimate(vertices, faces, max_faces)
    vertices = vertices.astype(np.float32).astype(np.float64)
    if not topology.is_watertight(faces):
        _log.warning("the mesh '%s' has %d faces and is not watertight everywhere", name, len(faces))
    normals = topology.vertex_normals(vertices, faces)
    colors = None
    if color_at is not None:
        inside = (vertices - color_inset * voxel.min() * normals).clip(bounds.low, bounds.high)
        colors = colors_of(torch.from_numpy(inside.astype(np.float32)), color_at)
    return Mesh(
        vertices=torch.from_numpy(vertices.astype(np.float32)),
        faces=torch.from_numpy(faces.astype(np.int64)),
        colors=colors,
        normals=torch.from_numpy(normals.astype(np.float32)),
        name=name,
    )


def sample_density(field: Density, bounds: Box, resolution: int) -> Float[Tensor, "r r r"]:
    """A field on a regular lattice, as `field_to_mesh` takes it.

    Args:
        field: (P, 3) float32 points to (P,) densities; called in chunks, without gradients.
        bounds: the lattice's first and last points lie on them.
        resolution: R points an axis, at least 2.

    Returns:
        (R, R, R) indexed [z, y, x].
    """
    axes = [torch.linspace(bounds.low[i], bounds.high[i], resolution) for i in range(3)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    with torch.no_grad():
        values = torch.cat([field(chunk).reshape(-1).cpu() for chunk in points.split(_CHUNK)])
    return values.reshape(resolution, resolution, resolution)


def _voxel(shape: tuple[int, ...], bounds: Box) -> np.ndarray:
    """(3,) x, y, z distances between samples."""
    if len(shape) != 3 or min(shape) < 2:
        raise AssetError(
            f"A density volume has three axes of at least 2 samples, not the shape {tuple(shape)}."
        )
    return (np.array(bounds.high) - np.array(bounds.low)) / (np.array(shape[::-1]) - 1)


def _check(volume: np.ndarray, level: float) -> None:
    if not np.isfinite(volume).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(volume))[0])
        raise AssetError(
            f"The density is {volume[where]} at index {where} (z, y, x): there is no surface to find."
        )
    low, high = float(volume.min()), float(volume.max())
    if high <= level:
        raise AssetError(
            f"There is no surface at density {level:g}: the field is empty there, its densities lie between {low:g} "
            f"and {high:g}. Lower the level, or train longer: nothing solid has formed."
        )
    if low > level:
        raise AssetError(
            f"There is no surface at density {level:g}: the whole box is denser, between {low:g} and {high:g}. "
            "Raise the level, or raise the weight of the opacity regulariser: the field is fog."
        )


def _surface(
    volume: np.ndarray, level: float, voxel: np.ndarray, bounds: Box
) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes in world coordinates, faces outwards; closed within half a voxel of the bounds."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise MissingPackageError("scikit-image", "mesh export", "pip install scikit-image") from error
    distance = volume - level
    # A sample exactly on the level would put several vertices on one spot and tear the surface.
    margin = 1e-4 * np.abs(distance).max()
    distance = np.where(distance >= 0, np.maximum(distance, margin), np.minimum(distance, -margin))
    padded = np.pad(distance, 1, constant_values=-float(distance.max()))
    # Ascending: the density grows inwards; reversing z, y, x mirrors the faces, so "descent" looks outwards here.
    corners, faces, _, _ = marching_cubes(padded.astype(np.float32), 0.0, gradient_direction="descent")
    vertices = (corners[:, ::-1].astype(np.float64) - 1) * voxel + np.array(bounds.low)
    return vertices, faces.astype(np.int64)


def keep_large(
    vertices: np.ndarray, faces: np.ndarray, keep_fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Components of at least that share of the largest volume; walls of cavities, of negative volume, go too."""
    label = topology.components(faces)
    volumes = topology.signed_volumes(vertices, faces, label)
    keep = volumes >= keep_fraction * volumes.max()
    return topology.compact(vertices, faces[keep[label]])


def _decimate(vertices: np.ndarray, faces: np.ndarray, max_faces: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        import fast_simplification
    except ImportError as error:
        raise MissingPackageError(
            "fast-simplification", "decimation", "pip install fast-simplification"
        ) from error
    points, triangles = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=max_faces
    )[:2]
    return topology.compact(*topology.close(points.astype(np.float64), triangles.astype(np.int64)))


def colors_of(points: Float[Tensor, "p 3"], color_at: ColorAt) -> Float[Tensor, "p 3"]:
    """(P, 3) sRGB in [0, 1] at points, asked for in chunks, without gradients.

    Raises:
        AssetError: the function gives other shapes or numbers that are not finite.
    """
    if not len(points):
        return points.new_zeros(0, 3)
    with torch.no_grad():
        parts = [color_at(chunk).detach().cpu().float() for chunk in points.split(_CHUNK)]
    colors = torch.cat(parts)
    if colors.shape != points.shape or not bool(torch.isfinite(colors).all()):
        raise AssetError(
            f"The colour function gave {tuple(colors.shape)} values, or non-finite ones, for {len(points)} points."
        )
    return colors.clamp(0.0, 1.0)


def decimate(mesh: Mesh, max_faces: int, color_at: ColorAt | None = None) -> Mesh:
    """The mesh with fewer triangles (quadrics, Garland and Heckbert 1997), closed where that pinched it.

    Args:
        max_faces: the target; quadrics may stop a little above it where the surface would fold.
        color_at: (P, 3) points to sRGB; None gives each vertex the colour of the nearest old one.

    Raises:
        AssetError: the mesh has a texture, which would no longer fit. MissingPackageError: fast-simplification is
            absent.
    """
    if mesh.texture is not None or (mesh.material is not None and mesh.uv is not None):
        raise AssetError(
            f"the mesh '{mesh.name}' has a texture, which {max_faces} triangles would not fit; leave out the limit, or "
            "lower the resolution that it is made with"
        )
    old = mesh.vertices.double().cpu().numpy()
    vertices, faces = _decimate(old, mesh.faces.cpu().numpy(), max_faces)
    points = torch.from_numpy(vertices.astype(np.float32))
    colors = None if color_at is None else colors_of(points, color_at)
    if colors is None and mesh.colors is not None:
        from scipy.spatial import cKDTree

        colors = mesh.colors[torch.from_numpy(cKDTree(old).query(vertices)[1])]
    normals = topology.vertex_normals(vertices, faces).astype(np.float32)
    return replace(
        mesh,
        vertices=points,
        faces=torch.from_numpy(faces.astype(np.int64)),
        colors=colors,
        normals=torch.from_numpy(normals),
        uv=None,
    )
