"""Signal and noise scales over time, and the exact conversions between the four predictions.

z_t = alpha_t z + sigma_t eps. Variance preserving (VP): alpha^2 + sigma^2 = 1. Rectified flow (RF):
alpha = 1 - sigma, sigma = s t / (1 + (s - 1) t) with the model's timestep shift s. kappa = sigma / alpha is the
noise-to-signal ratio, the common currency between schedules. Formulas: guidance card §1.2-1.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import torch
from jaxtyping import Float
from torch import Tensor

PREDICTIONS = ("epsilon", "v", "x0", "velocity")


@dataclass(frozen=True)
class NoiseSchedule:
    """alpha and sigma as functions of t in [0, 1], 1 = pure noise.

    Args:
        kind: "vp" or "rf".
        alpha_bar: (T,) float64 cumulative products of a discrete VP model (diffusers' alphas_cumprod);
            None for RF, where t is continuous.
        shift: RF only, > 0: t uniform in [0, 1] is what the model was trained and sampled at; the shift multiplies
            kappa, so that big pictures spend more of t at high noise (Esser et al. 2024, arXiv 2403.03206, §5.3.2).
        known: the t of a few-step model that were distilled, ascending; () where every t is good. `t_of_kappa`
            answers with one of these.
    """

    kind: str
    alpha_bar: Float[Tensor, " steps"] | None = None
    shift: float = 1.0
    known: tuple[float, ...] = ()

    @property
    def steps(self) -> int:
        """T of a discrete model; 1000 for RF, where it only scales the network's time input."""
        return 1000 if self.alpha_bar is None else len(self.alpha_bar)

    def index(self, t: Float[Tensor, " b"]) -> Tensor:
        """(B,) int64 index of a discrete model: min(round(t T), T - 1)."""
        return (t.double() * self.steps).round().long().clamp(0, self.steps - 1)

    def _table(self, device: torch.device) -> Float[Tensor, " steps"]:
        """alpha_bar in float64 where the times lie: the noised latents of a GPU prior bring theirs along."""
        assert self.alpha_bar is not None, "a rectified flow has no table"
        return self.alpha_bar.to(device=device, dtype=torch.float64)

    def network_time(self, t: Float[Tensor, " b"]) -> Tensor:
        """(B,) what a network is told: the int64 index of a discrete model, 1000 sigma (float64) of a flow."""
        return self.index(t) if self.alpha_bar is not None else 1000.0 * self.sigma(t)

    def levels(self, t: Float[Tensor, " b"]) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """(alpha, sigma): signal and noise scale, float64."""
        if self.alpha_bar is None:
            shifted = self.shift * t.double()
            sigma = shifted / (shifted + (1.0 - t.double()))
            return 1.0 - sigma, sigma
        alpha_bar = self._table(t.device)[self.index(t)]
        return alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()

    def alpha(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Signal scale, float64."""
        return self.levels(t)[0]

    def sigma(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Noise scale, float64."""
        return self.levels(t)[1]

    def kappa(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """sigma / alpha, float64; inf at a zero terminal signal."""
        alpha, sigma = self.levels(t)
        return sigma / alpha

    def t_of_kappa(self, kappa: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The t whose kappa is nearest, of a few-step model one of `known`.

        VP: the nearest index, so that kappa(t_of_kappa(kappa(t))) == kappa(t).
        """
        k = kappa.double()
        if self.known:
            times = torch.tensor(self.known, dtype=torch.float64, device=k.device)
            return times[_nearest(self.kappa(times), k)]
        if self.alpha_bar is None:
            sigma = torch.where(torch.isinf(k), torch.ones_like(k), k / (1.0 + k))
            return sigma / (self.shift * (1.0 - sigma) + sigma)
        alpha_bar = self._table(k.device)
        return _nearest(((1.0 - alpha_bar) / alpha_bar).sqrt(), k).double() / self.steps

    @cached_property
    def _published(self) -> Float[Tensor, " steps"]:
        """(1000,) the own t at the noise of each index of Stable Diffusion."""
        sd = stable_diffusion_schedule()
        return self.t_of_kappa(sd.kappa(torch.arange(sd.steps, dtype=torch.float64) / sd.steps))

    def t_of_published(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The own t with the noise of Stable Diffusion's t, in which published bounds are written."""
        return self._published.to(t.device)[stable_diffusion_schedule().index(t)]

    def add_noise(self, z: Tensor, eps: Tensor, t: Float[Tensor, " b"]) -> Tensor:
        """z_t = alpha_t z + sigma_t eps, in z's dtype."""
        a, s = (over(v, z) for v in self.levels(t))
        return a * z + s * eps


def _nearest(table: Float[Tensor, " n"], k: Float[Tensor, " b"]) -> Tensor:
    """(B,) int64 positions in an ascending table of kappas, nearest in log kappa, where neighbours look alike."""
    right = torch.searchsorted(table, k).clamp(0, len(table) - 1)
    left = (right - 1).clamp(min=0)
    closer_left = torch.isfinite(k) & ((k / table[left]).log().abs() <= (table[right] / k).log().abs())
    return torch.where(closer_left, left, right)


def over(per_sample: Float[Tensor, " b"], like: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, ...) in the dtype and device of `like`, to multiply with it."""
    return per_sample.to(like).reshape(-1, *[1] * (like.ndim - 1))


def to_eps(output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor, prediction: str) -> Tensor:
    """eps from a network's native output.

    Args:
        output, z_t: (B, ...). alpha, sigma: broadcastable to them.
        prediction: "epsilon", "v" (= alpha eps - sigma x0, VP only: alpha^2 + sigma^2 = 1), "x0",
            or "velocity" (= eps - x0).

    Raises:
        ValueError: unknown prediction.
    """
    if prediction == "epsilon":
        return output
    if prediction == "x0":
        return (z_t - alpha * output) / sigma
    if prediction == "v":
        return (alpha * output + sigma * z_t) / (alpha**2 + sigma**2)
    if prediction == "velocity":
        return (z_t + alpha * output) / (alpha + sigma)
    raise unknown(prediction)


def to_x0(output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor, prediction: str) -> Tensor:
    """x0 from a network's native output; arguments as in `to_eps`."""
    if prediction == "epsilon":
        return (z_t - sigma * output) / alpha
    if prediction == "x0":
        return output
    if prediction == "v":
        return (alpha * z_t - sigma * output) / (alpha**2 + sigma**2)
    if prediction == "velocity":
        return (z_t - sigma * output) / (alpha + sigma)
    raise unknown(prediction)


def from_eps_x0(eps: Tensor, x0: Tensor, alpha: Tensor, sigma: Tensor, prediction: str) -> Tensor:
    """What a network of that prediction says where these are the noise and the image; arguments as in `to_eps`."""
    if prediction == "epsilon":
        return eps
    if prediction == "x0":
        return x0
    if prediction == "v":
        return alpha * eps - sigma * x0
    if prediction == "velocity":
        return eps - x0
    raise unknown(prediction)


def unknown(prediction: str) -> ValueError:
    """The error for a name that is none of PREDICTIONS."""
    return ValueError(f"unknown prediction {prediction!r}; expected one of {', '.join(PREDICTIONS)}")


def stable_diffusion_alpha_bar() -> Float[Tensor, " steps"]:
    """(1000,) float64: Stable Diffusion 1.x's "scaled linear" schedule, beta from 0.00085 to 0.012."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - beta, 0)


@cache
def stable_diffusion_schedule() -> NoiseSchedule:
    """The schedule in whose t the presets' bounds are written."""
    return NoiseSchedule("vp", stable_diffusion_alpha_bar())
