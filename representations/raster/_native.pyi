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
