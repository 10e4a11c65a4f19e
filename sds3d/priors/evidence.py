"""Where in pictures a sentence is right and others are wrong: a prior's errors, pixel by pixel.

A diffusion model that is told the right words predicts a noisy picture better than with wrong ones, by its own bound
on the likelihood (Li et al., "Your Diffusion Model is Secretly a Zero-Shot Classifier", arXiv 2303.16203, eq. 5). Here
the same difference is kept where it arises,

    D = E_t,eps [ mean_k |x - x0(x_t; c_k)|^2 - |x - x0(x_t; c)|^2 ],  summed over channels,

with c what the picture shows and c_k what it might show instead. DiffEdit's mask (Couairon et al., arXiv 2210.11427)
is |x0(x_t; c) - x0(x_t; c_1)|: large as well where the model would change things that fit both sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.streams import Streams
from .base import Cond, Prior

TIMES = (0.7, 0.8, 0.9)
"""Native times: so noisy that the words decide what is predicted."""
DRAWS = 2
"""Noises at each time."""


@torch.no_grad()
def evidence(
    prior: Prior,
    z: Float[Tensor, "b c h w"],
    own: Cond,
    others: Sequence[Cond],
    streams: Streams,
    ids: Sequence[int],
) -> Float[Tensor, "b h w"]:
    """D of every view, on the CPU; each time counts alike, as its mean size is one.

    Args:
        z: encoded views. own: the words that are right. others: wrong ones, at least one.
        ids: numbers of the views, for their noise.
    """
    total = torch.zeros(len(z), *z.shape[2:])
    for time in TIMES:
        t = torch.full((len(z),), time, device=z.device)
        alpha, sigma = (v.to(z).reshape(-1, 1, 1, 1) for v in prior.schedule.levels(t))
        at_time = torch.zeros_like(total)
        for draw in range(DRAWS):
            noise = streams.normal(z.shape[1:], "evidence", draw, f"{time}", ids=ids).to(z)
            noisy = alpha * z + sigma * noise
            wrong = [_error(prior, noisy, t, cond, z) for cond in others]
            at_time += torch.stack(wrong).mean(0) - _error(prior, noisy, t, own, z)
        total += at_time / at_time.abs().mean().clamp_min(1e-12)
    return total / len(TIMES)


def _error(prior: Prior, noisy: Tensor, t: Tensor, cond: Cond, z: Tensor) -> Float[Tensor, "b h w"]:
    """Squared distance of what is predicted from what is there, summed over channels."""
    return (prior.predict(noisy, t, cond).x0.float() - z.float()).square().sum(1).cpu()
