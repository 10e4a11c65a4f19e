"""On a real CUDA device: `pytest -m cuda`. Kernels there against the same computed on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gaussian_cases import Case, assert_close, is_decided, random_case, with_gradients
from march_cases import HALF, random_rays, random_volume
from sds3d.representations.raster.gaussians import GaussianRender
from sds3d.representations.raster.gaussians_gsplat import gsplat_status
from sds3d.representations.raster.march import compose, march, total_variation
from sds3d.representations.raster.surfels import rasterize_surfels

pytestmark = pytest.mark.cuda

CUDA = torch.device("cuda")


def drawn_on_cuda(implementation: str, fixed_lens: bool = False):
    """A function for `with_gradients` whose arrays start and end on the CPU."""

    def draw(case: Case, probe: torch.Tensor) -> GaussianRender:
        lens = case.cameras.fov_y_deg.detach() if fixed_lens else case.cameras.fov_y_deg
        cameras = replace(case.cameras, fov_y_deg=lens)
        fields = {name: getattr(cameras, name) for name in cameras.__dataclass_fields__}
        moved = {name: v.to(CUDA) for name, v in fields.items() if isinstance(v, torch.Tensor)}
        arrays = {name: value.to(CUDA) for name, value in case.arrays.items()}
        there = Case(arrays, replace(cameras, **moved), case.size, case.background.to(CUDA))
        render = there.draw(implementation, probe=probe.to(CUDA))
        return GaussianRender(*(t.cpu() for t in (render.rgb, render.alpha, render.depth, render.radii)))

    return draw


@pytest.mark.parametrize("implementation", ["warp", "gsplat"])
@pytest.mark.parametrize("seed", range(4))
def test_gaussians_are_the_definition(implementation, seed) -> None:
    if implementation == "gsplat" and (reason := gsplat_status(CUDA)):
        pytest.skip(reason)
    case = random_case(40 + seed, 300, (1, 4, 9, 16)[seed], size=(70, 90), views=2)
    fast, grads = with_gradients(case, drawn_on_cuda(implementation, implementation == "gsplat"))
    exact, exact_grads = with_gradients(case.to(torch.float64), lambda c, probe: c.draw("twin", probe=probe))
    # where rounding decides whether a contribution of 1/255 counts, a few pixels differ by that much
    margin = 1e-5 if is_decided(case) else 5e-3
    assert_close(fast.rgb, exact.rgb, margin, "rgb", floor=1.0)
    assert_close(fast.alpha, exact.alpha, margin, "alpha", floor=1.0)
    for key, value in grads.items():
        assert_close(value, exact_grads[key], 2e-2, key, floor=1e-2)


def test_gaussians_repeat_to_the_last_bits() -> None:
    case = random_case(3, 3000, size=(128, 160))
    results = [with_gradients(case, drawn_on_cuda("warp")) for _ in range(3)]
    for render, grads in results[1:]:
        assert torch.equal(render.rgb, results[0][0].rgb)
        for key, value in grads.items():
            assert_close(value, results[0][1][key], 1e-6, key)


def test_surfels_are_the_definition() -> None:
    case = random_case(9, 300, 4, size=(70, 90), views=2)
    case.arrays["scales"] = case.arrays["scales"][:, :2]
    found = []
    for implementation, device, dtype in (
        ("warp", CUDA, torch.float32),
        ("twin", torch.device("cpu"), torch.float64),
    ):
        leaves = [v.to(device, dtype).requires_grad_() for v in case.arrays.values()]
        place = (case.cameras.to(device), case.size, case.background.to(device, dtype))
        out = rasterize_surfels(*leaves, *place, implementation=implementation)
        pictures = (out.rgb, out.alpha, out.normal, out.distortion)
        grads = torch.autograd.grad(sum(v.square().sum() for v in pictures), leaves)
        found.append([v.detach().cpu() for v in (*pictures, *grads)])
    # a few contributions at their threshold may fall on either side
    for fast, exact in zip(*found, strict=True):
        error = (fast.double() - exact).abs() / exact.abs().max()
        assert (error < 1e-3).float().mean() > 0.99


def test_another_stream_gives_the_same_picture() -> None:
    case = random_case(5, 500)
    expected = with_gradients(case, drawn_on_cuda("warp"))[0].rgb
    with torch.cuda.stream(torch.cuda.Stream()):
        again = with_gradients(case, drawn_on_cuda("warp"))[0].rgb
    assert torch.equal(expected, again)


def test_the_grid_is_that_of_the_cpu() -> None:
    levels = [torch.randn(s, s, s, 4, generator=torch.Generator().manual_seed(s)) for s in (4, 16, 32)]
    rays = random_rays(1, 2000)
    results = []
    for device in (torch.device("cpu"), CUDA):
        inputs = [level.to(device).requires_grad_() for level in levels]
        volume = compose(inputs, torch.zeros(32, 32, 32, device=device))
        out = march(volume, *(r.to(device) for r in rays), half=HALF, samples=40, stop=0.0)
        value = out.square().sum() + total_variation(volume)
        results.append([value.detach().cpu(), *(g.cpu() for g in torch.autograd.grad(value, inputs))])
    for cpu, cuda in zip(*results, strict=True):
        torch.testing.assert_close(cuda, cpu, rtol=1e-4, atol=1e-4 * float(cpu.abs().max()))


def test_rays_of_a_random_volume_are_those_of_the_cpu() -> None:
    volume, rays = random_volume(2, 24, 60.0), random_rays(2, 3000)
    cpu = march(volume, *rays, half=HALF, samples=60, stop=0.0)
    cuda = march(volume.to(CUDA), *(r.to(CUDA) for r in rays), half=HALF, samples=60, stop=0.0)
    torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=2e-5)
