"""Muon: orthogonal steps, whatever the size of the gradient; who is stepped by it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.priors.scorer import load_scorer
from sds3d.training.muon import MOMENTUM, RMS, Muon, orthogonalized
from sds3d.training.network import make_unet
from sds3d.training.optimizers import ends_of_scorer, ends_of_unet, optimizers
from sds3d.training.options import NetworkOptions

NETWORK = NetworkOptions(size=16, unshuffle=2, channels=(8, 16), attention=(False, True))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(0, 40), st.integers(0, 2**31), st.floats(1e-4, 1e4))
def test_singular_values_become_one_and_vectors_stay(rows, more, seed, size):
    g = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(rows, rows, generator=g, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(rows + more, rows, generator=g, dtype=torch.float64))
    values = torch.rand(rows, generator=g, dtype=torch.float64) * 0.95 + 0.05
    matrix = u @ (values[:, None] * v.T) * size
    found = u.T @ orthogonalized(matrix[None])[0] @ v
    assert float((found - torch.diag(found.diagonal())).abs().max()) < 1e-5
    assert float(found.diagonal().min()) > 0.65
    assert float(found.diagonal().max()) < 1.3


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (5, 40), (40, 5)])
def test_a_step_has_the_size_of_adamws(shape):
    g = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(shape))
    p.grad = torch.randn(shape, generator=g) * 1e-3
    Muon([p], lr=0.01).step()
    rank, rows, columns = min(p.flatten(1).shape), *p.flatten(1).shape
    exact = 0.01 * RMS * (max(rows, columns) * rank / (rows * columns)) ** 0.5
    assert float(p.detach().square().mean().sqrt()) == pytest.approx(exact, rel=0.25)
    assert float((p.detach() * p.grad).sum()) < 0, "it goes down"


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_size_of_gradients_does_not_matter(factor):
    g = torch.Generator().manual_seed(1)
    grads = [torch.randn(6, 10, generator=g) for _ in range(3)]
    ends = []
    for scale in (1.0, factor):
        p = torch.nn.Parameter(torch.ones(6, 10))
        optimizer = Muon([p], lr=0.1)
        for grad in grads:
            p.grad = grad * scale
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-4)


def test_momentum_is_a_running_mean_that_looks_ahead():
    p = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = Muon([p], lr=0.1)
    first, second = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    mean = torch.zeros(2, 2)
    for grad in (first, second):
        p.grad = grad.clone()
        optimizer.step()
        mean = MOMENTUM * mean + (1 - MOMENTUM) * grad
    torch.testing.assert_close(optimizer.state[p]["mean"], mean)
    assert p.detach()[0, 0] < 0
    assert p.detach()[1, 1] < 0


def test_weight_decay_shrinks_what_has_no_gradient_to_speak_of():
    p = torch.nn.Parameter(torch.ones(3, 3))
    p.grad = torch.zeros(3, 3)
    Muon([p], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(p.detach(), torch.full((3, 3), 0.95))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="vectors"):
        Muon([torch.zeros(3)], lr=0.1)


def test_layers_at_the_ends_are_adamws():
    unet = make_unet(NETWORK, 0)
    adam, muon = optimizers("muon", unet.named_parameters(), ends_of_unet, 1e-3, 0.01)
    stepped = {id(p) for p in muon.param_groups[0]["params"]}
    rest = {id(p) for p in adam.param_groups[0]["params"]}
    names = {name: id(p) for name, p in unet.named_parameters()}
    assert stepped | rest == set(names.values())
    assert not stepped & rest
    for name in (
        "conv_in.weight",
        "conv_out.weight",
        "class_embedding.linear_1.weight",
        "mid_block.resnets.0.norm1.weight",
    ):
        assert names[name] in rest, name
    for name in ("mid_block.resnets.0.conv1.weight", "class_embedding.linear_2.weight"):
        assert names[name] in stepped, name
    assert len(optimizers("adamw", unet.named_parameters(), ends_of_unet, 1e-3, 0.01)) == 1


@pytest.mark.parametrize(
    ("name", "outer"),
    [
        ("encoder.conv_in.weight", True),
        ("decoder.conv_out.weight", True),
        ("decoder.mid_block.conv.weight", False),
    ],
)
def test_an_autoencoders_ends(name, outer):
    assert ends_of_unet(name) is outer


@pytest.mark.parametrize(
    ("name", "outer"),
    [
        ("image.blocks.0.conv.weight", True), ("image.blocks.1.conv.weight", False), ("image.hidden.weight", False),
        ("image.out.weight", True), ("text_projection.weight", True),
        ("text_encoder.embeddings.token_embedding.weight", True),
        ("text_encoder.encoder.layers.0.mlp.fc1.weight", False),
    ],
)  # fmt: skip
def test_a_scorers_ends(name, outer):
    assert ends_of_scorer(name) is outer
    assert name in dict(load_scorer().named_parameters())
