"""Drawing noise and time anew where the prior has nothing to say."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError


@dataclass(frozen=True)
class Retry:
    """A draw counts if the standard deviation of its residual, over all elements of the batch, reaches a threshold.

    Each rejection lowers the threshold; every step starts with the first one again. After `tries` draws the last one
    counts, whatever it says: where target and source are the same words nothing would ever be accepted.

    Args:
        threshold: of the first try. decay: factor on it at each rejection. tries: at most so many draws a step.
    """

    threshold: float = 0.01
    decay: float = 0.99
    tries: int = 10

    def __post_init__(self):
        if self.tries < 1 or not 0.0 < self.decay <= 1.0 or self.threshold < 0.0:
            raise ConfigError(
                "a retry needs at least one try, a threshold of at least 0 and a decay in (0, 1].",
                key="retry",
            )

    def accepts(self, residual: Float[Tensor, "b c h w"], attempt: int) -> bool:
        """Whether the draw of that attempt (0, 1, …) counts."""
        last = attempt + 1 >= self.tries
        return last or float(residual.double().std()) >= self.threshold * self.decay**attempt
