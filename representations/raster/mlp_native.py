"""The native perceptron behind torch's autograd; arguments as in `mlp_twin`, float32 on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dispatch import instruction_level, native_module


def perceptron(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """See mlp_twin.perceptron."""
    return _Perceptron.apply(x, len(weights), *weights, *biases)


class _Perceptron(torch.autograd.Function):
    """Keeps the inputs alone: hidden activations are computed again, in the cache."""

    @staticmethod
    def forward(ctx, x, layers, *parameters):
        inputs = [t.detach().contiguous() for t in (x, *parameters)]
        weights, biases = inputs[1 : layers + 1], inputs[layers + 1 :]
        y = torch.empty(len(x), len(biases[-1]))
        module, _ = native_module()
        module.perceptron_forward(inputs[0], weights, biases, y, torch.get_num_threads(), instruction_level())
        ctx.save_for_backward(*inputs)
        ctx.layers = layers
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, to_y):
        x, *parameters = ctx.saved_tensors
        layers = ctx.layers
        gradients = [torch.empty_like(p) for p in parameters]
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        halves = (parameters[:layers], parameters[layers:])
        module, _ = native_module()
        module.perceptron_backward(
            x, *halves, to_y.contiguous(), to_x, gradients[:layers], gradients[layers:],
            torch.get_num_threads(), instruction_level(),
        )  # fmt: skip
        return to_x, None, *gradients
