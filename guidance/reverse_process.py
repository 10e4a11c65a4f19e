"""Weights of editing that follow the sampler's way down: strong change at much noise, less and less of it below.

tau = t / T is Stable Diffusion's time at the same noise level, on every prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sds3d.priors.noise_schedule import NoiseSchedule, over

from .base import Moment, Views
from .extra import source_of
from .times import to_scale
from .weights import variance_preserving


@dataclass(frozen=True)
class Falling:
    """delta + gamma tau^(1/e): DreamCatalyst's weight on the difference of predictions."""

    delta: float
    gamma: float

    def __call__(self, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        return self.delta + self.gamma * to_scale(t, schedule, "sd") ** (1.0 / math.e)


@dataclass(frozen=True)
class TimedPull:
    """factor e^tau (z - z_src), or with `noised` factor e^tau (z_t - z_src,t) = factor e^tau alpha_t (z - z_src).

    alpha_t is that of the variance-preserving form of the noise level.
    """

    factor: float
    noised: bool = False
    source: bool = True

    def __call__(self, views: Views, t: Float[Tensor, " b"], now: Moment, schedule: NoiseSchedule) -> Tensor:
        scale = self.factor * to_scale(t, schedule, "sd").exp()
        if self.noised:
            scale = scale * variance_preserving(schedule, t)[0]
        return over(scale, views.z) * (views.z - source_of(views).z)
