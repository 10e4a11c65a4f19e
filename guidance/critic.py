"""Slot 7, critic: a helper that learns what the renders look like, noised; VSD and ESD compare with it."""

from __future__ import annotations

from typing import Protocol

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree
from sds3d.priors.base import Prediction, Prior

from .base import Moment, Views
from .states import Noisy


class Critic(Protocol):
    """Predicts the noise of a noised render; its memory (weights, optimizer) is explicit and saved with the run."""

    def init(self, prior: Prior, streams: Streams) -> Tree:
        """The memory at step 0.

        Raises:
            ConfigError: the prior cannot serve as its base; the text says why.
        """
        ...

    def predict(self, memory: Tree, state: Noisy, views: Views, prior: Prior, told: bool) -> Prediction:
        """Its answer at a state under the prompt; without autograd. `told`: whether it hears of the camera."""
        ...

    def learn(self, memory: Tree, views: Views, now: Moment, prior: Prior) -> Tree:
        """One step of training on these renders; pure in its arguments."""
        ...
