"""The compiled CPU kernels. Arrays are C-contiguous, float32 unless said, and not checked here: call them through
raster.gaussians, raster.march and raster.triangles. Rows of outputs are written in place."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

class GaussianState:
    """What gaussians_forward leaves for gaussians_backward."""

    @property
    def seconds(self) -> list[float]:
        """Processor seconds spent: project, lists, composite, composite backward, project backward."""

def best_instruction_set() -> int:
    """Position in dispatch.INSTRUCTION_SETS of the best code path that this processor and build have."""

def multiply_adds(repeats: int, level: int) -> tuple[float, float]:
    """(floating-point operations done, a number that depends on all of them); for the benchmark."""

def gaussians_forward(
    means: Floats,
    scales: Floats,
    rotations: Floats,
    opacities: Floats,
    sh: Floats,
    view: Floats,
    centre: Floats,
    focal: Floats,
    background: Floats,
    probe: Floats | None,
    rgb: Floats,
    alpha: Floats,
    depth: Floats,
    radii: NDArray[np.int32],
    near: float,
    level: int,
) -> GaussianState | None:
    """Draw into rgb (B, 3, H, W), alpha and depth (B, 1, H, W) and radii (B, N).

    None, and nothing drawn, when an input is not finite."""

def gaussians_backward(
    state: GaussianState,
    means: Floats,
    scales: Floats,
    rotations: Floats,
    opacities: Floats,
    sh: Floats,
    view: Floats,
    centre: Floats,
    focal: Floats,
    background: Floats,
    depth: Floats,
    grad_rgb: Floats | None,
    grad_alpha: Floats | None,
    grad_depth: Floats | None,
    to_means: Floats,
    to_scales: Floats,
    to_rotations: Floats,
    to_opacities: Floats,
    to_sh: Floats,
    to_view: Floats,
    to_centre: Floats,
    to_focal: Floats,
    to_background: Floats,
    to_probe: Floats | None,
) -> None:
    """Write every to_ array; the inputs are those of the forward call, depth is its output."""

# The triangle functions answer -1 when done, -2 for NaN or infinity, -3 for an index that fits no array. Pixels are
# (B, H, W); positions (B, V, 3) are in camera axes; faces (F, 3).

def triangles_place(vertices: Floats, c2w: Floats, positions: Floats, threads: int) -> None:
    """Write positions (B, V, 3) of vertices (V, 3) seen by cameras (B, 4, 4)."""

def triangles_place_backward(
    vertices: Floats,
    c2w: Floats,
    upstream: Floats,
    to_vertices: Floats | None,
    to_c2w: Floats | None,
    threads: int,
) -> None:
    """Write the gradients that are given."""

def triangles_forward(
    positions: Floats,
    faces: NDArray[np.int64],
    focal: Floats,
    face: NDArray[np.int32],
    barycentric: Floats,
    depth: Floats,
    near: float,
    threads: int,
    level: int,
) -> int:
    """Draw into face, barycentric (B, H, W, 3) and depth."""

def triangles_backward(
    positions: Floats,
    faces: NDArray[np.int64],
    focal: Floats,
    face: NDArray[np.int32],
    to_barycentric: Floats | None,
    to_depth: Floats | None,
    to_positions: Floats,
    to_focal: Floats,
    threads: int,
) -> None:
    """Write to_positions and to_focal."""

def triangles_interpolate(
    attributes: Floats,
    faces: NDArray[np.int64] | None,
    face: NDArray[np.int32],
    barycentric: Floats,
    out: Floats,
    threads: int,
) -> int:
    """Write attributes (V, C) with faces, or (F, 3, C) without, into out (B, H, W, C)."""

def triangles_interpolate_backward(
    attributes: Floats,
    faces: NDArray[np.int64] | None,
    face: NDArray[np.int32],
    barycentric: Floats,
    upstream: Floats,
    to_attributes: Floats | None,
    to_barycentric: Floats | None,
    threads: int,
) -> None:
    """Write the gradients that are given."""

def triangles_mip_level(
    positions: Floats,
    faces: NDArray[np.int64],
    focal: Floats,
    face: NDArray[np.int32],
    corners: Floats,
    texels_x: float,
    texels_y: float,
    level: Floats,
) -> int:
    """Write level; corners (F, 3, 2) are texture coordinates."""

def triangles_topology(faces: NDArray[np.int64], partners: NDArray[np.int64], vertex_count: int) -> int:
    """Write partners (F, 3)."""

def triangles_antialias(
    positions: Floats,
    faces: NDArray[np.int64],
    partners: NDArray[np.int64],
    focal: Floats,
    face: NDArray[np.int32],
    depth: Floats,
    image: Floats,
    share: Floats,
    out: Floats,
    threads: int,
) -> int:
    """Write out (B, H, W, C), and into share (B, H, W, 2) what each pixel gives to its right and lower neighbour."""

def triangles_antialias_backward(
    positions: Floats,
    faces: NDArray[np.int64],
    partners: NDArray[np.int64],
    focal: Floats,
    face: NDArray[np.int32],
    depth: Floats,
    image: Floats,
    share: Floats,
    upstream: Floats,
    to_image: Floats,
    to_positions: Floats,
    to_focal: Floats,
    threads: int,
) -> None:
    """Write every to_ array; share is what triangles_antialias left."""

def triangles_texture(
    levels: list[Floats], uv: Floats, level: Floats | None, out: Floats, wrap: bool, threads: int
) -> int:
    """Write samples (B, H, W, C) of levels (h, w, C)."""

def triangles_texture_backward(
    levels: list[Floats],
    uv: Floats,
    level: Floats | None,
    upstream: Floats,
    to_levels: list[Floats],
    to_uv: Floats,
    to_level: Floats | None,
    wrap: bool,
    threads: int,
) -> None:
    """Write every gradient that is given; to_levels is empty where texels need none."""

def surfels_forward(
    transform: Floats,
    centre: Floats,
    values: Floats,
    opacities: Floats,
    order: NDArray[np.int32],
    box: NDArray[np.int32],
    near: float,
    out: Floats,
    last: NDArray[np.int32],
    threads: int,
) -> None:
    """Write out (B, 10, H, W), see surfels_twin.composite, and last (B, H, W): how many of `order` a pixel met."""

def surfels_backward(
    transform: Floats,
    centre: Floats,
    values: Floats,
    opacities: Floats,
    order: NDArray[np.int32],
    box: NDArray[np.int32],
    near: float,
    out: Floats,
    last: NDArray[np.int32],
    gradient: Floats,
    to: Floats,
    threads: int,
) -> None:
    """Write to (B, N, 18): gradients of transform (9), centre (2), opacity and values (6), one slice a view."""

def hash_encode(
    points: Floats,
    table: Floats,
    scales: Sequence[float],
    shapes: Sequence[Sequence[int]],
    active: int,
    out: Floats,
    slopes: Floats | None,
    threads: int,
    level: int,
) -> None:
    """Write the features, and their slopes where an array is given; shapes: resolution, rows, first row, dense."""

def hash_encode_backward(
    points: Floats,
    scales: Sequence[float],
    shapes: Sequence[Sequence[int]],
    active: int,
    to_out: Floats | None,
    to_slopes: Floats | None,
    gradient: Floats,
    threads: int,
    level: int,
) -> None:
    """Write d loss / d table into gradient."""

def hash_encode_points_backward(
    points: Floats,
    table: Floats,
    scales: Sequence[float],
    shapes: Sequence[Sequence[int]],
    active: int,
    to_out: Floats,
    gradient: Floats,
    threads: int,
    level: int,
) -> None:
    """Write d loss / d points into gradient."""

def perceptron_forward(
    x: Floats, weights: Sequence[Floats], biases: Sequence[Floats], y: Floats, threads: int, level: int
) -> None:
    """Write the last layer's outputs."""

def perceptron_backward(
    x: Floats,
    weights: Sequence[Floats],
    biases: Sequence[Floats],
    to_y: Floats,
    to_x: Floats | None,
    to_weights: Sequence[Floats],
    to_biases: Sequence[Floats],
    threads: int,
    level: int,
) -> None:
    """Write every to_ array that is given."""

def rays_count(
    cells: NDArray[np.uint8],
    origins: Floats,
    directions: Floats,
    offsets: Floats,
    half: float,
    samples: int,
    starts: NDArray[np.int64],
    threads: int,
) -> None:
    """Write where each ray's samples begin, and their number."""

def rays_place(
    cells: NDArray[np.uint8],
    origins: Floats,
    directions: Floats,
    offsets: Floats,
    half: float,
    samples: int,
    starts: NDArray[np.int64],
    ray: NDArray[np.int64],
    distance: Floats,
    length: Floats,
    points: Floats,
    threads: int,
) -> None:
    """Write the samples."""

def rays_weights(
    density: Floats, length: Floats, starts: NDArray[np.int64], stop: float, weight: Floats, threads: int
) -> None:
    """Write the weight of each sample."""

def rays_weights_backward(
    density: Floats,
    length: Floats,
    starts: NDArray[np.int64],
    stop: float,
    weight: Floats,
    to_weight: Floats,
    gradient: Floats,
    threads: int,
) -> None:
    """Write d loss / d density."""

def rays_sums(weight: Floats, values: Floats, starts: NDArray[np.int64], sums: Floats, threads: int) -> None:
    """Write sums along rays."""

def rays_sums_backward(
    weight: Floats,
    values: Floats,
    starts: NDArray[np.int64],
    to_sums: Floats,
    to_weight: Floats,
    to_values: Floats | None,
    threads: int,
) -> None:
    """Write both gradients, that of the values where an array is given."""
