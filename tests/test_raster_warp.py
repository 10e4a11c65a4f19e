"""What the suites of single functions do not ask of the Warp kernels: order of threads, launches, streams."""

from __future__ import annotations

import logging

import pytest
import torch
from fakes.elsewhere import META, on_meta
from gaussian_cases import assert_close, random_case, with_gradients
from march_cases import HALF, random_rays
from sds3d.representations.raster import dispatch
from sds3d.representations.raster.dispatch import RasterError, choose
from sds3d.representations.raster.march import compose, march, total_variation
from sds3d.representations.raster.surfels import rasterize_surfels
from sds3d.representations.raster.warp import gaussians as gaussians_warp
from sds3d.representations.raster.warp import runtime
from sds3d.representations.raster.warp import surfels as surfels_warp

pytest.importorskip("warp")

CUDA = torch.device("cuda")
OFFERS = ("native", "twin", "gsplat", "warp")


def gaussian_results() -> dict[str, torch.Tensor]:
    """Pictures and all gradients of a scene that covers several tiles and cameras."""
    case = random_case(7, count=150, sh_count=9, size=(40, 52), views=2)
    render, grads = with_gradients(case, lambda c, probe: c.draw("warp", probe=probe))
    return {"rgb": render.rgb, "alpha": render.alpha, "depth": render.depth, **grads}


def surfel_results() -> dict[str, torch.Tensor]:
    """Pictures and all gradients of the same scene, flat."""
    case = random_case(7, count=150, sh_count=9, size=(40, 52), views=2)
    leaves = {k: (v[:, :2] if k == "scales" else v).clone().requires_grad_() for k, v in case.arrays.items()}
    out = rasterize_surfels(**leaves, cameras=case.cameras, size=case.size, background=case.background,
                            implementation="warp")  # fmt: skip
    pictures = {name: getattr(out, name) for name in ("rgb", "alpha", "depth", "normal", "distortion")}
    grads = torch.autograd.grad(sum(v.square().sum() for v in pictures.values()), [*leaves.values()])
    return pictures | dict(zip(leaves, grads, strict=True))


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


@pytest.mark.parametrize("results", [gaussian_results, surfel_results, march_results])
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
    assert len(launches) >= 9  # three kernels or more a round
    assert max(launches) > 200


@pytest.mark.parametrize("results", [gaussian_results, surfel_results])
def test_a_lost_thread_would_be_noticed(monkeypatch, results) -> None:
    expected = results()

    def lost(count, device):
        order = torch.arange(count).int()
        # of the kernels of one thread a pixel, whose sums start from zeros
        order[count // 2 : count // 2 + 3] = 0 if count > 1000 else order[count // 2 : count // 2 + 3]
        return order

    monkeypatch.setattr(runtime, "thread_order", lost)
    seen = results()["opacities"]
    assert (seen - expected["opacities"]).abs().max() > 1e-4 * expected["opacities"].abs().max()


@pytest.fixture
def launches(monkeypatch) -> list[tuple]:
    """Kernels are not run, only noted: (name, threads, argument count); the meta device counts as served."""
    import warp

    seen = []

    def note(kernel, dim, inputs, **options):
        assert len(inputs) == len(kernel.adj.args)
        seen.append((kernel.key, dim, options))

    monkeypatch.setattr(warp, "launch", note)
    monkeypatch.setattr(dispatch, "_obstacle", lambda *_: "")
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"meta": ("warp",)})
    return seen


def test_every_array_of_the_gaussians_is_made_where_the_inputs_are(launches, monkeypatch) -> None:
    monkeypatch.setattr(gaussians_warp, "read", lambda numbers: [57, 0])
    case = on_meta(random_case(0, count=30, views=2))
    cameras = (case.cameras.c2w, case.cameras.fov_y_deg)
    leaves = [value.requires_grad_() for value in (*case.arrays.values(), *cameras, case.background)]
    render = case.draw("auto", probe=torch.zeros(2, 30, 2, device=META))
    assert {t.device for t in (render.rgb, render.alpha, render.depth, render.radii)} == {META}
    grads = torch.autograd.grad(render.rgb.sum() + render.depth.sum(), leaves)
    assert all(g.shape == leaf.shape and g.device == META for g, leaf in zip(grads, leaves, strict=True))
    pixels = 2 * 2 * 3 * 256  # 24 x 37: two by three tiles of two cameras
    expected = [("project", 60), ("list_tiles", 60), ("composite", pixels)]
    expected += [("composite_backward", pixels), ("project_backward", 30)]
    assert [(name, dim) for name, dim, _ in launches] == expected


def test_every_array_of_the_surfels_is_made_where_the_inputs_are(launches, monkeypatch) -> None:
    monkeypatch.setattr(surfels_warp, "read", lambda numbers: [57])
    shapes = [(2, 30, 3, 3), (2, 30, 2), (2, 30, 6), (30,)]
    leaves = [torch.zeros(*shape, device=META, requires_grad=True) for shape in shapes]
    order = torch.zeros(2, 30, dtype=torch.int32, device=META)
    box = torch.zeros(2, 30, 4, dtype=torch.int32, device=META)
    out = surfels_warp.composite(*leaves, order, box, (24, 37), 0.01)
    grads = torch.autograd.grad(out.sum(), leaves)
    assert all(g.shape == leaf.shape and g.device == META for g, leaf in zip(grads, leaves, strict=True))
    pixels = 2 * 2 * 3 * 256  # as above
    expected = [("list_tiles", 60), ("composite_surfels", pixels), ("composite_surfels_backward", pixels)]
    assert [(name, dim) for name, dim, _ in launches] == expected


def test_every_array_of_the_grid_is_made_where_the_inputs_are(launches, monkeypatch) -> None:
    monkeypatch.setattr("sds3d.representations.raster.march._require_finite", lambda *_: None)
    levels = [torch.zeros(s, s, s, 4, device=META, requires_grad=True) for s in (3, 8)]
    rays = [value.to(META) for value in random_rays(0, 40)]
    volume = compose(levels, torch.zeros(8, 8, 8, device=META))
    value = march(volume, *rays, half=HALF, samples=9).sum() + total_variation(volume)
    grads = torch.autograd.grad(value, levels)
    assert all(g.shape == level.shape and g.device == META for g, level in zip(grads, levels, strict=True))
    names = ["resample"] * 3 + ["activate", "march", "variation", "march_backward", "activate_backward"]
    assert sorted(name for name, _, _ in launches) == sorted(names + ["resample_backward"] * 3)


def test_cuda_kernels_run_on_torch_s_stream(monkeypatch) -> None:
    import warp
    from sds3d.representations.raster.warp.march_kernels import resample
    from torch._subclasses.fake_tensor import FakeTensorMode

    seen = []
    monkeypatch.setattr(warp, "stream_from_torch", lambda device: ("stream of", device))
    monkeypatch.setattr(warp, "from_torch", lambda tensor, dtype, **_: tensor)
    monkeypatch.setattr(warp, "launch", lambda *_, **options: seen.append(options))
    with FakeTensorMode():
        a, b = (torch.empty(2, size, 3, device="cuda:1") for size in (3, 5))
        runtime.launch(resample, 30, a, b)
    assert seen[0]["stream"] == ("stream of", torch.device("cuda:1"))
    assert "device" not in seen[0]
    runtime.launch(resample, 30, torch.empty(2, 3, 3), torch.empty(2, 5, 3))
    assert seen[1]["device"] == "cpu"
    assert "stream" not in seen[1]


def test_arrays_that_a_kernel_would_misread_are_refused() -> None:
    from sds3d.representations.raster.warp.march_kernels import resample

    good, out = torch.zeros(2, 3, 3), torch.zeros(2, 5, 3)
    runtime.launch(resample, 30, good, out)
    with pytest.raises(RasterError, match="resample: out is not contiguous"):
        runtime.launch(resample, 30, good, out.transpose(0, 2))
    with pytest.raises(RasterError, match="resample: out is contiguous on meta, expected cpu"):
        runtime.launch(resample, 30, good, out.to(META))
    with pytest.raises(RuntimeError, match="float64"):
        runtime.launch(resample, 30, good.double(), out)


def test_cuda_is_served_by_warp_where_gsplat_is_not_compiled(monkeypatch, caplog) -> None:
    dispatch._announce.cache_clear()
    monkeypatch.setattr(
        "sds3d.representations.raster.gaussians_gsplat.compiled_module", lambda: "no compiled gsplat"
    )
    monkeypatch.setattr("warp.is_cuda_available", lambda: True)
    with caplog.at_level(logging.INFO):
        assert choose("rasterize_gaussians", "auto", CUDA, torch.float32, offers=OFFERS) == "warp"
    assert caplog.messages == ["rasterize_gaussians on cuda: warp (no compiled gsplat)"]
    with pytest.raises(RasterError, match="'gsplat' is not possible: no compiled gsplat"):
        choose("f", "gsplat", CUDA, torch.float32, offers=OFFERS)
    monkeypatch.setattr("sds3d.representations.raster.gaussians_gsplat.compiled_module", lambda: "")
    assert choose("f", "auto", CUDA, torch.float32, offers=OFFERS) == "gsplat"


def test_cuda_without_any_kernels_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("sds3d.representations.raster.gaussians_gsplat.compiled_module", lambda: "no gsplat")
    monkeypatch.setattr(runtime, "warp_module", lambda: (None, "warp-lang does not import: pip install it"))
    with pytest.raises(
        RasterError, match="nothing on this machine can serve device 'cuda': no gsplat; warp-lang"
    ):
        choose("f", "auto", CUDA, torch.float32, offers=OFFERS)
    assert choose("f", "auto", torch.device("cpu"), torch.float32, offers=OFFERS) in ("native", "twin")


def test_warp_has_float32_only() -> None:
    for device in (torch.device("cpu"), CUDA):
        with pytest.raises(RasterError, match=r"warp kernels have no torch\.float64"):
            choose("f", "warp", device, torch.float64, offers=OFFERS)


def test_doctor_says_what_would_draw_on_a_gpu(monkeypatch) -> None:
    from sds3d.cli.checks import _cuda_kernels

    assert _cuda_kernels().state == "ok"  # warp-lang is installed, or this file is skipped
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    reasons = {"gsplat": "not compiled", "warp": ""}
    folder = "sds3d.representations.raster"
    monkeypatch.setattr(f"{folder}.gaussians_gsplat.gsplat_status", lambda device: reasons["gsplat"])
    monkeypatch.setattr(f"{folder}.warp.runtime.warp_status", lambda device: reasons["warp"])
    assert _cuda_kernels().detail == "gsplat: not compiled; warp in use"
    reasons["warp"] = "old driver"
    none = _cuda_kernels()
    assert (none.state, none.fix) == ("missing", "pip install 'sds3d[cuda]'")
    assert "gsplat: not compiled; warp: old driver" in none.detail
    reasons |= {"gsplat": "", "warp": ""}
    assert _cuda_kernels().detail == "gsplat in use; warp: ready"


def test_an_old_driver_is_told_apart_from_no_package(monkeypatch) -> None:
    monkeypatch.setattr("warp.is_cuda_available", lambda: False)
    assert "needs driver 580 or newer" in runtime.warp_status(CUDA)
    assert runtime.warp_status(torch.device("cpu")) == ""
    assert "no device 'xpu'" in runtime.warp_status(torch.device("xpu"))
