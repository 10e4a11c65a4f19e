"""Steps on the residual as they stand in a config: `residual_post: [mask, stein]`, or `[{stein: batch}]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from sds3d.config.options import Options, Scalar, held
from sds3d.core import schedules

from .localize import Mask
from .retry import Retry
from .stein import Stein
from .steps import ResidualStep


class SteinOptions(Options):
    """Couple the views' residuals by the likeness of their noisy latents."""

    stein: Literal["group", "batch"] = "group"
    """Which views: those of one object, or all."""
    gamma: float | None = Field(default=None, ge=0.0)
    """Of the kernel exp(-gamma d^2); by default log(n + 1) over the median of d^2."""

    def build(self) -> ResidualStep:
        """The step."""
        return Stein(self.stein, self.gamma)


class MaskOptions(Options):
    """Confine the change to where the prior's attention sees the edited words."""

    mask: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Momentum of its average over steps in which the same view comes again."""
    share: Scalar = schedules.parse({"linear": [0.0, 1.0]})
    """How much of the mask counts: 0 none, 1 all."""

    def build(self) -> ResidualStep:
        """The step."""
        return Mask(self.mask, self.share)


class RetryOptions(Options):
    """Draw time and noise anew while the residual says too little."""

    threshold: float = Field(default=0.01, ge=0.0)
    """Standard deviation of the residual that counts as saying something."""
    decay: float = Field(default=0.99, gt=0.0, le=1.0)
    """Factor on the threshold at each rejection; every step starts with the first one."""
    tries: int = Field(default=10, ge=1, le=100)
    """Draws a step at most; the last one counts in any case."""

    def build(self, factor: float = 1.0) -> Retry:
        """The slot; `factor` is what the rule carries beside the residual that is judged."""
        return Retry(self.threshold * factor, self.decay, self.tries)


STEPS = ("stein", "mask")


def _word(value: Any) -> Any:
    words = {"stein": SteinOptions(), "mask": MaskOptions()}
    return words.get(value, value) if isinstance(value, str) else value


StepOptions = Annotated[
    Annotated[SteinOptions, Tag("stein")] | Annotated[MaskOptions, Tag("mask")],
    Discriminator(
        lambda value: held(STEPS, value),
        custom_error_type="unknown_step",
        custom_error_message=f"expected a mapping with one of the keys {', '.join(STEPS)}",
    ),
    BeforeValidator(_word),
]
"""One step on the residual."""
