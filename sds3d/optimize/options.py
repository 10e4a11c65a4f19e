"""Options of the optimisation loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..config.options import Options, Scalar
from ..core import schedules
from .loss_scale import LossScaleOptions

MAX_SIDE = 8192
_CHECKED = 100


def _drawable(size: schedules.Schedule) -> schedules.Schedule:
    for k in range(_CHECKED + 1):
        if not 1 <= size(k / _CHECKED) <= MAX_SIDE:
            raise ValueError(
                f"a side is 1 to {MAX_SIDE} pixels, got {size(k / _CHECKED):g} at {k / _CHECKED:.0%} of the run"
            )
    return size


Side = Annotated[Scalar, AfterValidator(_drawable)]
"""Side of a picture in pixels, or a schedule of it over the run."""


class OptimizeOptions(Options):
    """How a stage is optimised."""

    steps: int = Field(default=400, ge=1, le=1_000_000)
    """Optimisation steps."""
    views: int = Field(default=4, ge=1, le=256)
    """Views rendered and judged in each step."""
    size: Side | None = None
    """Side of the training renders in pixels; a schedule makes it progressive. Default: the prior's own size."""
    lr: Scalar = schedules.constant(1.0)
    """Factor on the representation's own learning rates."""
    adam_betas: tuple[float, float] = (0.9, 0.99)
    """Decay rates of Adam's two moments."""
    adam_eps: float = Field(default=1e-8, gt=0)
    """Adam's epsilon."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the prior's encoder and of the gradient through it; everything else stays in float32."""
    loss_scale: LossScaleOptions = Field(default_factory=LossScaleOptions)
    """What keeps small gradients from vanishing in float16."""
    white_background: float = Field(default=0.5, ge=0, le=1)
    """Share of the views on white; the others get a random colour, which keeps fog out of the field."""
    jitter: bool = True
    """Move each training ray inside its pixel at random."""
    checkpoint_steps: int = Field(default=100, ge=1)
    """Save a checkpoint every so many steps …"""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    """… and when this many seconds have passed since the last one."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """How many recent checkpoints stay on disk; the last of a stage always does."""
    preview_steps: int = Field(default=25, ge=0)
    """Render a preview every so many steps; 0 for none."""
    preview_size: int = Field(default=128, ge=16, le=2048)
    """Side of the previews in pixels."""

    def scales_loss(self) -> bool:
        """Whether what is pulled back is scaled."""
        use = self.loss_scale.use
        return use == "always" or (use == "auto" and self.precision == "float16")
