"""The grid kernels against closed forms, finite differences and each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from march_cases import HALF, random_rays, random_volume, use
from raster_cases import implementations, kernels, native_levels
from sds3d.representations.raster import march_twin
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.march import compose, march, total_variation

from sds3d.core.errors import NonFiniteError

every_implementation = pytest.mark.parametrize("name", implementations())
seeds = st.integers(0, 2**31)


def lattice(resolution: int) -> torch.Tensor:
    """(R, R, R, 3) x, y, z of the grid points."""
    line = torch.linspace(-HALF, HALF, resolution)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


@every_implementation
def test_levels_that_are_linear_in_space_add_up_to_a_linear_field(monkeypatch, name) -> None:
    sizes, slopes = (2, 3, 7, 12), torch.randn(4, 3, 4, generator=torch.Generator().manual_seed(0))
    levels = [lattice(size) @ slope for size, slope in zip(sizes, slopes, strict=True)]
    bias = torch.linspace(-3, 3, 12**3).reshape(12, 12, 12)
    volume = compose(levels, bias, 5.0, 2.0, implementation=use(monkeypatch, name))
    raw = lattice(12) @ slopes.sum(0)
    torch.testing.assert_close(
        volume[..., 0], 5.0 * torch.log1p(torch.exp(raw[..., 0] + bias)), rtol=2e-5, atol=1e-6
    )
    torch.testing.assert_close(
        volume[..., 1:], 1 / (1 + torch.exp(-2.0 * raw[..., 1:])), rtol=2e-5, atol=1e-6
    )


@every_implementation
def test_activation_keeps_its_relative_accuracy_from_haze_to_rock(monkeypatch, name) -> None:
    level = torch.linspace(-30, 60, 5**3).reshape(5, 5, 5, 1).repeat(1, 1, 1, 4).contiguous()
    volume = compose([level], torch.zeros(5, 5, 5), 1.0, 1.0, implementation=use(monkeypatch, name))
    exact = torch.nn.functional.softplus(level[..., 0].double(), threshold=1e9)
    torch.testing.assert_close(volume[..., 0].double(), exact, rtol=1e-5, atol=0)


@every_implementation
def test_minus_infinity_empties_a_place_for_good(monkeypatch, name) -> None:
    level = torch.full((4, 4, 4, 4), 3.0, requires_grad=True)
    bias = torch.zeros(4, 4, 4)
    bias[1, 2, 3] = -math.inf
    volume = compose([level], bias, implementation=use(monkeypatch, name))
    assert volume[1, 2, 3, 0] == 0
    assert (volume[..., 0] > 0).sum() == 63
    volume[..., 0].sum().backward()
    assert level.grad[1, 2, 3, 0] == 0
    assert (level.grad[..., 0] > 0).sum() == 63


@given(seeds, st.sets(st.integers(2, 9), min_size=1, max_size=4), st.integers(2, 10))
@pytest.mark.parametrize("name", kernels())
def test_compose_kernels_are_the_twin(name, seed, sizes, resolution) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels = [2 * torch.randn(s, s, s, 4, generator=generator) for s in sorted(sizes)]
    bias = 3 * torch.randn(resolution, resolution, resolution, generator=generator)
    upstream = torch.randn(resolution, resolution, resolution, 4, generator=generator)
    results = []
    for choice in ("twin", name):
        with pytest.MonkeyPatch.context() as patch:
            inputs = [level.clone().requires_grad_() for level in levels]
            volume = compose(inputs, bias, 20.0, 1.5, implementation=use(patch, choice))
            results.append([volume.detach(), *torch.autograd.grad(volume, inputs, upstream)])
    for twin, native in zip(*results, strict=True):
        torch.testing.assert_close(native, twin, rtol=1e-4, atol=1e-5 * float(twin.abs().max()))


@given(seeds, st.integers(2, 9), st.integers(1, 30), st.sampled_from([0.0, 0.5, 20.0, 300.0]))
@pytest.mark.parametrize("name", kernels())
def test_march_kernels_are_the_twin(name, seed, resolution, samples, density) -> None:
    volume, rays = random_volume(seed, resolution, density), random_rays(seed, 40)
    upstream = torch.randn(40, 5, generator=torch.Generator().manual_seed(seed))
    results = []
    for choice in ("twin", name):
        with pytest.MonkeyPatch.context() as patch:
            field = volume.clone().requires_grad_()
            out = march(field, *rays, half=HALF, samples=samples, stop=0.0, implementation=use(patch, choice))
            out.backward(upstream)
            results.append((out.detach(), field.grad))
    # a place rounds to one part in ten million, which an optical depth of hundreds makes visible
    share = max(2e-5, 1e-6 * density)
    for twin, native in zip(*results, strict=True):
        torch.testing.assert_close(native, twin, rtol=1e-4, atol=share * max(1.0, float(twin.abs().max())))


@given(seeds, st.integers(2, 7))
@pytest.mark.parametrize("name", kernels())
def test_total_variation_kernels_are_the_twin(name, seed, resolution) -> None:
    volume, weights, results = random_volume(seed, resolution), (0.01, 1.0, 2.0, 3.0), []
    for choice in ("twin", name):
        with pytest.MonkeyPatch.context() as patch:
            field = volume.clone().requires_grad_()
            value = total_variation(field, weights, implementation=use(patch, choice))
            (2 * value).backward()
            results.append((value.detach(), field.grad))
    for twin, native in zip(*results, strict=True):
        torch.testing.assert_close(native, twin, rtol=1e-5, atol=1e-5)


def test_the_twin_has_the_gradients_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    levels = [torch.randn(s, s, s, 4, generator=generator, dtype=torch.float64) for s in (2, 3)]
    bias = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    volume = random_volume(2, 3, dtype=torch.float64).requires_grad_()
    rays = random_rays(3, 6, torch.float64)
    for level in levels:
        level.requires_grad_()
    assert torch.autograd.gradcheck(lambda *ls: march_twin.compose(ls, bias, 2.0, 1.5), levels)
    assert torch.autograd.gradcheck(lambda v: march_twin.march(v, *rays, HALF, 7, 0.0), volume)
    assert torch.autograd.gradcheck(lambda v: march_twin.total_variation(v, (1.0, 2.0, 3.0, 4.0)), volume)


@every_implementation
@given(seed=seeds, density=st.floats(0.0, 30.0), samples=st.integers(1, 60))
def test_an_even_ball_obeys_the_law_of_beer_and_lambert(name, seed, density, samples) -> None:
    origins, directions, offsets = random_rays(seed, 30)
    volume = torch.full((5, 5, 5, 4), density)
    volume[..., 1:] = torch.tensor([0.2, 0.5, 0.9])
    with pytest.MonkeyPatch.context() as patch:
        choice = use(patch, name)
        out = march(
            volume, origins, directions, offsets, half=HALF, samples=samples, stop=0.0, implementation=choice
        )
    along = (origins * directions).sum(-1).double()
    root = (HALF**2 - origins.double().square().sum(-1) + along**2).clamp_min(0).sqrt()
    chord = ((root - along).clamp_min(0) - (-root - along).clamp_min(0)).float()
    alpha = 1 - torch.exp(-density * chord)
    torch.testing.assert_close(out[:, 3], alpha, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(
        out[:, :3], alpha[:, None] * torch.tensor([0.2, 0.5, 0.9]), rtol=1e-4, atol=2e-5
    )


@every_implementation
def test_a_solid_ball_is_seen_where_it_is(monkeypatch, name) -> None:
    volume = torch.zeros(64, 64, 64, 4)
    volume[..., 0] = 2000.0 * (lattice(64).norm(dim=-1) < 0.5)
    origins = torch.tensor([[0.0, 0.0, 2.4], [2.4, 0.0, 0.0], [0.0, -2.4, 0.0]])
    out = march(
        volume, origins, -origins / 2.4, half=HALF, samples=400, implementation=use(monkeypatch, name)
    )
    torch.testing.assert_close(out[:, 3], torch.ones(3), rtol=0, atol=2e-3)
    torch.testing.assert_close(out[:, 4] / out[:, 3], torch.full((3,), 1.9), rtol=0, atol=0.03)


@every_implementation
def test_axes_are_z_y_x(monkeypatch, name) -> None:
    volume = torch.zeros(9, 9, 9, 4)
    volume[..., 0] = 50.0
    volume[..., 1], volume[..., 2], volume[..., 3] = (lattice(9) / (2 * HALF) + 0.5).unbind(-1)
    start = torch.tensor([[1.5, 0.3, -0.2]])
    out = march(
        volume,
        start,
        torch.tensor([[-1.0, 0, 0]]),
        half=HALF,
        samples=200,
        implementation=use(monkeypatch, name),
    )
    torch.testing.assert_close(out[0, 1:3], torch.tensor([0.3, -0.2]) / (2 * HALF) + 0.5, rtol=0, atol=2e-3)
    assert out[0, 0] > 0.9  # the side of +x is met first


@every_implementation
def test_nothing_is_exactly_nothing(monkeypatch, name) -> None:
    volume = random_volume(0, 6, density=0.0)
    out = march(volume, *random_rays(0, 50), half=HALF, samples=16, implementation=use(monkeypatch, name))
    assert torch.equal(out, torch.zeros(50, 5))


@every_implementation
@given(seed=seeds, stop=st.floats(1e-4, 0.5))
def test_an_early_stop_costs_no_more_than_it_says(name, seed, stop) -> None:
    volume, rays = random_volume(seed, 7, 60.0), random_rays(seed, 60)
    with pytest.MonkeyPatch.context() as patch:
        choice = use(patch, name)
        full = march(volume, *rays, half=HALF, samples=40, stop=0.0, implementation=choice)
        short = march(volume, *rays, half=HALF, samples=40, stop=stop, implementation=choice)
    lost = full[:, 3] - short[:, 3]
    assert (lost >= -1e-6).all()
    assert (lost <= stop + 1e-6).all()


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("stop", [1e-3, 0.1])
def test_an_early_stop_has_the_twin_s_gradient(monkeypatch, name, stop) -> None:
    # a transmittance within rounding of `stop` may end a ray one sample apart: compare away from such rays
    volume, rays = random_volume(5, 8, 60.0), random_rays(5, 300)
    results = []
    for choice in ("twin", use(monkeypatch, name)):
        field = volume.clone().requires_grad_()
        out = march(field, *rays, half=HALF, samples=40, stop=stop, implementation=choice)
        out.sum().backward()
        results.append((out.detach(), field.grad))
    for twin, native in zip(*results, strict=True):
        torch.testing.assert_close(native, twin, rtol=1e-4, atol=2e-5 * max(1.0, float(twin.abs().max())))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", native_levels())
def test_repeats_are_bit_identical_and_threads_agree(monkeypatch, name, threads) -> None:
    choice = use(monkeypatch, name)
    levels = [torch.randn(s, s, s, 4, generator=torch.Generator().manual_seed(s)) for s in (3, 8)]
    rays = random_rays(4, 500)

    def gradients() -> list[torch.Tensor]:
        inputs = [level.clone().requires_grad_() for level in levels]
        volume = compose(inputs, torch.zeros(8, 8, 8), implementation=choice)
        out = march(volume, *rays, half=HALF, samples=20, implementation=choice)
        value = out.square().sum() + total_variation(volume, implementation=choice)
        return [value.detach(), *torch.autograd.grad(value, inputs)]

    alone, before = gradients(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, second = gradients(), gradients()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for a, b in zip(alone, first, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@every_implementation
def test_a_ramp_has_the_variation_of_its_steps(monkeypatch, name) -> None:
    volume = torch.zeros(6, 6, 6, 4)
    volume[..., 2] = 0.5 * torch.arange(6.0)
    value = total_variation(volume, (0.0, 0.0, 3.0, 0.0), implementation=use(monkeypatch, name))
    assert float(value) == pytest.approx(3.0 * 0.25 * 5 * 36)


@every_implementation
def test_no_rays_and_rays_without_a_cotangent(monkeypatch, name) -> None:
    choice, volume = use(monkeypatch, name), random_volume(0, 4).requires_grad_()
    empty = torch.zeros(0, 3)
    assert march(volume, empty, empty, half=HALF, samples=4, implementation=choice).shape == (0, 5)
    out = march(volume, *random_rays(0, 9), half=HALF, samples=4, implementation=choice)
    out.backward(torch.zeros_like(out))
    assert torch.equal(volume.grad, torch.zeros_like(volume))


@every_implementation
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_inputs_are_refused_by_index(monkeypatch, name, bad) -> None:
    choice = use(monkeypatch, name)
    level = torch.zeros(3, 3, 3, 4)
    level[0, 1, 2, 3] = bad
    with pytest.raises(NonFiniteError, match=r"levels\[1\]\[0, 1, 2, 3\] is (nan|inf)"):
        compose([torch.zeros(2, 2, 2, 4), level], torch.zeros(3, 3, 3), implementation=choice)
    rays = random_rays(0, 8)
    with pytest.raises(NonFiniteError, match=r"volume\[0, 1, 2, 3\]"):
        march(level, *rays, half=HALF, samples=4, implementation=choice)
    rays[1][5, 1] = bad
    with pytest.raises(NonFiniteError, match=r"directions\[5, 1\]"):
        march(torch.zeros(3, 3, 3, 4), *rays, half=HALF, samples=4, implementation=choice)


def test_what_does_not_fit_is_refused() -> None:
    origins, directions, offsets = random_rays(0, 8)
    volume, good = torch.zeros(3, 3, 3, 4), {"half": HALF, "samples": 4}
    with pytest.raises(RasterError, match="camera gradients are not offered"):
        march(volume, origins.clone().requires_grad_(), directions, offsets, **good)
    with pytest.raises(RasterError, match=r"levels\[0\] must be"):
        compose([torch.zeros(3, 3, 2, 4)], torch.zeros(3, 3, 3))
    with pytest.raises(RasterError, match="no levels"):
        compose([], torch.zeros(3, 3, 3))
    with pytest.raises(RasterError, match="R >= 2"):
        march(torch.zeros(1, 1, 1, 4), origins, directions, offsets, **good)
    with pytest.raises(RasterError, match="float64"):
        march(volume, origins.double(), directions, offsets, **good)
    with pytest.raises(RasterError, match="samples"):
        march(volume, origins, directions, offsets, half=HALF, samples=0)
    with pytest.raises(RasterError, match="one weight a channel"):
        total_variation(volume, (1.0,))
