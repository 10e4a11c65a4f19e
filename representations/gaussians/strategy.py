"""How the number of Gaussians changes between steps: the protocol, and the strategy that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sds3d.core.look import Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments
from .parameters import Parameters


@dataclass(frozen=True)
class Between:
    """What a strategy knows between two steps.

    Args:
        step: the step just taken, from 0. total: steps of the stage. position_lr: the positions' learning rate in it.
        render: its training render, with means2d (B, N, 2) and its gradient, and radii (B, N).
        moments: the optimizer's memory. streams: random numbers, keyed by step.
    """

    step: int
    total: int
    position_lr: float
    render: Render
    moments: Moments
    streams: Streams

    @property
    def progress(self) -> float:
        """Share of the stage done, in (0, 1]."""
        return (self.step + 1) / self.total

    def due(self, every: int, start: float, stop: float) -> bool:
        """Whether a round that comes every so many steps between two progresses falls here."""
        return (self.step + 1) % every == 0 and start <= self.progress <= stop


class Strategy(Protocol):
    """Changes the Gaussians between steps; its memory is part of the run's state.

    Every random number comes from `between.streams` at `between.step`, so that a step can be replayed.
    """

    def after_step(self, parameters: Parameters, between: Between) -> tuple[Parameters, dict[str, float]]:
        """The Gaussians of the next step (at least one), and numbers for the metrics.

        The strategy has told `between.moments` of every change of rows.
        """
        ...

    def state_dict(self) -> Tree:
        """Counters and accumulators, exact."""
        ...

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value."""
        ...


class Fixed:
    """The Gaussians stay as many as they were."""

    def after_step(self, parameters: Parameters, between: Between) -> tuple[Parameters, dict[str, float]]:
        """No change."""
        return parameters, {}

    def state_dict(self) -> Tree:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: Tree) -> None:
        """Nothing to restore."""
