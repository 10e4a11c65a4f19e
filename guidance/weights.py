"""Slot 5, weight: w(t) on the epsilon-residual, as a function of kappa = sigma / alpha.

Written in kappa, a weight means the same for a variance-preserving prior and for its rectified-flow
rewriting (guidance card §1.7): sigma2 is the VP sigma^2 = kappa^2 / (1 + kappa^2) on both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.priors.noise_schedule import NoiseSchedule

Weight = Callable[[Float[Tensor, " b"]], Float[Tensor, " b"]]


def sigma2(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """sigma^2 = 1 - alpha_bar: DreamFusion's; 1 at pure noise."""
    return 1.0 / (1.0 + kappa**-2)


def uniform(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """1: Magic3D's coarse stage, SJC."""
    return torch.ones_like(kappa)


def kappa(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """sigma / alpha: the residual becomes z - x0, the gradient of 1/2 |z - x0|^2."""
    return kappa


def inv_kappa(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """alpha / sigma: the perturb-and-average score of the SJC paper."""
    return 1.0 / kappa


def fantasia(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """alpha sigma^2 of the VP form: Fantasia3D's."""
    return kappa**2 / (1.0 + kappa**2) ** 1.5


def hifa(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """0.05 kappa: a constant 0.05 on the x0 residual."""
    return 0.05 * kappa


def rf_uniform(kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """1 / (1 - tau), tau = kappa / (1 + kappa): a constant 1 on the velocity residual of a rectified flow (RFDS)."""
    return 1.0 + kappa


WEIGHTS = MappingProxyType(
    {f.__name__: f for f in (sigma2, uniform, kappa, inv_kappa, fantasia, hifa, rf_uniform)}
)
"""Name in a config -> weight."""

UNBOUNDED = frozenset({"kappa", "hifa", "rf_uniform"})
"""Weights that are infinite where no signal is left."""


class TimeWeight(Protocol):
    """A weight that knows the prior's own steps, for methods built on its discrete posterior."""

    def __call__(self, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        """(B,) float64."""
        ...


def weigh(weight: str | TimeWeight, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Float[Tensor, " b"]:
    """w(t) by name or by object."""
    return WEIGHTS[weight](schedule.kappa(t)) if isinstance(weight, str) else weight(t, schedule)


@dataclass(frozen=True)
class Posterior:
    """chi(t) of posterior distillation (PDS, arXiv 2311.13831)."""

    gap: int

    def __call__(self, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        return posterior_factors(t, schedule, self.gap)[1]


def posterior_factors(
    t: Float[Tensor, " b"], schedule: NoiseSchedule, gap: int
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """(psi, chi): matching stochastic latents is psi (z - z_src) + chi (eps_tgt - eps_src); the noise at r cancels.

    r = t - gap in steps of a discrete model, beta that of *one* step, as the released code has it: with the beta of
    the whole gap psi vanishes (guidance_more B3).

        c0 = alpha_r beta / sigma_t^2,  c1 = sqrt(1 - beta) sigma_r^2 / sigma_t^2,  s = sqrt(beta) sigma_r / sigma_t
        psi = (alpha_r - c0 - c1 alpha_t) / s,   chi = c0 (sigma_t / alpha_t) / s

    A schedule without steps is read at a thousand.
    """
    one = 1.0 / schedule.steps
    alpha, sigma = variance_preserving(schedule, t)
    alpha_r, sigma_r = variance_preserving(schedule, (t - gap * one).clamp(min=one))
    before, _ = variance_preserving(schedule, (t - one).clamp(min=0.0))
    beta = (1.0 - (alpha / before).square()).clamp(min=1e-12)
    c0 = alpha_r * beta / sigma**2
    c1 = (1.0 - beta).sqrt() * sigma_r**2 / sigma**2
    s = beta.sqrt() * sigma_r / sigma
    return (alpha_r - c0 - c1 * alpha) / s, c0 * (sigma / alpha) / s


def variance_preserving(schedule: NoiseSchedule, t: Float[Tensor, " b"]) -> tuple[Tensor, Tensor]:
    """alpha and sigma of the variance-preserving form of the noise level at t."""
    kappa = schedule.kappa(t)
    root = (1.0 + kappa**2).sqrt()
    return 1.0 / root, kappa / root
