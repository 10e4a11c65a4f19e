"""The hash grid against closed forms, finite differences and each other's implementation."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from fakes import tinycudann
from hypothesis import given
from hypothesis import strategies as st
from raster_cases import implementations, kernels, native_levels, select
from sds3d.representations.raster import dispatch, hash_grid_native, hash_grid_tcnn, hash_grid_twin
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.hash_grid import encode, encode_slopes
from sds3d.representations.raster.hash_grid_layout import HashGrid
from torch import Tensor

from sds3d.core.errors import NonFiniteError

SMALL = HashGrid(levels=4, features=2, log2_size=8, base=3, finest=24)
grids = st.builds(
    HashGrid,
    levels=st.integers(1, 5),
    features=st.sampled_from([1, 2, 4, 8]),
    log2_size=st.integers(3, 10),
    base=st.integers(2, 6),
    finest=st.integers(6, 40),
)
every_implementation = pytest.mark.parametrize("name", implementations())
seeds = st.integers(0, 2**31)


def use(patch: pytest.MonkeyPatch, name: str) -> str:
    """The value for the argument `implementation`."""
    return select(patch, hash_grid_native, name)


def case(grid: HashGrid, seed: int, count: int = 70, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """Points, some at corners and faces of the cube, and a table."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=generator, dtype=dtype)
    points[:2] = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    points[2, 0], points[3, 1] = 1.0, 0.0
    return points, torch.randn(grid.rows, grid.features, generator=generator, dtype=dtype)


def results(name: str, grid: HashGrid, seed: int, active: int) -> list[Tensor]:
    """Features and slopes, and the gradients of tables and points under random upstreams."""
    points, table = case(grid, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    to_out = torch.randn(len(points), grid.width, generator=generator)
    to_slopes = torch.randn(len(points), 3, grid.width, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        choice = use(patch, name)
        places, rows = points.clone().requires_grad_(), table.clone().requires_grad_()
        out = encode(places, rows, grid, active, implementation=choice)
        out.backward(to_out)
        same = table.clone().requires_grad_()
        again, slopes = encode_slopes(points, same, grid, active, implementation=choice)
        torch.autograd.backward([again, slopes], [to_out, to_slopes])
    return [out.detach(), again.detach(), slopes.detach(), rows.grad, same.grad, places.grad]


@given(grids, seeds, st.integers(1, 5))
@pytest.mark.parametrize("name", kernels())
def test_kernels_are_the_twin(name, grid, seed, active) -> None:
    active = min(active, grid.levels)
    for fast, exact in zip(
        results(name, grid, seed, active), results("twin", grid, seed, active), strict=True
    ):
        torch.testing.assert_close(fast, exact, rtol=1e-4, atol=2e-5 * max(1.0, float(exact.abs().max())))


def test_the_twin_has_the_gradients_of_finite_differences() -> None:
    tiny = HashGrid(levels=2, features=2, log2_size=4, base=2, finest=6)
    points, table = case(tiny, 3, 5, torch.float64)
    inner = (0.13 + 0.71 * points).requires_grad_()  # off the walls of cells, where there is a kink
    table.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, t: hash_grid_twin.encode(p, t, tiny, 2), (inner, table))
    places = inner.detach()
    assert torch.autograd.gradcheck(lambda t: hash_grid_twin.encode_slopes(places, t, tiny, 2), table)


def test_slopes_are_the_derivatives_of_the_features() -> None:
    points, table = case(SMALL, 5, 40, torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda p: hash_grid_twin.encode(p, table, SMALL, 4).sum(0), points
    )
    _, slopes = hash_grid_twin.encode_slopes(points, table, SMALL, 4)
    torch.testing.assert_close(slopes, jacobian.permute(1, 2, 0))


@every_implementation
@given(seed=seeds)
def test_a_dense_level_reproduces_a_linear_function(name, seed) -> None:
    grid = HashGrid(levels=1, features=2, log2_size=12, base=9, finest=9)
    generator = torch.Generator().manual_seed(seed)
    slope, offset = torch.randn(3, 2, generator=generator), torch.randn(2, generator=generator)
    index = torch.arange(9**3)
    corner = torch.stack([index % 9, index // 9 % 9, index // 81], dim=1)
    place = (corner - 0.5) / 8  # row (i, j, k) lies where u = 8 x + 1/2 is whole
    table = torch.zeros(grid.rows, 2)
    table[: 9**3] = place @ slope + offset
    points = torch.rand(50, 3, generator=generator) * (1 - 2 / 16) + 1 / 16
    with pytest.MonkeyPatch.context() as patch:
        out, slopes = encode_slopes(points, table, grid, implementation=use(patch, name))
    torch.testing.assert_close(out, points @ slope + offset, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slopes, slope.expand(50, 3, 2), rtol=1e-3, atol=1e-4)


@every_implementation
def test_weights_of_a_cell_add_up_to_one(monkeypatch, name) -> None:
    points, _ = case(SMALL, 7)
    out, slopes = encode_slopes(
        points, torch.full((SMALL.rows, 2), 3.0), SMALL, implementation=use(monkeypatch, name)
    )
    torch.testing.assert_close(out, torch.full_like(out, 3.0))
    torch.testing.assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-4)


@every_implementation
def test_levels_that_are_off_are_zeros_and_learn_nothing(monkeypatch, name) -> None:
    choice = use(monkeypatch, name)
    points, table = case(SMALL, 1)
    table.requires_grad_()
    out = encode(points, table, SMALL, 2, implementation=choice)
    assert (out[:, :4] != 0).any(0).all()
    assert (out[:, 4:] == 0).all()
    out.sum().backward()
    first = SMALL.offsets[2]
    assert table.grad[:first].abs().sum() > 0
    assert table.grad[first:].abs().sum() == 0


@every_implementation
def test_no_points_are_no_features(monkeypatch, name) -> None:
    choice = use(monkeypatch, name)
    table = torch.randn(SMALL.rows, 2).requires_grad_()
    out, slopes = encode_slopes(torch.zeros(0, 3), table, SMALL, implementation=choice)
    assert out.shape == (0, 8)
    assert slopes.shape == (0, 3, 8)
    encode(torch.zeros(0, 3), table, SMALL, implementation=choice).sum().backward()
    assert torch.equal(table.grad, torch.zeros_like(table))


@pytest.mark.parametrize("name", native_levels())
def test_repeats_are_bit_identical_whatever_the_number_of_threads(monkeypatch, name) -> None:
    choice = use(monkeypatch, name)
    points, table = case(SMALL, 9, 5000)
    found = []
    for threads in (1, 1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        rows = table.clone().requires_grad_()
        out = encode(points, rows, SMALL, implementation=choice)
        out.square().sum().backward()
        found.append((out.detach(), rows.grad))
    for out, gradient in found[1:]:
        assert torch.equal(out, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_what_does_not_fit_is_refused_by_name() -> None:
    points, table = case(SMALL, 0)
    for wrong, text in [
        ((points, table[:-1]), "table must be"),
        ((points.double(), table), "float64"),
        ((points + 0.5, table), r"must lie in \[0, 1\]"),
    ]:
        with pytest.raises(RasterError, match=text):
            encode(*wrong, SMALL)
    with pytest.raises(RasterError, match="1 to 4 levels"):
        encode(points, table, SMALL, 5)
    with pytest.raises(RasterError, match="detach"):
        encode_slopes(points.clone().requires_grad_(), table, SMALL)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_is_named(bad) -> None:
    points, table = case(SMALL, 0)
    table[5, 1] = bad
    with pytest.raises(NonFiniteError, match=r"encode: table\[5, 1\]"):
        encode(points, table, SMALL)
    points[6, 2] = bad
    with pytest.raises(NonFiniteError, match=r"encode_slopes: points\[6, 2\]"):
        encode_slopes(points, table, SMALL)


@pytest.fixture
def tcnn(monkeypatch):
    """tiny-cuda-nn's module, its CUDA device being the CPU."""
    monkeypatch.setitem(sys.modules, "tinycudann", tinycudann.make(torch.device("cpu")))
    hash_grid_tcnn._encoding.cache_clear()
    yield
    hash_grid_tcnn._encoding.cache_clear()


@pytest.mark.parametrize(
    "grid",
    [SMALL, HashGrid(), HashGrid(16, 2, 10, 16, 512), HashGrid(1, 4, 9, 5, 5), HashGrid(3, 8, 12, 4, 9)],
)
def test_tiny_cuda_nn_s_tables_are_ours(tcnn, grid) -> None:
    points, table = case(grid, 4)
    active, rows = max(1, grid.levels - 1), table.clone().requires_grad_()
    out = hash_grid_tcnn.encode(points, rows, grid, active)
    out.square().sum().backward()
    same = table.clone().requires_grad_()
    exact = hash_grid_twin.encode(points, same, grid, active)
    exact.square().sum().backward()
    # its float32 resolutions are off by a few parts in a million, which 512 points an edge magnify
    torch.testing.assert_close(out, exact, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(rows.grad, same.grad, rtol=1e-2, atol=3e-2)


def test_another_layout_of_tiny_cuda_nn_is_noticed(tcnn, monkeypatch) -> None:
    points, _ = case(SMALL, 4)
    monkeypatch.setattr(
        hash_grid_tcnn, "config_of", lambda grid: {"otype": "Grid", "type": "Hash", "n_levels": 3}
    )
    with pytest.raises(RasterError, match="parameters for this grid"):
        hash_grid_tcnn.encode(points, torch.zeros(SMALL.rows, 2), SMALL, 4)


def test_tiny_cuda_nn_is_for_cuda_and_has_no_slopes(monkeypatch) -> None:
    points, table = case(SMALL, 0)
    with pytest.raises(RasterError, match="not on 'cpu'"):
        encode(points, table, SMALL, implementation="tcnn")
    with pytest.raises(RasterError, match="has no slopes"):
        encode_slopes(points, table, SMALL, implementation="tcnn")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    hash_grid_tcnn.installed.cache_clear()
    assert "pip install" in hash_grid_tcnn.tcnn_status(torch.device("cuda"))
    hash_grid_tcnn.installed.cache_clear()


def test_the_order_of_warp_s_threads_does_not_matter(monkeypatch) -> None:
    pytest.importorskip("warp")
    from sds3d.representations.raster.warp import runtime

    expected, launches = results("warp", SMALL, 3, 4), []

    def shuffled(count, device):
        launches.append(count)
        return torch.randperm(count, generator=torch.Generator().manual_seed(len(launches))).int()

    monkeypatch.setattr(runtime, "thread_order", shuffled)
    for again, first in zip(results("warp", SMALL, 3, 4), expected, strict=True):
        torch.testing.assert_close(again, first, rtol=1e-6, atol=1e-6)
    assert len(launches) == 5


def test_slopes_are_never_asked_of_tiny_cuda_nn(tcnn, monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"cpu": ("tcnn", "native", "twin")})
    monkeypatch.setattr(hash_grid_tcnn, "tcnn_status", lambda device: "")
    asked = []
    original = hash_grid_tcnn.encode
    monkeypatch.setattr(hash_grid_tcnn, "encode", lambda *given: asked.append(given) or original(*given))
    points, table = case(SMALL, 2)
    out = encode(points, table, SMALL)
    assert len(asked) == 1
    same, _ = encode_slopes(points, table, SMALL)
    assert len(asked) == 1
    torch.testing.assert_close(out, same, rtol=1e-3, atol=1e-3)
