"""Slot 8, extra: what is added to the weighted residual beside any prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.priors.noise_schedule import NoiseSchedule, over

from .base import Moment, Views


class Extra(Protocol):
    """A further term of the gradient of z."""

    @property
    def source(self) -> bool:
        """Whether it needs the views of an edited object's original."""
        ...

    def __call__(self, views: Views, t: Float[Tensor, " b"], now: Moment, schedule: NoiseSchedule) -> Tensor:
        """(B, C, h, w), added to w(t) times the residual."""
        ...


@dataclass(frozen=True)
class Pull:
    """factor (z - z_src): keeps an edited object near its original. The factor follows the run's progress."""

    factor: Schedule
    source: bool = True

    def __call__(self, views: Views, t: Float[Tensor, " b"], now: Moment, schedule: NoiseSchedule) -> Tensor:
        return self.factor(now.progress) * (views.z - source_of(views).z)


@dataclass(frozen=True)
class PosteriorPull:
    """psi(t) (z - z_src) of posterior distillation; see weights.Posterior."""

    gap: int
    source: bool = True

    def __call__(self, views: Views, t: Float[Tensor, " b"], now: Moment, schedule: NoiseSchedule) -> Tensor:
        from .weights import posterior_factors

        psi, _ = posterior_factors(t, schedule, self.gap)
        return over(psi, views.z) * (views.z - source_of(views).z)


def source_of(views: Views) -> Views:
    """The source's views; ConfigError where there are none."""
    if views.source is None:
        raise ConfigError(
            "this method compares with the source that is edited, and these views have none.",
            key="guidance.method",
        )
    return views.source
