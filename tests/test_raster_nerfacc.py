"""The nerfacc branch: its own Python above a strict stand-in for its compiled module; dispatch to it and around it."""

from __future__ import annotations

import sys

import pytest
import torch
from sds3d.representations.raster import dispatch, sampled_rays_nerfacc
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.sampled_rays import accumulate, weights
from test_raster_sampled_rays import taken
from torch import Tensor

pytest.importorskip("nerfacc")

CPU = torch.device("cpu")


@pytest.fixture
def extension(monkeypatch):
    """The stand-in installed, the CPU standing for the CUDA device."""
    from fakes import nerfacc_csrc

    module = nerfacc_csrc.make(CPU)
    sampled_rays_nerfacc.compiled_module.cache_clear()
    monkeypatch.setitem(sys.modules, "nerfacc.csrc", module)
    # nerfacc asks for the module there, by an import that would otherwise try to build it
    backend = type(sys)("nerfacc.cuda._backend")
    backend._C = module
    monkeypatch.setitem(sys.modules, "nerfacc.cuda._backend", backend)
    monkeypatch.setattr(
        sampled_rays_nerfacc, "nerfacc_status", lambda _: sampled_rays_nerfacc.compiled_module()
    )
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"cpu": ("nerfacc", "native")})
    yield module
    sampled_rays_nerfacc.compiled_module.cache_clear()


def sums(name: str, seed: int, stop: float, density: float) -> list[Tensor]:
    """Weights, sums and gradients of random samples."""
    samples = taken("twin", seed)
    generator = torch.Generator().manual_seed(seed)
    thick = (density * torch.rand(len(samples), generator=generator)).requires_grad_()
    values = torch.randn(len(samples), 4, generator=generator).requires_grad_()
    upstream = torch.randn(40, 4, generator=generator)
    weight = weights(thick, samples, stop, implementation=name)
    out = accumulate(weight, values, samples, implementation=name)
    return [weight.detach(), out.detach(), *torch.autograd.grad(out, [thick, values], upstream)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stop", [0.0, 1e-3, 0.2])
@pytest.mark.parametrize("density", [0.0, 2.0, 60.0])
def test_weights_sums_and_gradients_are_the_definition_s(extension, seed, stop, density) -> None:
    for quick, exact in zip(
        sums("auto", seed, stop, density), sums("twin", seed, stop, density), strict=True
    ):
        torch.testing.assert_close(quick, exact, rtol=1e-4, atol=2e-5)
    assert extension.calls == ["exclusive_sum"] * 2  # forward and backward


def test_where_no_ray_meets_anything_nothing_is_asked(extension) -> None:
    empty = taken("twin", 0).keep(torch.zeros(len(taken("twin", 0)), dtype=torch.bool))
    thick = torch.zeros(0, requires_grad=True)
    weight = weights(thick, empty, implementation="nerfacc")
    out = accumulate(weight, torch.zeros(0, 3), empty, implementation="nerfacc")
    assert out.shape == (40, 3)
    assert not out.any()
    assert torch.autograd.grad(out.sum(), thick)[0].shape == (0,)
    assert extension.calls == []


def test_nerfacc_is_for_cuda_and_never_built_from_here(monkeypatch) -> None:
    samples = taken("twin", 1)
    with pytest.raises(RasterError, match="not on 'cpu'"):
        weights(torch.ones(len(samples)), samples, implementation="nerfacc")
    with pytest.raises(RasterError, match="'nerfacc' is none of"):
        taken("nerfacc", 1)
    monkeypatch.setitem(sys.modules, "nerfacc.csrc", None)
    sampled_rays_nerfacc.compiled_module.cache_clear()
    assert "compiled module does not import" in sampled_rays_nerfacc.nerfacc_status(torch.device("cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sampled_rays_nerfacc.compiled_module.cache_clear()
    assert "not installed: pip install" in sampled_rays_nerfacc.nerfacc_status(torch.device("cuda"))
    sampled_rays_nerfacc.compiled_module.cache_clear()
