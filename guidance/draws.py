"""How several draws of noise are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from sds3d.priors.base import Prediction

from .base import Moment, Views
from .calls import Calls
from .predictions import Symbol
from .states import Noisy


class DrawWeights(Protocol):
    """Weights of the draws, such as those by which a reward ranks them."""

    def __call__(
        self,
        draws: Sequence[Mapping[str, Noisy]],
        found: Sequence[Mapping[Symbol, Prediction]],
        views: Views,
        now: Moment,
        calls: Calls,
    ) -> Float[Tensor, "n b"]:
        """(draws, B) weights; they need not add up to 1.

        Args:
            draws: the states of each draw. found: the predictions behind the rule's symbols, for each draw.
        """
        ...
