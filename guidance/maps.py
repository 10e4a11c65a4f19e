"""What a step's gradient is made of, as maps over the picture: target, reference, residual."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from .predictions import Symbol
from .rules import Linear, Rule

NAMES = ("target", "reference", "residual")


def gradient_maps(
    rule: Rule, eps: Mapping[Symbol, Tensor], residual: Tensor, progress: float
) -> dict[str, Float[Tensor, "b h w"]]:
    """Root mean square over channels of each pixel of each view.

    A sum is split by the signs of its coefficients: what is pulled to, and what is pushed from; a rule of another
    form has only its residual.

    Args:
        eps: (B, C, h, w) behind every symbol. residual: (B, C, h, w).

    Returns:
        "target", "reference", "residual" -> (B, h, w), as far as they exist.
    """
    out = {"residual": residual}
    if isinstance(rule, Linear):
        parts = rule.coefficients(progress)
        for name, sign in (("target", 1.0), ("reference", -1.0)):
            mine = [sign * value * eps[symbol] for symbol, value in parts.items() if sign * value > 0.0]
            if mine:
                out[name] = sum(mine[1:], mine[0])
    return {name: out[name].square().mean(1).sqrt() for name in NAMES if name in out}
