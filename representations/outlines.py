"""Pictures of triangles with outlines that have gradients: what every representation of triangles ends with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.cameras import Cameras

from .raster.dispatch import Implementation
from .raster.triangles import Fragments
from .raster.triangles_antialias import antialias


def blended(
    rgb: Float[Tensor, "b y x 3"],
    normal: Float[Tensor, "b y x 3"],
    seen: Fragments,
    scene: tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"], Cameras],
    partners: Int[Tensor, "f 3"],
    samples: int,
    implementation: Implementation,
) -> Mapping[str, Tensor]:
    """What was read at the centres of samples, blended along silhouettes by the share that is covered.

    Args:
        rgb: of what is seen, the background where nothing is. normal: unit vectors in world axes, 0 there.
        seen, scene: fragments of (vertices, faces, cameras). partners: see raster.triangles_antialias.topology.
        samples: along each side of a pixel.

    Returns:
        rgb, alpha, depth, normal (B, C, y / samples, x / samples) as in core.look; rgb and alpha, which blending may
        carry beyond, in [0, 1]. Depth and normals are means over the covered part.
    """
    alpha = (seen.face >= 0)[..., None].to(rgb)
    image = torch.cat([rgb, alpha, seen.depth[..., None], normal], dim=-1)
    image = antialias(image, seen, *scene, partners=partners, implementation=implementation)
    rgb, alpha, depth, normal = F.avg_pool2d(image.movedim(3, 1), samples).split([3, 1, 1, 3], dim=1)
    return {
        "rgb": rgb.clamp(0.0, 1.0),
        "alpha": alpha.clamp(0.0, 1.0),
        "depth": depth / alpha.clamp_min(1e-8),
        "normal": F.normalize(normal, dim=1, eps=1e-12),
    }
