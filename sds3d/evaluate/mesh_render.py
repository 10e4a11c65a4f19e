"""A small z-buffer renderer of meshes for evaluation: what an exported mesh looks like from our cameras.

Plain numpy, not differentiable, no lighting: vertex colours as they are, faces seen from both sides. It judges
results and makes ground truth; training uses the rasterization core.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh
from ..core.cameras import Cameras
from ..core.look import Render

_PAIRS_AT_ONCE = 2_000_000
_PLAIN = 0.7


@dataclass(frozen=True)
class _Projected:
    """Corners of one view's faces: pixel positions (F, 3, 2), depth along the view axis (F, 3), doubled area (F,)."""

    xy: np.ndarray
    depth: np.ndarray
    area: np.ndarray


def _project(
    vertices: np.ndarray, faces: np.ndarray, world_to_camera: np.ndarray, focal: float, size
) -> _Projected:
    camera = vertices @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    depth = -camera[:, 2]
    if depth.min() <= 1e-6:
        raise ValueError(
            "the mesh reaches behind the camera; this renderer is for cameras outside the object"
        )
    height, width = size
    xy = np.stack(
        [width / 2 + focal * camera[:, 0] / depth, height / 2 - focal * camera[:, 1] / depth], axis=-1
    )
    corner = xy[faces]
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    return _Projected(corner, depth[faces], a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _chunks(counts: np.ndarray) -> list[slice]:
    """Consecutive faces whose candidate pixels together stay near the memory limit."""
    block = np.cumsum(counts) // _PAIRS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(counts)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _pairs(low: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every (face, x, y) in the faces' pixel boxes; low, extent: (F, 2) integers x, y."""
    count = extent[:, 0] * extent[:, 1]
    face = np.repeat(np.arange(len(low)), count)
    within = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    return face, low[face, 0] + within % extent[face, 0], low[face, 1] + within // extent[face, 0]


def _nearest(view: _Projected, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per pixel centre: index of the nearest face or -1 (H W,), its barycentrics (H W, 3), depth (H W,)."""
    height, width = size
    limit = np.array([width, height])
    low = np.clip(np.ceil(view.xy.min(1) - 0.5), 0, limit).astype(np.int64)
    high = np.clip(np.floor(view.xy.max(1) - 0.5) + 1, 0, limit).astype(np.int64)
    extent = np.maximum(high - low, 0) * (np.abs(view.area) > 1e-12)[:, None]
    winner = np.full(height * width, -1)
    weight, best = np.zeros((height * width, 3)), np.full(height * width, np.inf)
    for part in _chunks(extent.prod(1)):
        face, x, y = _pairs(low[part], extent[part])
        face += part.start
        corner, centre = view.xy[face], np.stack([x, y], axis=-1) + 0.5
        edge = corner - centre[:, None]
        cross = edge[:, [1, 2, 0], 0] * edge[:, [2, 0, 1], 1] - edge[:, [1, 2, 0], 1] * edge[:, [2, 0, 1], 0]
        screen = cross / view.area[face][:, None]
        inside = (screen >= 0).all(1)
        face, pixel = face[inside], (y * width + x)[inside]
        # perspective-correct: weights over depth are linear on the screen
        over_depth = screen[inside] / view.depth[face]
        depth = 1.0 / over_depth.sum(1)
        np.minimum.at(best, pixel, depth)
        wins = depth == best[pixel]
        winner[pixel[wins]] = face[wins]
        weight[pixel[wins]] = over_depth[wins] * depth[wins][:, None]
    return winner, weight, best


def _average(image: np.ndarray, size: tuple[int, int], samples: int) -> np.ndarray:
    """(H s · W s, C) -> (C, H, W): mean over the s × s samples of every pixel."""
    height, width = size
    return image.reshape(height, samples, width, samples, -1).mean((1, 3)).transpose(2, 0, 1)


def render_mesh(
    mesh: Mesh,
    cameras: Cameras,
    size: tuple[int, int],
    background: Float[Tensor, "b 3"] | None = None,
    samples: int = 1,
) -> Render:
    """Pictures of a mesh with vertex colours.

    Args:
        size: (height, width) in pixels. background: (B, 3) RGB in [0, 1]; white by default.
        samples: samples per pixel and axis; 1 samples the pixel centre alone, so that alpha is 0 or 1.

    Returns:
        rgb (B, 3, H, W) in [0, 1] over the background; alpha (B, 1, H, W); depth (B, 1, H, W) in world units along
        the view axis, the mean of the covered samples, 0 where there are none.

    Raises:
        ValueError: the mesh is empty, reaches behind a camera, or has a texture in place of vertex colours.
    """
    if len(mesh.faces) == 0:
        raise ValueError("the mesh has no faces to render")
    if mesh.colors is None and mesh.texture is not None:
        raise ValueError("render_mesh shows vertex colours; bake the texture into vertex colours first")
    vertices, faces = mesh.vertices.double().cpu().numpy(), mesh.faces.cpu().numpy()
    plain = np.full((len(vertices), 3), _PLAIN)
    colors = plain if mesh.colors is None else mesh.colors.double().cpu().numpy()
    fine = (size[0] * samples, size[1] * samples)
    behind = torch.ones(len(cameras), 3) if background is None else background
    out: dict[str, list[np.ndarray]] = {"rgb": [], "alpha": [], "depth": []}
    views = zip(
        cameras.world_to_camera().double().numpy(), cameras.focal(fine[0]).tolist(), behind, strict=True
    )
    for matrix, focal, back in views:
        winner, weight, best = _nearest(_project(vertices, faces, matrix, focal, fine), fine)
        hit = winner >= 0
        rgb = np.repeat(back.double().numpy()[None], len(winner), axis=0)
        rgb[hit] = (colors[faces[winner[hit]]] * weight[hit][:, :, None]).sum(1)
        alpha = _average(hit.astype(np.float64)[:, None], size, samples)
        depth = _average(np.where(hit, best, 0.0)[:, None], size, samples)
        out["rgb"].append(_average(rgb, size, samples))
        out["alpha"].append(alpha)
        out["depth"].append(np.divide(depth, alpha, out=np.zeros_like(depth), where=alpha > 0))
    return {name: torch.from_numpy(np.stack(maps).astype(np.float32)) for name, maps in out.items()}
