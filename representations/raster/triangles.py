"""Triangle rasterization: one signature a function over the native kernels and the twins.

Conventions, formulas and the reference implementation are in `triangles_twin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from sds3d.core.cameras import Cameras
from sds3d.core.errors import NonFiniteError

from . import triangles_native, triangles_twin
from .dispatch import Implementation, RasterError, choose


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
    cameras (silhouettes are not: see `antialias`).

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
    arrays = {"vertices": vertices, "cameras.c2w": cameras.c2w, "cameras.fov_y_deg": cameras.fov_y_deg}
    _require("rasterize", "vertices", vertices, (None, 3))
    _require_faces("rasterize", faces, vertices)
    if not len(cameras) or min(size) < 1 or near <= 0:
        raise RasterError(
            f"rasterize: {len(cameras)} cameras, image size {tuple(size)}, near {near}: all must be positive"
        )
    kernels = _kernels("rasterize_triangles", implementation, vertices)
    if kernels is triangles_twin:
        _check_finite("rasterize", arrays)
        _check_faces("rasterize", faces, len(vertices))
    positions, focal = camera_positions(vertices, cameras), cameras.focal(size[0]).to(vertices.dtype)
    try:
        return Fragments(*kernels.rasterize(positions, faces, focal, size, near))
    except (NonFiniteError, RasterError):
        _check_finite("rasterize", arrays)
        _check_faces("rasterize", faces, len(vertices))
        raise


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
    _require("interpolate", "attributes", attributes, shape)
    _require_faces("interpolate", faces, attributes)
    _require("interpolate", "fragments.barycentric", fragments.barycentric, (*fragments.face.shape, 3))
    if fragments.barycentric.dtype != attributes.dtype or fragments.barycentric.device != attributes.device:
        raise RasterError(
            f"interpolate: attributes are {attributes.dtype} on {attributes.device}, fragments "
            f"{fragments.barycentric.dtype} on {fragments.barycentric.device}"
        )
    kernels = _kernels("interpolate", implementation, attributes)
    rows = len(attributes) if attributes.ndim == 2 else None
    if kernels is triangles_twin:
        _check_finite("interpolate", {"attributes": attributes})
        _check_faces("interpolate", faces, rows)
        _check_fragments(fragments, faces)
    try:
        return kernels.interpolate(attributes, faces, fragments.face, fragments.barycentric)
    except (NonFiniteError, RasterError):
        _check_finite("interpolate", {"attributes": attributes})
        _check_faces("interpolate", faces, rows)
        _check_fragments(fragments, faces)
        raise


def camera_positions(vertices: Float[Tensor, "v 3"], cameras: Cameras) -> Float[Tensor, "b v 3"]:
    """(B, V, 3) vertices in camera axes right, down, forward; c2w is taken as rigid.

    Element by element: vertices at the same place come to the same place, to the last bit, so that a mesh
    whose vertices are doubled along a seam has no gaps there.
    """
    c2w = cameras.c2w.to(vertices.dtype)
    offset = vertices[None] - c2w[:, None, :3, 3]
    x, y, z = offset.split(1, dim=2)
    rows = c2w[:, None, :3, :3]
    upright = x * rows[:, :, 0] + y * rows[:, :, 1] + z * rows[:, :, 2]
    return upright * upright.new_tensor([1.0, -1.0, -1.0])


def _kernels(function: str, implementation: Implementation, array: Tensor) -> ModuleType:
    choice = choose(function, implementation, array.device, array.dtype)
    return triangles_native if choice == "native" else triangles_twin


def _require(function: str, name: str, value: Tensor, shape: tuple[int | None, ...]) -> None:
    fits = value.ndim == len(shape) and all(
        s is None or s == n for s, n in zip(shape, value.shape, strict=True)
    )
    if not fits or not value.is_floating_point():
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise RasterError(
            f"{function}: {name} must be floats ({wanted}), got {value.dtype} {tuple(value.shape)}"
        )


def _require_faces(function: str, faces: Tensor, like: Tensor) -> None:
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype not in (torch.int32, torch.int64):
        raise RasterError(
            f"{function}: faces must be (F, 3) int32 or int64, got {faces.dtype} {tuple(faces.shape)}"
        )
    if faces.device != like.device:
        raise RasterError(f"{function}: faces are on {faces.device}, the other arrays on {like.device}")


def _check_finite(function: str, arrays: dict[str, Tensor]) -> None:
    for name, array in arrays.items():
        bad = ~torch.isfinite(array.detach())
        if bool(bad.any()):
            index = tuple(bad.nonzero()[0].tolist())
            raise NonFiniteError(
                f"{function}: {name}[{', '.join(map(str, index))}] is {array[index].item()}; every argument "
                "must be finite. Look at the step before: a learning rate too high or a loss of NaN."
            )


def _check_faces(function: str, faces: Tensor, vertices: int | None) -> None:
    if vertices is None:
        return
    bad = ((faces < 0) | (faces >= vertices)).any(dim=1).nonzero()
    if len(bad):
        at = int(bad[0])
        raise RasterError(
            f"{function}: faces[{at}] is {faces[at].tolist()}, but there are {vertices} vertices"
        )


def _check_fragments(fragments: Fragments, faces: Tensor) -> None:
    if fragments.face.numel() and int(fragments.face.max()) >= len(faces):
        raise RasterError(
            f"interpolate: the fragments see face {int(fragments.face.max())}, but there are {len(faces)} faces"
        )
