"""Pictures of meshes for evaluation: what an exported mesh looks like from our cameras.

No lighting, not differentiable: vertex colours as they are, faces seen from both sides. It judges results and
makes ground truth.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh
from ..core.cameras import Cameras
from ..core.look import Render
from ..representations.raster.triangles import camera_positions, interpolate, rasterize

_NEAR = 0.01
_PLAIN = 0.7


@torch.no_grad()
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
    vertices, faces, cameras = mesh.vertices.float().cpu(), mesh.faces.cpu(), cameras.to("cpu")
    if bool((camera_positions(vertices, cameras)[..., 2] <= _NEAR).any()):
        raise ValueError(
            "the mesh reaches behind the camera; this renderer is for cameras outside the object"
        )
    plain = torch.full((len(vertices), 3), _PLAIN)
    colors = plain if mesh.colors is None else mesh.colors.float().cpu()
    behind = torch.ones(len(cameras), 3) if background is None else background.float().cpu()
    fine = (size[0] * samples, size[1] * samples)
    seen = rasterize(vertices, faces, cameras, fine, near=_NEAR)
    hit = (seen.face >= 0)[:, None].float()
    shown = interpolate(colors, seen, faces).permute(0, 3, 1, 2).clamp(0, 1)
    rgb = shown + (1 - hit) * behind[:, :, None, None]
    rgb, alpha, depth = (
        torch.nn.functional.avg_pool2d(image, samples) for image in (rgb, hit, seen.depth[:, None])
    )
    return {"rgb": rgb, "alpha": alpha, "depth": torch.where(alpha > 0, depth / alpha, 0.0)}
