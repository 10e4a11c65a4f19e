"""How well a sound was taken out of a mixture: scale-invariant signal-to-distortion ratio.

Le Roux et al., "SDR – half-baked or well done?", 2019, arXiv 1811.02508, eq. 3: with s the reference, x the estimate
and a = <x, s> / |s|^2,  SI-SDR = 10 log10 ( |a s|^2 / |a s - x|^2 ).
"""

from __future__ import annotations

from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor

_TINY = 1e-12


def si_sdr(estimate: Float[Tensor, "*b t"], reference: Float[Tensor, "*b t"]) -> Float[Tensor, "*b"]:
    """Decibels; higher is better, 0 where half of the power is wrong."""
    scale = (estimate * reference).sum(-1, keepdim=True) / (reference.square().sum(-1, keepdim=True) + _TINY)
    wanted = scale * reference
    wrong = (wanted - estimate).square().sum(-1)
    return 10 * torch.log10((wanted.square().sum(-1) + _TINY) / (wrong + _TINY))


def improvement(
    estimates: Float[Tensor, "k t"], references: Float[Tensor, "k t"], mixture: Float[Tensor, " t"]
) -> Float[Tensor, " k"]:
    """Decibels that each source gained over the mixture itself, taken in the order that was asked for."""
    return si_sdr(estimates, references) - si_sdr(mixture.expand_as(references), references)


def in_best_order(estimates: Float[Tensor, "k t"], references: Float[Tensor, "k t"]) -> tuple[int, ...]:
    """The order of the estimates with the highest mean SI-SDR: other than 0, 1, … where sources were swapped."""
    orders = list(permutations(range(len(references))))
    means = [float(si_sdr(estimates[list(order)], references).mean()) for order in orders]
    return orders[means.index(max(means))]
