"""Triangle rasterization and interpolation: one signature over the native kernels and the twins.

Conventions, formulas and the reference implementation are in `triangles_twin`. Silhouettes are smoothed, and get
their gradients, in `triangles_antialias`; textures are sampled in `triangles_texture`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from sds3d.core.cameras import Cameras

from . import triangles_native, triangles_nvdiffrast, triangles_twin
from .dispatch import Implementation, RasterError, native_module
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
    "twin": triangles_twin,
    "warp": triangles_warp,
    "nvdiffrast": triangles_nvdiffrast,
}


@dataclass(frozen=True)
class Fragments:
    """What the centre of each pixel of B views sees of a mesh.

    Args:
        face: (B, H, W) int32, index of the nearest face; -1 where there is none.
        barycentric: (B, H, W, 3) weights in [0, 1] of the face's three corners at the point that is seen
            (perspective-correct: they weigh what is linear on the triangle); they add up to 1, or are 0.
        depth: (B, H, W) distance of that point along the view axis, world units; 0 where there is no face.
    """

    face: Int32[Tensor, "b h w"]
    barycentric: Float[Tensor, "b h w 3"]
    depth: Float[Tensor, "b h w"]


def rasterize(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    cameras: Cameras,
    size: tuple[int, int],
    *,
    near: float = 0.01,
    implementation: Implementation = "auto",
) -> Fragments:
    """The nearest triangle at every pixel centre; barycentrics and depth are differentiable in the vertices and
    cameras (which face is seen is not: see `triangles_antialias`).

    Triangles are seen from both sides and may reach through the near plane or behind the camera: of those the
    part beyond `near` is drawn. Triangles seen edge-on or without area cover nothing. A pixel centre on an edge
    that two triangles share belongs to exactly one of them (the top-left rule). At equal depth (as float32) the
    face of the lowest index is seen.

    Args:
        vertices: (V, 3) world positions. faces: (F, 3) int32 or int64 indices of vertices; F may be 0.
        cameras: B cameras. size: (height, width) in pixels.
        near: depth in world units, > 0, up to which nothing is drawn.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types, devices or indices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    require_floats("rasterize", "vertices", vertices, (None, 3))
    require_faces("rasterize", faces, vertices)
    if not len(cameras) or min(size) < 1 or near <= 0:
        raise RasterError(
            f"rasterize: {len(cameras)} cameras, image size {tuple(size)}, near {near}: all must be positive"
        )
    positions, focal = seen_by(vertices, cameras, size, implementation)

    def check() -> None:
        check_place("rasterize", vertices, faces, cameras)

    return Fragments(
        *call(
            "rasterize_triangles",
            implementation,
            KERNELS,
            vertices,
            lambda kernels: kernels.rasterize(positions, faces, focal, size, near),
            check,
        )
    )


def interpolate(
    attributes: Float[Tensor, "v c"] | Float[Tensor, "f 3 c"],
    fragments: Fragments,
    faces: Int[Tensor, "f 3"],
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "b h w c"]:
    """Attributes at what each pixel sees, 0 where there is no face; differentiable in attributes and barycentrics.

    Args:
        attributes: (V, C) one row a vertex, or (F, 3, C) one row a face's corner.
        fragments: of `rasterize` with the same faces (F, 3).
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types, devices or indices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    shape = (None, None) if attributes.ndim == 2 else (len(faces), 3, None)
    require_floats("interpolate", "attributes", attributes, shape)
    require_faces("interpolate", faces, attributes)
    face, barycentric = fragments.face, fragments.barycentric
    require_floats("interpolate", "fragments.barycentric", barycentric, (*face.shape, 3), attributes)

    def check() -> None:
        check_finite("interpolate", {"attributes": attributes})
        if attributes.ndim == 2:
            check_faces("interpolate", faces, len(attributes))
        check_fragments("interpolate", face, faces)

    return call(
        "interpolate",
        implementation,
        KERNELS,
        attributes,
        lambda kernels: kernels.interpolate(attributes, faces, face, barycentric),
        check,
    )


def camera_positions(
    vertices: Float[Tensor, "v 3"], cameras: Cameras, *, implementation: Implementation = "auto"
) -> Float[Tensor, "b v 3"]:
    """(B, V, 3) vertices in camera axes right, down, forward, by the native kernel or, elsewhere, by the twin."""
    by_kernel = implementation in ("auto", "native") and vertices.device.type == "cpu"
    if by_kernel and vertices.dtype == torch.float32 and native_module()[0] is not None:
        return triangles_native.place(vertices, cameras.c2w.float())
    return triangles_twin.place(vertices, cameras.c2w.to(vertices.dtype))


def seen_by(
    vertices: Float[Tensor, "v 3"],
    cameras: Cameras,
    size: tuple[int, int],
    implementation: Implementation = "auto",
) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, " b"]]:
    """What the kernels take: vertices in camera axes and focal lengths in pixels."""
    positions = camera_positions(vertices, cameras, implementation=implementation)
    return positions, cameras.focal(size[0]).to(vertices.dtype)


def check_place(function: str, vertices: Tensor, faces: Tensor, cameras: Cameras) -> None:
    """Raise what is wrong with the values of a mesh in front of cameras, by name and index."""
    places = {"vertices": vertices, "cameras.c2w": cameras.c2w, "cameras.fov_y_deg": cameras.fov_y_deg}
    check_finite(function, places)
    check_faces(function, faces, len(vertices))
