"""A rule with two forms: one for little noise, one for much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.priors.noise_schedule import NoiseSchedule, over

from .predictions import Symbol
from .rules import Linear
from .times import to_scale


@dataclass(frozen=True)
class Switch:
    """`below` where t < threshold, strictly and one view at a time, else `above`.

    Args:
        threshold: on `scale` ("sd" or "native").
    """

    threshold: float
    below: Linear
    above: Linear
    scale: str = "sd"

    def symbols(self, progress: float) -> tuple[Symbol, ...]:
        """What either form needs: the views of one step may fall on both sides."""
        return tuple(dict.fromkeys([*self.below.symbols(progress), *self.above.symbols(progress)]))

    def every_symbol(self) -> tuple[Symbol, ...]:
        """What either form may need in a run."""
        return tuple(dict.fromkeys([*self.below.every_symbol(), *self.above.every_symbol()]))

    def here(self, progress: float, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> tuple[Symbol, ...]:
        """What these views need: only one form's symbols where all lie on one side."""
        low = self.is_below(t, schedule)
        if bool(low.all()):
            return self.below.symbols(progress)
        return self.above.symbols(progress) if not bool(low.any()) else self.symbols(progress)

    def is_below(self, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Tensor:
        """(B,) bool; half a step of tolerance, so that the index 200 itself is not below 0.2."""
        return to_scale(t, schedule, self.scale) < self.threshold - 0.5 / schedule.steps

    def residual(
        self,
        eps: Mapping[Symbol, Tensor],
        progress: float,
        like: Tensor,
        t: Float[Tensor, " b"],
        schedule: NoiseSchedule,
    ) -> Tensor:
        """(B, C, h, w), each view by its own t."""
        low = self.is_below(t, schedule)
        out = torch.zeros_like(like)
        for form, mine in ((self.below, low), (self.above, ~low)):
            if bool(mine.any()):
                out = out + over(mine.double(), like) * form.residual(eps, progress, like, t, schedule)
        return out
