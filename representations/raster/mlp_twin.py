"""The plain torch definition of the small perceptron; on a CUDA device also its implementation."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor


def perceptron(
    x: Float[Tensor, "n i"], weights: Sequence[Float[Tensor, "o i"]], biases: Sequence[Float[Tensor, " o"]]
) -> Float[Tensor, "n o"]:
    """h_0 = x, h_{l+1} = relu(h_l W_lᵀ + b_l); the last layer has no relu."""
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = x @ weight.T + bias
        if number + 1 < len(weights):
            x = x.relu()
    return x
