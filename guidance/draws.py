"""How several draws of noise are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError

from .base import Log, Moment, Views
from .calls import Calls
from .states import Noisy

STRATEGIES = ("minmax", "best", "softmax", "random", "all")
NORMALISE = ("mean_groups", "over_n", "sum_to_one")


class DrawWeights(Protocol):
    """Weights of the draws, such as those by which a reward ranks them.

    They are asked for before the rule's predictions: a draw whose weights are all 0 is dropped and costs nothing more.
    """

    def count(self, progress: float, draws: int) -> int:
        """How many of the `draws` are wanted at that point of the run."""
        ...

    def check(self) -> None:
        """Have what is needed, before step 0; raises an Sds3dError where it cannot be had."""
        ...

    def __call__(
        self, draws: Sequence[dict[str, Noisy]], views: Views, now: Moment, calls: Calls
    ) -> tuple[Float[Tensor, "n b"], Log]:
        """(draws, B) weights, which need not add up to 1, and what is worth knowing about them.

        Args:
            draws: the states of each draw.
        """
        ...


@dataclass(frozen=True)
class Strategy:
    """From rewards to weights, for each view by itself.

    Args:
        kind: `minmax`: `high` on each of the `top` best and -`low` on each of the `bottom` worst; `best`: 1 on the
            best; `softmax` of reward / temperature; `random`: 1 on one drawn blindly; `all`: equal.
        normalise: `mean_groups`: means over the groups (the weights of minmax add up to high - low); `over_n`: the
            weights as they are, over N (the paper's); `sum_to_one`: as mean_groups, then scaled.
    """

    kind: str = "minmax"
    normalise: str = "mean_groups"
    top: int = 2
    bottom: int = 2
    high: float = 0.9
    low: float = 0.1
    temperature: float = 1.0

    def __post_init__(self):
        if self.kind not in STRATEGIES:
            raise ConfigError(
                f"unknown strategy {self.kind!r}; there are {', '.join(STRATEGIES)}.", key="strategy"
            )
        if self.normalise not in NORMALISE:
            raise ConfigError(
                f"weights are normalised by one of {', '.join(NORMALISE)}, not {self.normalise!r}.",
                key="normalise",
            )
        if not self.temperature > 0.0:
            raise ConfigError(
                f"the softmax needs a temperature above 0, got {self.temperature:g}.", key="temperature"
            )
        if self.kind == "minmax" and self.normalise == "sum_to_one" and not self.high > self.low:
            raise ConfigError(
                "weights can be scaled to the sum 1 only where `high` is above `low`.", key="normalise"
            )

    @property
    def ranks(self) -> bool:
        """Whether the rewards matter at all."""
        return self.kind in ("minmax", "best", "softmax")

    def least(self) -> int:
        """The fewest draws that it can choose from."""
        return self.top + self.bottom if self.kind == "minmax" else 1

    def __call__(
        self, rewards: Float[Tensor, "n b"], u: Float[Tensor, " b"] | None = None
    ) -> Float[Tensor, "n b"]:
        """(N, B) weights. Equal rewards rank in the order of the draws.

        Args:
            u: (B,) in (0, 1), what `random` chooses by.
        """
        raw, groups = self._raw(rewards, u)
        if self.normalise == "over_n":
            return raw / len(rewards)
        return groups / groups.sum(0) if self.normalise == "sum_to_one" else groups

    def _raw(self, rewards: Tensor, u: Tensor | None) -> tuple[Tensor, Tensor]:
        """The weights as they are, and as means over groups."""
        count, zeros = len(rewards), torch.zeros_like(rewards)
        if self.kind == "all":
            return zeros + 1.0, zeros + 1.0 / count
        if self.kind == "softmax":
            soft = torch.softmax(rewards / self.temperature, dim=0)
            return soft, soft
        if self.kind == "random":
            assert u is not None
            one = zeros.scatter(0, (u * count).long()[None].to(zeros.device), 1.0)
            return one, one
        order = rewards.argsort(dim=0, descending=True, stable=True)
        if self.kind == "best":
            one = zeros.scatter(0, order[:1], 1.0)
            return one, one
        high, low = order[: self.top], order[count - self.bottom :]
        raw = zeros.scatter(0, high, self.high).scatter(0, low, -self.low)
        groups = zeros.scatter(0, high, self.high / max(1, self.top))
        return raw, groups.scatter(0, low, -self.low / max(1, self.bottom))
