"""Antialiasing of silhouettes: one signature over the native kernels and the twin.

Conventions, formulas and the reference implementation are in `triangles_antialias_twin`.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.cameras import Cameras

from . import triangles_antialias_twin, triangles_native, triangles_nvdiffrast
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
    "twin": triangles_antialias_twin,
    "warp": triangles_warp,
    "nvdiffrast": triangles_nvdiffrast,
}


def topology(
    faces: Int[Tensor, "f 3"], vertex_count: int, *, implementation: Implementation = "auto"
) -> Int[Tensor, "f 3"]:
    """Which faces share edges.

    Args:
        faces: (F, 3) int32 or int64 indices of `vertex_count` vertices.

    Returns:
        (F, 3) int64; entry i belongs to the edge opposite corner i and is 3 f + j for that edge's place in the one
        other face f that has it; -1 where no other face, or more than one, has it. Vertices doubled along a seam
        end the surface there: use faces of positions, not of uv.

    Raises:
        RasterError: faces are no (F, 3) integers, an index is out of range, or the device is not served.
    """
    require_faces("topology", faces, faces)
    like = faces.new_empty(0).float()
    return call(
        "triangles_topology",
        implementation,
        KERNELS,
        like,
        lambda kernels: kernels.topology(faces, vertex_count),
        lambda: check_faces("topology", faces, vertex_count),
    )


def antialias(
    image: Float[Tensor, "b h w c"],
    fragments: Fragments,
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    cameras: Cameras,
    *,
    partners: Int[Tensor, "f 3"] | None = None,
    implementation: Implementation = "auto",
) -> Float[Tensor, "b h w c"]:
    """The image with silhouettes blended by how much of a pixel they cover; differentiable in the image, and
    through coverage in the vertices and cameras.

    "Modular Primitives for High-Performance Differentiable Rendering" (Laine et al., 2020, arXiv 2011.03277),
    section 3.6.

    Args:
        image: (B, H, W, C) anything that was computed at the pixel centres, background included.
        fragments: of `rasterize` with the same vertices (V, 3), faces (F, 3) and cameras.
        partners: `topology(faces, V)`, for callers whose faces stay; found here if None.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types, devices or indices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    face, depth = fragments.face, fragments.depth
    require_floats("antialias", "vertices", vertices, (None, 3))
    require_faces("antialias", faces, vertices)
    require_floats("antialias", "image", image, (*face.shape, None), vertices)
    require_floats("antialias", "fragments.depth", depth, tuple(face.shape), vertices)
    if len(cameras) != len(face):
        raise RasterError(f"antialias: {len(cameras)} cameras, but fragments of {len(face)} views")
    if partners is None:
        partners = topology(faces, len(vertices), implementation=implementation)
    if partners.shape != faces.shape:
        raise RasterError(f"antialias: partners is {tuple(partners.shape)}, faces {tuple(faces.shape)}")
    positions, focal = seen_by(vertices, cameras, (face.shape[1], face.shape[2]), implementation)

    def check() -> None:
        check_place("antialias", vertices, faces, cameras)
        check_finite("antialias", {"image": image})
        check_fragments("antialias", face, faces)
        if bool(((partners < -1) | (partners >= partners.numel())).any()):
            raise RasterError("antialias: partners belong to other faces")

    return call(
        "antialias",
        implementation,
        KERNELS,
        vertices,
        lambda kernels: kernels.antialias(image, positions, faces, partners, focal, face, depth),
        check,
    )
