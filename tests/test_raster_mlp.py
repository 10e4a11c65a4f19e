"""The small perceptron: native kernels against the definition and finite differences."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from raster_cases import native_levels, select
from sds3d.representations.raster import mlp_native, mlp_twin
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.mlp import perceptron

from sds3d.core.errors import NonFiniteError

widths = st.lists(st.integers(1, 70), min_size=2, max_size=5)
seeds = st.integers(0, 2**31)


def network(sizes: list[int], seed: int, count: int, dtype=torch.float32):
    """Inputs, weights and biases, each a leaf."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    pairs = list(pairwise(sizes))
    leaves = normal(count, sizes[0]), [normal(b, a) / a**0.5 for a, b in pairs], [normal(b) for _, b in pairs]
    for leaf in (leaves[0], *leaves[1], *leaves[2]):
        leaf.requires_grad_()
    return leaves


@given(widths, seeds, st.sampled_from([0, 1, 63, 64, 65, 200]))
@pytest.mark.parametrize("name", native_levels())
def test_native_kernels_are_the_twin(name, sizes, seed, count) -> None:
    x, weights, biases = network(sizes, seed, count)
    leaves = [x, *weights, *biases]
    upstream = torch.randn(count, sizes[-1], generator=torch.Generator().manual_seed(seed + 1))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for choice in ("twin", select(patch, mlp_native, name)):
            y = perceptron(x, weights, biases, implementation=choice)
            found.append([y.detach(), *torch.autograd.grad(y, leaves, upstream)])
    for exact, fast in zip(*found, strict=True):
        # a hidden number within rounding of 0 is on in one and off in the other: none in these small cases
        torch.testing.assert_close(
            fast, exact, rtol=1e-4, atol=2e-5 * max(1.0, float(exact.abs().max())) if exact.numel() else 0
        )


def test_the_twin_has_the_gradients_of_finite_differences() -> None:
    x, weights, biases = network([3, 6, 5, 2], 1, 4, torch.float64)
    leaves = (x, *weights, *biases)
    assert torch.autograd.gradcheck(lambda x, *p: mlp_twin.perceptron(x, p[:3], p[3:]), leaves)


def test_one_layer_is_linear_and_two_are_the_formula() -> None:
    x, weights, biases = network([4, 7, 3], 2, 9)
    torch.testing.assert_close(perceptron(x, weights[:1], biases[:1]), x @ weights[0].T + biases[0])
    hidden = (x @ weights[0].T + biases[0]).clamp_min(0)
    torch.testing.assert_close(perceptron(x, weights, biases), hidden @ weights[1].T + biases[1])


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", native_levels())
def test_repeats_are_bit_identical_and_threads_agree(monkeypatch, name, threads) -> None:
    choice = select(monkeypatch, mlp_native, name)
    x, weights, biases = network([16, 32, 4], 3, 1000)

    def gradients() -> list[torch.Tensor]:
        y = perceptron(x, weights, biases, implementation=choice)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *weights, *biases])]

    one = gradients()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    first, second = gradients(), gradients()
    for a, b, c in zip(first, second, one, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-5 * float(c.abs().max()))


def test_inputs_without_a_gradient_get_none() -> None:
    x, weights, biases = network([3, 5, 2], 4, 10)
    perceptron(x.detach(), weights, biases).sum().backward()
    assert x.grad is None
    assert weights[0].grad is not None


def test_layers_that_do_not_fit_are_refused_by_number() -> None:
    x, weights, biases = network([3, 5, 2], 5, 10)
    with pytest.raises(RasterError, match=r"layer 1 takes 5 numbers, its weight is \(5, 3\)"):
        perceptron(x, [weights[0], weights[0]], biases)
    with pytest.raises(RasterError, match="as many biases"):
        perceptron(x, weights, biases[:1])
    with pytest.raises(RasterError, match=r"weights\[1\] is torch.float64"):
        perceptron(x, [weights[0], weights[1].double()], biases)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_nan_is_named(bad) -> None:
    x, weights, biases = network([3, 5, 2], 6, 10)
    with torch.no_grad():
        biases[1][1] = bad
    with pytest.raises(NonFiniteError, match=r"perceptron: biases\[1\]\[1\]"):
        perceptron(x, weights, biases)
