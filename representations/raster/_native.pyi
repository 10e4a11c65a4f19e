"""The compiled CPU kernels. Arrays are C-contiguous, float32 unless said, and not checked here: call them through
raster.gaussians and raster.march. Rows of outputs are written in place."""

from torch import Tensor

class GaussianState:
    """What gaussians_forward leaves for gaussians_backward."""

def best_instruction_set() -> int:
    """Position in dispatch.INSTRUCTION_SETS of the best code path that this processor and build have."""

def first_nonfinite(array: Tensor) -> int:
    """Flat index of the first NaN or infinity, or -1."""

def gaussians_forward(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Tensor,
    focal: Tensor,
    background: Tensor,
    probe: Tensor | None,
    rgb: Tensor,
    alpha: Tensor,
    depth: Tensor,
    radii: Tensor,
    near: float,
    level: int,
) -> GaussianState:
    """Draw into rgb (B, 3, H, W), alpha and depth (B, 1, H, W) and radii (B, N) int32."""

def gaussians_backward(
    state: GaussianState,
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Tensor,
    focal: Tensor,
    background: Tensor,
    depth: Tensor,
    grad_rgb: Tensor | None,
    grad_alpha: Tensor | None,
    grad_depth: Tensor | None,
    to_means: Tensor,
    to_scales: Tensor,
    to_rotations: Tensor,
    to_opacities: Tensor,
    to_sh: Tensor,
    to_view: Tensor,
    to_focal: Tensor,
    to_background: Tensor,
    to_probe: Tensor | None,
) -> None:
    """Write every to_ array; the inputs are those of the forward call, depth is its output."""
