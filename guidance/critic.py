"""Slot 7, critic: a helper that knows what the renders look like, noised; VSD and ESD compare with it."""

from __future__ import annotations

from typing import Protocol

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree
from sds3d.priors.base import Prediction, Prior

from .base import Moment, Views
from .states import Noisy


class BoundCritic(Protocol):
    """A critic beside its prior; its memory (weights, optimizer) is explicit and saved with the run."""

    trains: int
    """Forwards of the prior's network a view that `learn` makes in every step."""

    def init(self, streams: Streams) -> Tree:
        """The memory at step 0."""
        ...

    def predict(self, memory: Tree, state: Noisy, views: Views, told: bool) -> Prediction:
        """Its answer at a state under the prompt; without autograd. `told`: whether it hears of the camera."""
        ...

    def learn(self, memory: Tree, views: Views, now: Moment) -> Tree:
        """The memory after one step of training on these renders; pure in its arguments."""
        ...

    def numbers(self, memory: Tree) -> dict[str, float]:
        """What is worth knowing about it, for the metrics."""
        ...


class Critic(Protocol):
    """The choice of a critic, as frozen data."""

    def bind(self, prior: Prior) -> BoundCritic:
        """The critic beside that prior.

        Raises:
            ConfigError: the prior cannot serve as its base; the text says why.
        """
        ...
