"""DreamTime's law of times: one time that falls through a given density."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule

from .base import Moment
from .times import Times

GRID = 1000
"""Times per unit at which the density is read."""


@dataclass(frozen=True)
class DreamTime(Times):
    """Time-prioritised sampling (TP-SDS, Huang et al. 2023, arXiv 2306.12422, §4): t falls from `high` to `low`.

    The time at progress p is the one above which a share p of the density W = W_p W_d lies, so that over a run every
    t is met in proportion to W. W_p is 1 on the plateau and falls off on both sides as exp(-(t - edge)^2 / (2 s^2)).

    Args:
        low, high: where the density ends. plateau: its lower and upper edge. spread: s below and above it.
        by_noise: W_d = kappa(t) of the scale's schedule (from a later repository of the same first author); else 1.
    """

    plateau: tuple[float, float] = (0.5, 0.8)
    spread: tuple[float, float] = (0.1, 0.3)
    by_noise: bool = True

    def __post_init__(self):
        if not self.plateau[0] <= self.plateau[1]:
            raise ConfigError(
                f"the plateau's lower edge comes first, got {self.plateau}.", key="times.plateau"
            )
        if min(self.spread) <= 0.0:
            raise ConfigError(f"the density needs spreads above 0, got {self.spread}.", key="times.spread")

    def draw(self, now: Moment, schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        """(B,) float64, the same for every view; a pure function of progress."""
        t, w = self.density(now.progress, schedule)
        passed = w.flip(0).cumsum(0) / w.sum()
        at = int(torch.searchsorted(passed, torch.tensor([now.progress], dtype=torch.float64), right=True))
        return self._native(t.flip(0)[min(at, len(t) - 1)].repeat(len(now.ids)), schedule)

    def check(self, schedule: NoiseSchedule, finite_kappa: bool) -> None:
        """As Times.check; with `by_noise` the upper end must leave some signal, as the density is kappa."""
        super().check(schedule, finite_kappa or self.by_noise)

    def density(
        self, progress: float, schedule: NoiseSchedule
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Ascending times on the law's scale, and W at them up to a factor."""
        first, last = (round(GRID * bound(progress)) for bound in (self.low, self.high))
        t = torch.arange(first, last + 1, dtype=torch.float64) / GRID
        (lower, upper), (below, above) = self.plateau, self.spread
        outside = (lower - t).clamp(min=0.0) / below + (t - upper).clamp(min=0.0) / above
        w = torch.exp(-0.5 * outside**2)
        if self.by_noise:
            w = w * (schedule if self.scale == "native" else stable_diffusion_schedule()).kappa(t)
        return t, w
