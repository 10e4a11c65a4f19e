"""Texture sampling: one signature over the native kernels and the twin.

Conventions, formulas and the reference implementation are in `triangles_texture_twin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.cameras import Cameras

from . import triangles_native, triangles_nvdiffrast, triangles_texture_twin
from .dispatch import Implementation, RasterError
from .triangles import Fragments, check_place, seen_by
from .triangles_checks import (
    call,
    check_faces,
    check_finite,
    check_fragments,
    require_faces,
    require_floats,
)
from .warp import triangles as triangles_warp

KERNELS = {
    "native": triangles_native,
    "twin": triangles_texture_twin,
    "warp": triangles_warp,
    "nvdiffrast": triangles_nvdiffrast,
}


def pyramid(image: Float[Tensor, "h w c"], levels: int | None = None) -> list[Tensor]:
    """The texture and its halvings down to one texel, or the first `levels` of them; differentiable.

    Each level is the mean over boxes of the one before; odd sizes are rounded down and their boxes overlap.
    """
    out = [image]
    while max(out[-1].shape[:2]) > 1 and (levels is None or len(out) < levels):
        height, width = (max(1, n // 2) for n in out[-1].shape[:2])
        channels_first = out[-1].permute(2, 0, 1)
        smaller = torch.nn.functional.adaptive_avg_pool2d(channels_first, (height, width))
        out.append(smaller.permute(1, 2, 0))
    return out


def mip_level(
    uv: Float[Tensor, "v 2"] | Float[Tensor, "f 3 2"],
    fragments: Fragments,
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    cameras: Cameras,
    texels: tuple[int, int],
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "b h w"]:
    """The pyramid level whose texels are as large as a pixel, in its longest direction; no gradients.

    Args:
        uv: texture coordinates, one row a vertex, or (F, 3, 2) one a face's corner.
        fragments: of `rasterize` with the same vertices, faces and cameras.
        texels: (height, width) of level 0.

    Returns:
        (B, H, W) binary logarithms, 0 where a texel is larger than a pixel and where there is no face.

    Raises:
        RasterError: shapes, types, devices or indices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    require_floats("mip_level", "vertices", vertices, (None, 3))
    require_faces("mip_level", faces, vertices)
    shape = (len(vertices), 2) if uv.ndim == 2 else (len(faces), 3, 2)
    require_floats("mip_level", "uv", uv, shape, vertices)
    face = fragments.face
    if len(cameras) != len(face):
        raise RasterError(f"mip_level: {len(cameras)} cameras, but fragments of {len(face)} views")

    def check() -> None:
        check_place("mip_level", vertices, faces, cameras)
        check_finite("mip_level", {"uv": uv})
        check_fragments("mip_level", face, faces)

    with torch.no_grad():
        if uv.ndim == 2:
            check_faces("mip_level", faces, len(vertices))
            uv = uv[faces.long()]
        positions, focal = seen_by(vertices, cameras, (face.shape[1], face.shape[2]), implementation)
        return call(
            "mip_level",
            implementation,
            KERNELS,
            vertices,
            lambda kernels: kernels.mip_level(uv, positions, faces, focal, face, texels),
            check,
        )


def texture(
    levels: Float[Tensor, "h w c"] | Sequence[Tensor],
    uv: Float[Tensor, "b y x 2"],
    level: Float[Tensor, "b y x"] | None = None,
    *,
    boundary: Literal["wrap", "clamp"] = "wrap",
    implementation: Implementation = "auto",
) -> Float[Tensor, "b y x c"]:
    """Bilinear samples of a texture, or trilinear ones of its pyramid; differentiable in every argument.

    Args:
        levels: the texture (h, w, C), or its `pyramid`, whose levels are (h, w, C), finest first.
        uv: (B, H, W, 2) where to sample; glTF's convention: the texture covers the unit square, (0, 0) is its top
            left corner. Background pixels are sampled as well: mask them.
        level: (B, H, W) pyramid level of each pixel, between levels a mixture; clamped to those that are there.
            None for the finest.
        boundary: outside the unit square the texture repeats ("wrap"), or its edge goes on ("clamp").
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    images = [levels] if isinstance(levels, Tensor) else list(levels)
    if not images or boundary not in ("wrap", "clamp"):
        raise RasterError(
            f"texture: {len(images)} levels, boundary {boundary!r}: at least one, wrap or clamp"
        )
    require_floats("texture", "uv", uv, (None, None, None, 2))
    for number, image in enumerate(images):
        require_floats("texture", f"levels[{number}]", image, (None, None, images[0].shape[-1]), uv)
        if not image.numel():
            raise RasterError(f"texture: levels[{number}] is empty, {tuple(image.shape)}")
    arrays = {"uv": uv} | {f"levels[{number}]": image for number, image in enumerate(images)}
    if level is not None:
        require_floats("texture", "level", level, tuple(uv.shape[:3]), uv)
        arrays["level"] = level
    return call(
        "texture",
        implementation,
        KERNELS,
        uv,
        lambda kernels: kernels.texture(images, uv, level, boundary == "wrap"),
        lambda: check_finite("texture", arrays),
    )
