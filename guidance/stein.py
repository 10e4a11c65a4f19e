"""Views that pull each other along: Stein variational coupling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.tree import Tree
from sds3d.priors.base import Prior
from sds3d.priors.noise_schedule import over

from .base import Log
from .steps import Seen

AMONG = ("group", "batch")


@dataclass(frozen=True)
class Stein:
    """The residuals of views (frames, patches) coupled by the likeness of their noisy latents.

        r_i <- (1/N) sum_j [ k(q_j, q_i) r_j + d k(q_i, q_j) / d q_i ],   k = exp(-gamma |q_i - q_j|^2)
        gamma = log(N + 1) / median(|q_i - q_j|^2),   the median over all N^2 pairs, i = j among them

    The second term belongs to a *descent*: it drives views apart. Stein variational gradient descent is of Liu and
    Wang 2016, arXiv 1608.04471; as the coupling of edited pictures: collaborative score distillation, Kim et al. 2023,
    arXiv 2307.04787. One view, or equal ones, have no median: gamma is 0 then, and the residual is their mean.

    Args:
        among: "group": the views of one object; "batch": all.
        gamma: of the kernel; None for the rule above.
    """

    among: str = "group"
    gamma: float | None = None
    name: str = "stein"

    def __post_init__(self):
        if self.among not in AMONG:
            raise ConfigError(
                f"views are coupled among {' or '.join(AMONG)}, not {self.among!r}.", key="post"
            )

    def bind(self, prior: Prior) -> Stein:
        """The same: no prior is asked."""
        return self

    def __call__(self, residual: Tensor, seen: Seen, memory: Tree) -> tuple[Tensor, Tree, Log]:
        """See ResidualStep; the states "t" are what is compared, in their variance-preserving form."""
        state, out = seen.states["t"], torch.empty_like(residual)
        q = state.z_t / over((state.alpha.square() + state.sigma.square()).sqrt(), residual)
        numbers = [0] * len(q) if self.among == "batch" else seen.now.groups
        for number in dict.fromkeys(numbers):
            rows = torch.tensor([k for k, n in enumerate(numbers) if n == number], device=q.device)
            flat = coupled(residual[rows].flatten(1), q[rows].flatten(1), self.gamma)
            out[rows] = flat.view_as(residual[rows])
        return out, memory, {}


def coupled(
    residual: Float[Tensor, "n d"], q: Float[Tensor, "n d"], gamma: float | None = None
) -> Float[Tensor, "n d"]:
    """The formula of `Stein` on flat rows: residuals r and noisy latents q."""
    apart = q[:, None] - q[None]
    square = apart.square().sum(-1)
    middle = float(_median(square))
    if gamma is None:
        gamma = math.log(len(q) + 1) / middle if middle > 0.0 else 0.0
    kernel = torch.exp(-gamma * square)
    push = (-2.0 * gamma * kernel[..., None] * apart).sum(1)
    return (kernel @ residual + push) / len(q)


def _median(values: Tensor) -> Tensor:
    """The mean of the two middle values where their number is even; torch's own takes the lower."""
    return torch.quantile(values.flatten().double(), 0.5)
