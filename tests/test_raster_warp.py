"""What the suites of single functions do not ask of the Warp kernels: order of threads, launches, streams."""

from __future__ import annotations

import pytest
import torch
from gaussian_cases import assert_close, random_case, with_gradients
from march_cases import HALF, random_rays
from sds3d.representations.raster.march import compose, march, total_variation
from sds3d.representations.raster.warp import runtime

pytest.importorskip("warp")


def gaussian_results() -> dict[str, torch.Tensor]:
    """Pictures and all gradients of a scene that covers several tiles and cameras."""
    case = random_case(7, count=150, sh_count=9, size=(40, 52), views=2)
    render, grads = with_gradients(case, lambda c, probe: c.draw("warp", probe=probe))
    return {"rgb": render.rgb, "alpha": render.alpha, "depth": render.depth, **grads}


def march_results() -> dict[str, torch.Tensor]:
    """Composed volume, marched rays, variation, and the gradients of the levels."""
    generator = torch.Generator().manual_seed(3)
    levels = [torch.randn(s, s, s, 4, generator=generator).requires_grad_() for s in (2, 5, 9)]
    volume = compose(levels, torch.zeros(9, 9, 9), implementation="warp")
    out = march(volume, *random_rays(4, 300), half=HALF, samples=25, implementation="warp")
    value = out.square().sum() + total_variation(volume, (0.1, 0.2, 0.3, 0.4), implementation="warp")
    grads = torch.autograd.grad(value, levels)
    return {
        "volume": volume,
        "out": out,
        "value": value[None],
        **{f"level{i}": g for i, g in enumerate(grads)},
    }


@pytest.mark.parametrize("results", [gaussian_results, march_results])
def test_the_order_of_the_threads_does_not_matter(monkeypatch, results) -> None:
    expected = results()
    launches = []

    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)

        def shuffled(count, device, generator=generator):
            launches.append(count)
            return torch.randperm(count, generator=generator).int()

        monkeypatch.setattr(runtime, "thread_order", shuffled)
        for key, value in results().items():
            # only sums by atomic adds may differ, by rounding
            assert_close(value, expected[key], 1e-6, key)
    assert len(launches) >= 9
    assert max(launches) > 200


def test_a_lost_thread_would_be_noticed(monkeypatch) -> None:
    expected = gaussian_results()

    def lost(count, device):
        order = torch.arange(count).int()
        # of the kernels of one thread a pixel, whose sums start from zeros
        order[count // 2 : count // 2 + 3] = 0 if count > 1000 else order[count // 2 : count // 2 + 3]
        return order

    monkeypatch.setattr(runtime, "thread_order", lost)
    seen = gaussian_results()["opacities"]
    assert (seen - expected["opacities"]).abs().max() > 1e-4 * expected["opacities"].abs().max()
