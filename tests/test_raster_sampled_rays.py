"""Samples in occupied cells, their weights and sums along rays: closed forms, the marcher, and each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from march_cases import HALF, random_rays, random_volume
from raster_cases import native_levels, warp_kernels
from sds3d.representations.raster import sampled_rays_twin
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.march import march
from sds3d.representations.raster.march_twin import sample_volume
from sds3d.representations.raster.sampled_rays import RaySamples, accumulate, sample, weights
from torch import Tensor

from sds3d.core.errors import NonFiniteError

NATIVE = ["native"] if native_levels()[0] == "baseline" else native_levels()
FAST = [*NATIVE, *warp_kernels()]
every_implementation = pytest.mark.parametrize("name", ["twin", *FAST])
fast = pytest.mark.parametrize("name", FAST)
seeds = st.integers(0, 2**31)


def random_cells(seed: int, size: int, share: float = 0.4) -> Tensor:
    """(R, R, R) bool."""
    return torch.rand(size, size, size, generator=torch.Generator().manual_seed(seed)) < share


def taken(name: str, seed: int, size: int = 6, count: int = 40, samples: int = 20) -> RaySamples:
    """Samples of random rays through random cells."""
    rays = random_rays(seed, count)
    return sample(random_cells(seed, size), *rays, half=HALF, samples=samples, implementation=name)


@given(seeds, st.integers(1, 9), st.integers(1, 40))
@fast
def test_kernels_take_the_twin_s_samples(name, seed, size, samples) -> None:
    found, exact = (taken(which, seed, size, 40, samples) for which in (name, "twin"))
    assert torch.equal(found.starts, exact.starts)
    assert torch.equal(found.ray, exact.ray)
    for key in ("distance", "length", "points"):
        torch.testing.assert_close(getattr(found, key), getattr(exact, key), rtol=1e-6, atol=1e-6)


@given(seeds, st.sampled_from([0.0, 1e-3, 0.2]), st.sampled_from([0.0, 2.0, 60.0]))
@fast
def test_kernels_weigh_and_add_like_the_twin(name, seed, stop, density) -> None:
    samples = taken("twin", seed)
    generator = torch.Generator().manual_seed(seed)
    thick = density * torch.rand(len(samples), generator=generator)
    values = torch.randn(len(samples), 4, generator=generator)
    upstream = torch.randn(40, 4, generator=generator)
    found = []
    for which in ("twin", name):
        leaves = thick.clone().requires_grad_(), values.clone().requires_grad_()
        weight = weights(leaves[0], samples, stop, implementation=which)
        sums = accumulate(weight, leaves[1], samples, implementation=which)
        found.append([weight.detach(), sums.detach(), *torch.autograd.grad(sums, leaves, upstream)])
    for exact, quick in zip(*found, strict=True):
        torch.testing.assert_close(quick, exact, rtol=1e-4, atol=2e-5)


def test_the_twin_has_the_gradients_of_finite_differences() -> None:
    samples = taken("twin", 3, count=6, samples=8)
    length, starts = samples.length.double(), samples.starts
    density = torch.rand(len(samples), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    values = torch.randn(len(samples), 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def picture(d: Tensor, v: Tensor) -> Tensor:
        return sampled_rays_twin.accumulate(sampled_rays_twin.weights(d, length, starts, 0.0), v, starts)

    assert torch.autograd.gradcheck(picture, (density.requires_grad_(), values.requires_grad_()))


@every_implementation
def test_all_cells_occupied_are_the_marcher(name) -> None:
    volume, rays = random_volume(4, 7), random_rays(4, 60)
    samples = sample(torch.ones(3, 3, 3, dtype=torch.bool), *rays, half=HALF, samples=24, implementation=name)
    answer = sample_volume(volume, samples.points, HALF)
    weight = weights(answer[:, 0].contiguous(), samples, implementation=name)
    columns = torch.cat([answer[:, 1:], torch.ones(len(samples), 1), samples.distance[:, None]], dim=1)
    out = accumulate(weight, columns, samples, implementation=name)
    expected = march(volume, *rays, half=HALF, samples=24)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=2e-5)


@every_implementation
def test_samples_lie_in_occupied_cells_on_their_rays_nearest_first(name) -> None:
    cells, (origins, directions, offsets) = random_cells(1, 5), random_rays(1, 50)
    s = sample(cells, origins, directions, offsets, half=HALF, samples=30, implementation=name)
    torch.testing.assert_close(
        s.points, origins[s.ray] + s.distance[:, None] * directions[s.ray], rtol=0, atol=1e-5
    )
    index = ((s.points + HALF) * (5 / (2 * HALF))).long().clamp(0, 4)
    edge = ((s.points + HALF) * (5 / (2 * HALF))).frac()
    clear = ((edge > 1e-4) & (edge < 1 - 1e-4)).all(1)  # in float32 a place on a wall may change sides
    assert cells[index[:, 2], index[:, 1], index[:, 0]][clear].all()
    assert (s.ray.diff() >= 0).all()
    same = s.ray.diff() == 0
    assert (s.distance.diff()[same] > 0).all()
    assert torch.equal(torch.bincount(s.ray, minlength=50), s.starts.diff())


@every_implementation
def test_rays_that_miss_and_empty_cells_give_nothing(name) -> None:
    origins = torch.tensor([[0.0, 0.0, 2.4], [0.0, 2.0, 2.4], [0.0, 0.0, 2.4]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    full = torch.ones(2, 2, 2, dtype=torch.bool)
    s = sample(full, origins, directions, half=HALF, samples=10, implementation=name)
    assert s.starts.tolist() == [0, 10, 10, 10]
    none = sample(~full, origins, directions, half=HALF, samples=10, implementation=name)
    assert len(none) == 0
    density = torch.zeros(0, requires_grad=True)
    sums = accumulate(
        weights(density, none, implementation=name), torch.zeros(0, 3), none, implementation=name
    )
    assert torch.equal(sums, torch.zeros(3, 3))
    sums.sum().backward()
    nobody = sample(full, origins[:0], directions[:0], half=HALF, samples=10, implementation=name)
    assert nobody.starts.tolist() == [0]


@every_implementation
@given(seed=seeds)
def test_an_even_medium_obeys_the_law_of_beer_and_lambert(name, seed) -> None:
    samples = taken("twin", seed)
    weight = weights(torch.full((len(samples),), 3.0), samples, 0.0, implementation=name)
    alpha = accumulate(weight, torch.ones(len(samples), 1), samples, implementation=name)[:, 0]
    path = accumulate(samples.length, torch.ones(len(samples), 1), samples, implementation=name)[:, 0]
    torch.testing.assert_close(alpha, 1 - torch.exp(-3 * path), rtol=1e-4, atol=1e-5)


def test_keeping_some_samples_keeps_their_rays() -> None:
    samples = taken("twin", 8)
    which = torch.rand(len(samples), generator=torch.Generator().manual_seed(2)) < 0.5
    kept = samples.keep(which)
    assert torch.equal(kept.ray, samples.ray[which])
    assert torch.equal(torch.bincount(kept.ray, minlength=40), kept.starts.diff())
    assert torch.equal(samples.keep(torch.ones_like(which)).starts, samples.starts)


def test_what_does_not_fit_is_refused_by_name() -> None:
    cells, rays = random_cells(0, 4), random_rays(0, 10)
    with pytest.raises(RasterError, match=r"offsets is torch\.float64"):
        sample(cells, *rays[:2], rays[2].double(), half=HALF, samples=10)
    with pytest.raises(RasterError, match="samples must be at least 1"):
        sample(cells, *rays, half=HALF, samples=0)
    samples = taken("twin", 0)
    with pytest.raises(RasterError, match="density must be"):
        weights(torch.zeros(3), samples)
    with pytest.raises(RasterError, match=r"they must be \(P,\) and \(P, C\)"):
        accumulate(torch.zeros(3), torch.zeros(3, 2), samples)


def test_nan_is_named() -> None:
    rays = random_rays(0, 10)
    rays[0][4, 1] = math.nan
    with pytest.raises(NonFiniteError, match=r"sample: origins\[4, 1\]"):
        sample(random_cells(0, 4), *rays, half=HALF, samples=10)
    samples = taken("twin", 0)
    density = torch.zeros(len(samples))
    density[7] = math.inf
    with pytest.raises(NonFiniteError, match=r"weights: density\[7\]"):
        weights(density, samples)


def test_the_order_of_warp_s_threads_does_not_matter(monkeypatch) -> None:
    pytest.importorskip("warp")
    from sds3d.representations.raster.warp import runtime

    def results() -> list[Tensor]:
        samples = taken("warp", 11)
        density = torch.linspace(0, 9, len(samples)).requires_grad_()
        values = torch.linspace(-1, 1, 2 * len(samples)).reshape(-1, 2).requires_grad_()
        sums = accumulate(
            weights(density, samples, implementation="warp"), values, samples, implementation="warp"
        )
        return [samples.points, sums.detach(), *torch.autograd.grad(sums.square().sum(), (density, values))]

    expected, launches = results(), []

    def shuffled(count, device):
        launches.append(count)
        return torch.randperm(count, generator=torch.Generator().manual_seed(len(launches))).int()

    monkeypatch.setattr(runtime, "thread_order", shuffled)
    for again, first in zip(results(), expected, strict=True):
        assert torch.equal(again, first)
    assert len(launches) == 6
