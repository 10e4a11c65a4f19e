"""What the loop tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class StepReport:
    """One step done.

    Args:
        step: steps done, 1-based. total: steps of the stage.
        metrics: t, residual, nfe, each regulariser's loss, lr …
        seconds: wall time of this step split into prior, render, encode, backward, optimizer, rest and total.
    """

    step: int
    total: int
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]


class Monitor(Protocol):
    """A watcher of a run; every method is called between steps, on the loop's thread."""

    def on_step(self, report: StepReport) -> None:
        """After each step."""
        ...

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Preview images (3, H, W) in [0, 1]: "render" (an orbiting view), "views" and "x0" (sheets)."""
        ...

    def on_checkpoint(self, step: int, path: str) -> None:
        """After a checkpoint has reached the disk."""
        ...

    def stop_requested(self) -> bool:
        """True asks the loop to save a checkpoint at this step boundary and raise StopRequested."""
        ...


class Silent:
    """A monitor that does nothing."""

    def on_step(self, report: StepReport) -> None:
        """Ignore."""

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Ignore."""

    def on_checkpoint(self, step: int, path: str) -> None:
        """Ignore."""

    def stop_requested(self) -> bool:
        """Never."""
        return False
