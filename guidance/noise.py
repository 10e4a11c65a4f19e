"""Slot 2, noise: who is noised, with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from sds3d.priors.noise_schedule import NoiseSchedule

from .base import Moment, Views


@dataclass(frozen=True, eq=False)
class Noisy:
    """One noisy state of B views: z_t = alpha_t z + sigma_t eps.

    Compared by identity: predictions are cached by the state that they were asked at.

    Args:
        z_t, eps: (B, C, h, w). t: (B,) float64 in the prior's own time. alpha, sigma: (B,) float64.
    """

    z_t: Tensor
    eps: Tensor
    t: Float[Tensor, " b"]
    alpha: Float[Tensor, " b"]
    sigma: Float[Tensor, " b"]


def noised(z: Tensor, eps: Tensor, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Noisy:
    """The state that `eps` makes of the clean `z` at t."""
    return Noisy(schedule.add_noise(z, eps, t), eps, t, schedule.alpha(t), schedule.sigma(t))


class NoiseSource(Protocol):
    """Makes the states that a rule's symbols are read at; `states` names them, "t" being the main one."""

    @property
    def states(self) -> frozenset[str]:
        """Names of the states, "t" among them."""
        ...

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, schedule: NoiseSchedule
    ) -> dict[str, Noisy]:
        """The named states of one draw."""
        ...


@dataclass(frozen=True)
class Iid:
    """Fresh standard normal noise, keyed by (seed, step, view id, draw)."""

    states: frozenset[str] = frozenset({"t"})

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, schedule: NoiseSchedule
    ) -> dict[str, Noisy]:
        """{"t": the views at t}."""
        shape = tuple(views.z.shape[1:])
        eps = now.streams.normal(shape, "guidance-noise", draw, step=now.step, ids=now.ids).to(views.z)
        return {"t": noised(views.z, eps, t.to(views.z.device), schedule)}
