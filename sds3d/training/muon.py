"""Muon: steps whose matrix is orthogonal, so that every direction of a weight matrix learns at the same rate.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the scale that makes its rates those of
AdamW is of Liu et al. (arXiv 2502.16982, section 2.2). torch.optim.Muon takes neither kernels of convolutions nor
float32 (it multiplies in bfloat16, which many CPUs do not have).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.95
RMS = 0.2
"""Root mean square of a step at rate 1, as AdamW's steps have it."""
COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""a, b, c of each round of X <- a X + (b A + c A A) X with A = X X^T; fitted round by round, so that five suffice."""


def orthogonalized(matrices: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """Nearly U V^T of each matrix U S V^T: singular values end between about 0.7 and 1.2 (where S is not tiny).

    Args:
        matrices: rows no more than columns.
    """
    x = matrices / (1.02 * matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if x.shape[2] >= 2 * x.shape[1]:
        return _polar_of_gram(x @ x.mT) @ x
    for a, b, c in COEFFICIENTS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _polar_of_gram(gram: Float[Tensor, "n r r"]) -> Float[Tensor, "n r r"]:
    """The product of all rounds' factors from X X^T alone: fewer products where X is wide.

    With P = a + b G + c G G a round makes P X of X and P G P of G, and P and G commute.
    """
    product = None
    for a, b, c in COEFFICIENTS:
        p = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        p.diagonal(dim1=1, dim2=2).add_(a)
        product = p if product is None else p @ product
        gram = p @ gram @ p
    assert product is not None
    return product


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized; a kernel (out, in, h, w) counts as a matrix (out, in h w).

    Args:
        parameters: of two dimensions or more.
        lr: as large as one would give AdamW. weight_decay: share of the weights taken off a step, times lr.
        threads: where to take parameters of different shapes side by side.

    Raises:
        ValueError: a parameter is a vector.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        threads: Executor | None = None,
    ):
        parameters = list(parameters)
        if any(p.ndim < 2 for p in parameters):
            raise ValueError("Muon steps matrices and kernels; give vectors to AdamW")
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self._map = map if threads is None else threads.map

    def step(self, closure: Any = None) -> Any:
        """One step; parameters without a gradient stay as they are."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            shapes = _by_shape(p for p in group["params"] if p.grad is not None)
            for _ in self._map(lambda same: self._advance(same, group), shapes):  # noqa: B023 (used within the round)
                pass

    @torch.no_grad()
    def _advance(self, same: Sequence[Tensor], group: dict[str, Any]) -> None:
        """Step parameters of one shape."""
        steps = orthogonalized(torch.stack([_wide(self._direction(p)) for p in same]))
        scale = group["lr"] * RMS * steps.shape[2] ** 0.5
        for p, step in zip(same, steps, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(_as(step, p), alpha=-scale)

    def _direction(self, p: Tensor) -> Tensor:
        """Nesterov's look ahead along the running mean of the gradients."""
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["mean"] = torch.zeros_like(p)
        state["mean"].lerp_(p.grad, 1 - MOMENTUM)
        return p.grad.lerp(state["mean"], MOMENTUM)


def _by_shape(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters whose wide matrices have one shape, together: they go through one product. The longest work first."""
    groups: dict[tuple[int, ...], list[Tensor]] = {}
    for p in parameters:
        groups.setdefault(tuple(sorted(p.flatten(1).shape)), []).append(p)
    return sorted(groups.values(), key=lambda same: -len(same) * min(same[0].flatten(1).shape) ** 3)


def _wide(values: Tensor) -> Float[Tensor, "r c"]:
    """As a matrix with no more rows than columns."""
    matrix = values.flatten(1)
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def _as(matrix: Float[Tensor, "r c"], p: Tensor) -> Tensor:
    """Back from `_wide` to a parameter's shape."""
    rows, columns = p.flatten(1).shape
    return (matrix if rows <= columns else matrix.T).reshape(p.shape)
