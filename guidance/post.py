"""Slot 6, post: what happens to the weighted gradient of the whole batch, in the recipe's order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule

OVER = ("view", "batch")


class Post(Protocol):
    """A step of post-processing."""

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        ...


class ImagePost(Protocol):
    """A change of the gradient that arrives at the rendered picture, after the encoder's backward."""

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W)."""
        ...


@dataclass(frozen=True)
class ClipValue:
    """Every element into [-limit, limit]; the limit may change over the run (as Debiased-SDS does)."""

    limit: Schedule

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        limit = self.limit(progress)
        return g.clamp(-limit, limit)


@dataclass(frozen=True)
class ClipNorm:
    """L2 norm at most `limit`, over each view or over the whole batch."""

    limit: Schedule
    over: str = "view"

    def __post_init__(self):
        _check_over(self.over)

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        norm, limit = _norm(g, self.over), self.limit(progress)
        return g * torch.where(norm > limit, limit / norm, torch.ones_like(norm))


@dataclass(frozen=True)
class UnitNorm:
    """L2 norm exactly 1, over each view or over the whole batch; a zero gradient stays zero."""

    over: str = "batch"

    def __post_init__(self):
        _check_over(self.over)

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        norm = _norm(g, self.over)
        return g / torch.where(norm > 0, norm, torch.ones_like(norm))


@dataclass(frozen=True)
class Spread:
    """The standard deviation of each view's gradient set to low + (high - low) (1 - sigmoid(speed (2 p - 1))).

    LUSD's step size (arXiv 2503.11054), 0.149 to 0.011 over a run; a zero gradient stays zero.
    """

    high: float
    low: float
    speed: float

    def target(self, progress: float) -> float:
        """The standard deviation at that point of the run."""
        falling = 1.0 / (1.0 + math.exp(self.speed * (2.0 * progress - 1.0)))
        return self.low + (self.high - self.low) * falling

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        now = g.flatten(1).std(1).reshape(-1, *[1] * (g.ndim - 1))
        return g * (self.target(progress) / torch.where(now > 0, now, torch.ones_like(now)))


@dataclass(frozen=True)
class ClipPixels:
    """Pixel-wise gradient clipping (PGC, arXiv 2310.12474; here as Dreamer-XL applies it, arXiv 2405.11252).

    Each pixel's gradient is scaled by min over channels of min(1, limit / |g|): its direction stays.
    """

    limit: Schedule

    def __call__(self, g: Tensor, progress: float) -> Tensor:
        limit, largest = self.limit(progress), g.abs().amax(dim=1, keepdim=True)
        return torch.where(largest > limit, g * (limit / largest), g)


def _check_over(over: str) -> None:
    if over not in OVER:
        raise ConfigError(f"a norm is taken over one of {', '.join(OVER)}, not {over!r}.", key="post")


def _norm(g: Tensor, over: str) -> Tensor:
    """L2 norm, broadcastable to g."""
    if over == "batch":
        return g.norm().reshape([1] * g.ndim)
    return g.flatten(1).norm(dim=1).reshape(-1, *[1] * (g.ndim - 1))
