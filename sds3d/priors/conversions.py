"""A network's native output as a full `Prediction`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from .base import Prediction
from .noise_schedule import NoiseSchedule, over, to_eps_x0


def complete(
    output: Tensor, z_t: Tensor, t: Float[Tensor, " b"], schedule: NoiseSchedule, prediction: str
) -> Prediction:
    """All four forms of what the network said; the native one is passed on bit by bit.

    Args:
        output: (B, ...) native output. z_t: (B, ...) what it looked at. t: (B,) in [0, 1].
        prediction: "epsilon", "v", "x0" or "velocity".
    """
    alpha, sigma = over(schedule.alpha(t), z_t), over(schedule.sigma(t), z_t)
    eps, x0 = to_eps_x0(output, z_t, alpha, sigma, prediction)
    v = output if prediction == "v" else alpha * eps - sigma * x0
    velocity = output if prediction == "velocity" else eps - x0
    return Prediction(eps=eps, x0=x0, v=v, velocity=velocity)
