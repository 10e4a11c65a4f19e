"""Slot 5, weight: w(t) on the epsilon-residual, as a function of kappa = sigma / alpha.

Written in kappa, a weight means the same for a variance-preserving prior and for its rectified-flow
rewriting (guidance card §1.7): sigma2 is the VP sigma^2 = kappa^2 / (1 + kappa^2) on both.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

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


WEIGHTS = MappingProxyType({"sigma2": sigma2, "uniform": uniform, "kappa": kappa})
"""Name in a config -> weight."""
