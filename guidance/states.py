"""Noisy states: what the prior is shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import NoiseSchedule, over


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

    @cached_property
    def levels(self) -> tuple[Tensor, Tensor]:
        """alpha and sigma in the form that multiplies with z_t."""
        return over(self.alpha, self.z_t), over(self.sigma, self.z_t)


def noised(z: Tensor, eps: Tensor, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Noisy:
    """The state that `eps` makes of the clean `z` at t."""
    alpha, sigma = schedule.levels(t)
    return Noisy(over(alpha, z) * z + over(sigma, z) * eps, eps, t, alpha, sigma)


def ddim(
    state: Noisy, prediction: Prediction, t: Float[Tensor, " b"], schedule: NoiseSchedule, z: Tensor
) -> Noisy:
    """One deterministic DDIM move (arXiv 2010.02502) to the time t, in either direction.

        z_t' = alpha' x0_hat + sigma' eps_hat,   that is z_t / alpha moves by (kappa' - kappa) eps_hat

    Args:
        z: the clean signal; the new state's eps is the noise that would have made it, (z_t' - alpha' z) / sigma'.
    """
    alpha, sigma = schedule.levels(t)
    a, s = over(alpha, z), over(sigma, z)
    z_t = a * prediction.x0 + s * prediction.eps
    return Noisy(z_t, (z_t - a * z) / s, t, alpha, sigma)
