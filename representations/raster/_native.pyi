"""The compiled CPU kernels. Arrays are C-contiguous, float32 unless said, and not checked here: call them through
raster.gaussians and raster.march. Rows of outputs are written in place."""

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
    """Draw positions (B, V, 3), camera axes, into face (B, H, W), barycentric (B, H, W, 3) and depth (B, H, W).

    -1: done; -2: a position or focal length is not finite; else the first face with a vertex out of range."""

def triangles_interpolate(
    attributes: Floats,
    faces: NDArray[np.int64] | None,
    face: NDArray[np.int32],
    barycentric: Floats,
    out: Floats,
    threads: int,
) -> int:
    """Write attributes (V, C) with faces, or (F, 3, C) without, into out (B, H, W, C); returns as forward does."""
