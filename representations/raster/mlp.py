"""A small perceptron over many points. Formula and reference implementation: `mlp_twin`."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from . import mlp_native, mlp_twin
from .dispatch import Implementation, RasterError, choose
from .finite import require_finite

LAYERS = 8
"""Most layers."""


def perceptron(
    x: Float[Tensor, "n i"],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n o"]:
    """relu layers and a linear last one; differentiable in everything.

    Args:
        x: (N, inputs). weights: (outputs, inputs) a layer, 1 to 8 that fit together. biases: (outputs,) a layer.
        implementation: "auto" takes the native kernel on the CPU and torch's matrix products elsewhere; "twin"
            is the latter everywhere.

    Returns:
        (N, outputs of the last layer).

    Raises:
        RasterError: shapes, types or devices that do not fit, or the native kernel is asked for where it is not.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    if x.ndim != 2 or not 1 <= len(weights) <= LAYERS or len(biases) != len(weights):
        raise RasterError(
            f"perceptron: x must be (N, inputs) and 1 to {LAYERS} weights come with as many biases, "
            f"got {tuple(x.shape)}, {len(weights)} and {len(biases)}"
        )
    width = x.shape[1]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise RasterError(
                f"perceptron: layer {number} takes {width} numbers, its weight is {tuple(weight.shape)} and "
                f"its bias {tuple(bias.shape)}; they must be (outputs, {width}) and (outputs,)"
            )
        width = len(weight)
    named = {"x": x} | {f"weights[{k}]": w for k, w in enumerate(weights)}
    named |= {f"biases[{k}]": b for k, b in enumerate(biases)}
    for name, value in named.items():
        if value.dtype != x.dtype or value.device != x.device:
            raise RasterError(
                f"perceptron: {name} is {value.dtype} on {value.device}, x {x.dtype} on {x.device}"
            )
    if implementation == "auto" and x.device.type != "cpu":
        implementation = "twin"  # torch's matrix products are that device's own
    choice = choose("perceptron", implementation, x.device, x.dtype)
    for name, value in named.items():
        require_finite("perceptron", name, value)
    return (mlp_native if choice == "native" else mlp_twin).perceptron(x, weights, biases)
