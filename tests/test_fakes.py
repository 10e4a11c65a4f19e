"""The stand-ins for CUDA packages are as strict as the originals, and their values hold where they have any."""

from __future__ import annotations

import pytest
import torch
from fakes import nvdiffrast_torch, tinycudann
from fakes.elsewhere import META
from fakes.packages import install
from fakes.second_device import SECOND, There, computing
from sds3d.representations.raster import hash_grid_twin
from sds3d.representations.raster.hash_grid_layout import HashGrid

CPU = torch.device("cpu")
HASH = {"otype": "HashGrid", "n_levels": 8, "n_features_per_level": 2, "log2_hashmap_size": 15}
SMALL = {"otype": "FullyFusedMLP", "n_neurons": 64, "n_hidden_layers": 1, "activation": "ReLU"}


def square(device: torch.device = CPU) -> tuple[torch.Tensor, torch.Tensor]:
    """Two triangles over the left half of the picture, one image."""
    pos = torch.tensor([[[-1.0, -1, 0, 1], [0, -1, 0, 1], [0, 1, 0, 1], [-1, 1, 0, 1]]], device=device)
    return pos, torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32, device=device)


def test_nvdiffrast_draws_what_is_there() -> None:
    dr = nvdiffrast_torch.make(CPU)
    pos, tri = square()
    rast, _ = dr.rasterize(dr.RasterizeCudaContext(), pos, tri, (6, 8))
    assert (rast[0, :, :4, 3] > 0).all()
    assert not rast[0, :, 4:].any()
    seen, _ = dr.interpolate(pos[..., :2].contiguous(), rast, tri)
    torch.testing.assert_close(seen[0, 2, :4, 0], torch.tensor([-0.875, -0.625, -0.375, -0.125]))
    torch.testing.assert_close(seen[0, :, 1, 1], (torch.arange(6) + 0.5) / 3 - 1)
    picture = torch.rand(1, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid((torch.arange(5) + 0.5) / 5, (torch.arange(7) + 0.5) / 7, indexing="ij")
    torch.testing.assert_close(dr.texture(picture, torch.stack([x, y], 2)[None].contiguous()), picture)


def test_nvdiffrast_refuses_what_the_original_refuses() -> None:
    dr = nvdiffrast_torch.make(CPU)
    (pos, tri), context = square(), dr.RasterizeCudaContext()
    with pytest.raises(TypeError, match=r"tri must be torch\.int32, is torch\.int64"):
        dr.rasterize(context, pos, tri.long(), (6, 8))
    with pytest.raises(TypeError, match=r"pos must be torch\.float32"):
        dr.rasterize(context, pos.double(), tri, (6, 8))
    with pytest.raises(TypeError, match="pos must be contiguous"):
        dr.rasterize(context, pos.mT.contiguous().mT, tri, (6, 8))
    with pytest.raises(TypeError, match="tri must be on meta"):
        nvdiffrast_torch.make(META).rasterize(context, pos.to(META), tri, (6, 8))
    with pytest.raises(RuntimeError, match="must not be empty"):
        dr.rasterize(context, pos, tri[:0], (6, 8))
    with pytest.raises(TypeError, match="glctx"):
        dr.rasterize(None, pos, tri, (6, 8))
    with pytest.raises(TypeError, match="color must be"):
        dr.antialias(torch.zeros(1, 4, 4, 3), torch.zeros(1, 6, 8, 4), pos, tri)


def test_nvdiffrast_passes_gradients_on_every_device() -> None:
    for device in (CPU, META):
        dr = nvdiffrast_torch.make(device)
        pos, tri = square(device)
        pos.requires_grad_()
        rast, _ = dr.rasterize(dr.RasterizeCudaContext(device), pos, tri, (6, 8))
        seen, _ = dr.interpolate(torch.ones(1, 4, 3, device=device), rast, tri)
        assert torch.autograd.grad(dr.antialias(seen, rast, pos, tri).sum(), pos)[0].shape == pos.shape


def test_nvdiffrast_gives_no_gradient_of_the_depth() -> None:
    dr = nvdiffrast_torch.make(CPU)
    pos, tri = square()
    pos.requires_grad_()
    rast, _ = dr.rasterize(dr.RasterizeCudaContext(), pos, tri, (6, 8))
    assert not torch.autograd.grad(rast[..., 2].sum(), pos, retain_graph=True)[0].any()
    assert torch.autograd.grad(rast[..., 0].square().sum(), pos)[0].any()


def test_a_stand_in_is_found_by_import(monkeypatch) -> None:
    made = install(monkeypatch, nvdiffrast_torch.make(CPU))
    import nvdiffrast.torch as found

    assert found is made


@pytest.mark.parametrize("features", [1, 2, 4])
def test_tinycudann_grids_are_the_twin_s(features) -> None:
    grid = HashGrid(levels=4, features=features, log2_size=9, base=4, finest=32)
    config = {
        "otype": "HashGrid",
        "n_levels": grid.levels,
        "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_size,
        "base_resolution": grid.base,
        "per_level_scale": grid.growth,
    }
    encoding = tinycudann.make(CPU).Encoding(3, config, dtype=torch.float32)
    assert encoding.params.numel() == grid.rows * grid.features
    assert {*grid.dense} == {True, False}
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(2))
    expected = hash_grid_twin.encode(points, encoding.params.reshape(-1, features), grid, grid.levels)
    torch.testing.assert_close(encoding(points), expected, rtol=1e-4, atol=1e-9)


def test_tinycudann_returns_half_precision_views() -> None:
    tcnn = tinycudann.make(CPU)
    encoding, network = tcnn.Encoding(3, HASH), tcnn.Network(16, 5, SMALL)
    assert (encoding.n_output_dims, encoding.params.dtype) == (16, torch.float32)
    features = encoding(torch.rand(9, 3))
    out = network(features)
    assert (features.dtype, out.dtype, out.shape) == (torch.float16, torch.float16, (9, 5))
    assert not out.is_contiguous()
    assert tcnn.Encoding(3, HASH, dtype=torch.float32)(torch.rand(2, 3)).dtype == torch.float32
    assert tcnn.NetworkWithInputEncoding(3, 1, HASH, SMALL)(torch.rand(4, 3)).shape == (4, 1)


def test_tinycudann_refuses_what_the_original_refuses() -> None:
    tcnn = tinycudann.make(META)
    with pytest.raises(TypeError, match="input must be on meta"):
        tcnn.Encoding(3, HASH)(torch.rand(9, 3))
    with pytest.raises(TypeError, match=r"input must be \(N, 3\)"):
        tcnn.Encoding(3, HASH)(torch.zeros(9, 2, device=META))
    with pytest.raises(RuntimeError, match="unknown keys"):
        tcnn.Encoding(3, HASH | {"levels": 3})
    with pytest.raises(RuntimeError, match="otype 'Hash' is none of"):
        tcnn.Encoding(3, {"otype": "Hash"})
    with pytest.raises(RuntimeError, match="n_neurons must be one of"):
        tcnn.Network(3, 1, SMALL | {"n_neurons": 48})
    with pytest.raises(ValueError, match="neither float32 nor float16"):
        tcnn.Encoding(3, HASH, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="n_output_dims must be int"):
        tcnn.Network(3, 1.0, SMALL)


def test_the_second_device_computes_and_mixes_with_none() -> None:
    with computing() as second:
        x, y = torch.arange(4.0, device=second), torch.tensor([1.0, 2.0, 3.0, 4.0], device=second)
        leaf = torch.ones(4).to(second).requires_grad_()
        (leaf * x).sum().backward()
        assert isinstance(leaf.grad, There)
        assert leaf.grad.device == SECOND
        assert leaf.grad.cpu().tolist() == [0, 1, 2, 3]
        x[1:3] = 7.0
        assert x.tolist() == [0, 7, 7, 3]
        assert bool((x[torch.tensor([1, 2])] > 6).all())  # CUDA takes indices from the CPU, and numbers
        assert (y + torch.tensor(3.0)).tolist() == [4, 5, 6, 7]
        assert torch.zeros_like(x).device == x.new_ones(2).device == SECOND
        assert type(x.cpu()) is torch.Tensor
        for mixed in (
            lambda: x + torch.ones(4),
            lambda: torch.stack([x, torch.ones(4)]),
            lambda: torch.ones(4, 4) @ x,
        ):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                mixed()
        with pytest.raises(TypeError, match="to numpy"):
            x.numpy()
    with pytest.raises(RuntimeError, match=r"Could not run|[Ll]azy"):
        torch.zeros(2, device=SECOND)
