"""Pictures of a coloured mesh through the rasterization core: colours, silhouettes, depth and normals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.cameras import Cameras
from sds3d.core.look import Look, Render

from ..faces import face_normals
from ..outlines import blended
from ..raster.triangles import interpolate, rasterize
from ..raster.triangles_antialias import topology
from .options import Options

ColorAt = Callable[[Tensor], Tensor]
"""(N, 3) points to (N, 3) sRGB."""


def vertex_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """(V, 3) unit normals, faces weighted by area; 0 where the faces of a vertex cancel."""
    each = face_normals(vertices, faces).repeat_interleave(3, dim=0)
    return F.normalize(torch.zeros_like(vertices).index_add(0, faces.reshape(-1), each), dim=1, eps=1e-20)


def draw(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    color_at: ColorAt,
    look: Look,
    options: Options,
) -> Render:
    """rgb over the background, alpha, depth, normal in world axes (see representations.outlines), and "partners" of the
    faces for `regularise`."""
    if look.cameras is None:
        raise ValueError("a mesh needs cameras in its look")
    cameras, kernels = look.cameras.to(vertices.device), options.rasterizer
    fine = (look.size[0] * options.samples, look.size[1] * options.samples)
    seen = rasterize(vertices, faces, cameras, fine, implementation=kernels)
    hit = seen.face >= 0
    normals = vertex_normals(vertices, faces)
    attributes = [vertices, normals]
    if options.color_at == "vertices":
        attributes.append(color_at(vertices))
    maps = interpolate(torch.cat(attributes, dim=1), seen, faces, implementation=kernels)
    normal = F.normalize(maps[..., 3:6], dim=-1, eps=1e-12)
    color = maps[..., 6:]
    if options.color_at == "pixels":
        color = torch.zeros_like(normal).index_put((hit,), color_at(maps[hit][:, :3]))
    behind = look.background.to(vertices)[:, None, None, :]
    shown = picture(color, normal, seen.depth, cameras, options.picture, options.half_extent)
    rgb = torch.where(hit[..., None], shown, behind)
    partners = topology(faces, len(vertices), implementation=kernels)
    scene = (vertices, faces, cameras)
    out = blended(rgb, normal, seen, scene, partners, options.samples, kernels)
    return {**out, "partners": partners}


def picture(
    color: Float[Tensor, "b h w 3"],
    normal: Float[Tensor, "b h w 3"],
    depth: Float[Tensor, "b h w"],
    cameras: Cameras,
    kind: Literal["color", "normal", "depth"],
    half: float,
) -> Float[Tensor, "b h w 3"]:
    """What the prior is shown: colours, normals in the camera's axes (right, up, towards it) as (n + 1) / 2, or
    nearness: 1 at the front of the ball of radius `half`, 0 at its back."""
    if kind == "color":
        return color
    if kind == "normal":
        return 0.5 + 0.5 * torch.einsum("bhwi,bij->bhwj", normal, cameras.c2w[:, :3, :3].to(normal))
    near = (cameras.distance.to(depth)[:, None, None] + half - depth) / (2.0 * half)
    return near.clamp(0.0, 1.0)[..., None].expand(-1, -1, -1, 3)
