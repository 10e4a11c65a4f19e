"""Dynamic loss scaling: what keeps small gradients above float16's smallest number on their way back.

Micikevicius et al., "Mixed Precision Training", ICLR 2018 (arXiv 1710.03740), section 3.2, with the rule of
torch.amp.GradScaler: everything that is pulled back is multiplied by a scale, the gradients divided by it; a
step with a non-finite gradient is skipped and lowers the scale, enough good ones in a row raise it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..config.options import Options
from ..core.tree import Tree

log = logging.getLogger(__name__)
_LARGEST = float(torch.finfo(torch.float32).max)


class LossScaleOptions(Options):
    """Loss scaling, for gradients that pass through float16."""

    use: Literal["auto", "always", "never"] = "auto"
    """auto scales where `precision` is float16; the other precisions reach as low as the gradients do."""
    start: float = Field(default=65536.0, gt=0)
    """First scale; powers of two round nothing."""
    growth: float = Field(default=2.0, gt=1)
    """Factor on the scale after `growth_interval` good steps in a row …"""
    growth_interval: int = Field(default=2000, ge=1)
    """… and how many those are."""
    backoff: float = Field(default=0.5, gt=0, lt=1)
    """Factor on the scale after a step that overflowed."""
    max_skips: int = Field(default=20, ge=1)
    """Stop the run at this many overflows in a row: no scale will help it."""


class LossScaler:
    """The scale and its history, all of which is part of the run's state.

    Args:
        options: start, growth, backoff.
    """

    def __init__(self, options: LossScaleOptions):
        self.options = options
        self.scale = options.start
        self.good = 0
        """Good steps since the scale last changed."""
        self.skipped = 0
        """Steps skipped since the run began."""
        self.in_a_row = 0
        """Steps skipped since the last good one."""

    def unscale(self, tensors: Iterable[Tensor]) -> None:
        """Divide by the scale in place."""
        inverse = 1.0 / self.scale
        for tensor in tensors:
            tensor.mul_(inverse)

    def is_last_straw(self) -> bool:
        """Whether one more overflow is one too many."""
        return self.in_a_row + 1 >= self.options.max_skips

    def applied(self) -> None:
        """Note a good step; the scale grows after enough of them, as far as float32 reaches."""
        self.in_a_row = 0
        self.good += 1
        if self.good == self.options.growth_interval:
            self.good = 0
            grown = self.scale * self.options.growth
            self.scale = grown if grown <= _LARGEST else self.scale

    def skip(self, step: int, culprit: str) -> None:
        """Note a step that overflowed in the gradient of that name, and lower the scale."""
        self.good = 0
        self.skipped += 1
        self.in_a_row += 1
        lowered = self.scale * self.options.backoff
        log.info(
            "step %d skipped: %s overflowed at loss scale %g, which becomes %g (%d skipped so far)",
            step,
            culprit,
            self.scale,
            lowered,
            self.skipped,
        )
        self.scale = lowered

    def metrics(self) -> dict[str, float]:
        """loss_scale and skipped_steps, for the step's metrics."""
        return {"loss_scale": self.scale, "skipped_steps": float(self.skipped)}

    def state_dict(self) -> Tree:
        """Scale and counters, exact."""
        return {
            "scale": self.scale,
            "good": self.good,
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value."""
        self.scale = float(state["scale"])
        self.good, self.skipped, self.in_a_row = (int(state[k]) for k in ("good", "skipped", "in_a_row"))
