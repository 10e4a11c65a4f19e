"""Slot 6, first half, residual_post: what happens to the residual of all views together, before it is weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sds3d.core.tree import Tree
from sds3d.priors.base import Prior

from .base import Log, Moment, Views
from .calls import Calls
from .states import Noisy


@dataclass(frozen=True)
class Seen:
    """Where a residual was read.

    Args:
        states: of its draw, by name. views, now: the step's. calls: the way to the prior.
    """

    states: Mapping[str, Noisy]
    views: Views
    now: Moment
    calls: Calls


class ResidualStep(Protocol):
    """A change of the residuals that sees the noisy states, the views and perhaps a memory of its own."""

    @property
    def name(self) -> str:
        """Of its memory in the guidance's state."""
        ...

    def bind(self, prior: Prior) -> ResidualStep | None:
        """The step for this prior; None, said aloud, where the prior cannot serve it and the method goes without."""
        ...

    def __call__(self, residual: Tensor, seen: Seen, memory: Tree) -> tuple[Tensor, Tree, Log]:
        """(B, C, h, w) -> the same shape, the memory of the next step, and what is worth knowing."""
        ...
