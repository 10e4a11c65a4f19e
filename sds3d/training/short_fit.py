"""Fits of minutes, which are begun again where they were stopped: what training makes before the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..core.errors import StopRequested
from .optimizers import BETAS
from .options import ShortFitOptions

WEIGHT_DECAY = 0.01
CLIP = 1.0


def fit_shortly(
    weights: Iterable[Tensor],
    loss: Callable[[int], Tensor],
    options: ShortFitOptions,
    what: str,
    warm_up: int,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """AdamW in place, at a steady rate after `warm_up` steps, falling linearly over the second half.

    Args:
        loss: step -> the scalar that the step lessens; a pure function of the step and the weights.
        what: is fitted, for progress (every hundred steps) and the error.

    Raises:
        StopRequested: `should_stop` said so; the work is given up.
    """
    weights, steps, rate = list(weights), options.steps, options.learning_rate
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=BETAS, weight_decay=WEIGHT_DECAY)
    for step in range(steps):
        if should_stop():
            raise StopRequested(f"stopped at step {step} of {steps} of the {what}; it will start again")
        down = 2 * (1 - step / steps)
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / warm_up, max(0.02, down))
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP, error_if_nonfinite=True)
        optimizer.step()
        if (step + 1) % 100 == 0:
            say(f"{what} {step + 1}/{steps} loss {float(value.detach()):.4f}")
