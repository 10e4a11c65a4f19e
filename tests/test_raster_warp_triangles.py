"""What the suites of the triangle functions do not ask of their Warp kernels: order of threads, devices, a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fakes.elsewhere import META
from gaussian_cases import assert_close
from sds3d.representations.raster import dispatch
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.triangles import interpolate, rasterize
from sds3d.representations.raster.triangles_antialias import antialias
from sds3d.representations.raster.triangles_texture import mip_level, pyramid, texture
from sds3d.representations.raster.warp import runtime
from sds3d.representations.raster.warp import triangles as kernels
from torch import Tensor
from triangle_cases import soup, views

pytest.importorskip("warp")

SIZE = (40, 33)


def draw(implementation: str, device: torch.device = torch.device("cpu")) -> dict[str, Tensor]:
    """Everything that the four operations say about a scene, and the gradients of all inputs, on the CPU."""
    generator = torch.Generator().manual_seed(2)
    vertices, faces = soup(2, 60, 0.6)
    cameras = views(2)
    picture = torch.rand(16, 24, 3, generator=generator)
    uv = torch.rand(len(vertices), 2, generator=generator)
    leaves = {
        "vertices": vertices,
        "c2w": cameras.c2w,
        "fov": cameras.fov_y_deg,
        "texture": picture,
        "uv": uv,
    }
    leaves = {name: value.to(device).requires_grad_() for name, value in leaves.items()}
    faces, which = faces.to(device), {"implementation": implementation}
    seen_from = replace(cameras.to(device), c2w=leaves["c2w"], fov_y_deg=leaves["fov"])
    place = (leaves["vertices"], faces, seen_from)
    seen = rasterize(*place, SIZE, **which)
    where = interpolate(leaves["uv"], seen, faces, **which)
    level = mip_level(leaves["uv"].detach(), seen, *place, (16, 24), **which)
    image = texture(pyramid(leaves["texture"]), where, level, **which)
    smooth = antialias(image, seen, *place, **which)
    loss = (smooth**2).sum() + (seen.depth**2).sum()
    out = {"face": seen.face.float(), "depth": seen.depth, "level": level, "smooth": smooth}
    out |= dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    return {name: value.detach().cpu() for name, value in out.items()}


def test_the_whole_chain_is_the_twins() -> None:
    expected = draw("twin")
    for name, value in draw("warp").items():
        assert_close(value, expected[name], 2e-5, name)


def test_the_order_of_the_threads_does_not_matter(monkeypatch) -> None:
    expected, counts = draw("warp"), []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)

        def shuffled(count, device, generator=generator):
            counts.append(count)
            return torch.randperm(count, generator=generator).int()

        monkeypatch.setattr(runtime, "thread_order", shuffled)
        for name, value in draw("warp").items():
            # only sums by atomic adds may differ, by rounding
            assert_close(value, expected[name], 0 if name in ("face", "depth", "level") else 1e-6, name)
    assert len(counts) >= 3 * 12
    assert max(counts) > 2000


def test_a_lost_thread_would_be_noticed(monkeypatch) -> None:
    expected, pixels = draw("warp"), 2 * SIZE[0] * SIZE[1]

    def lost(count, device):
        order = torch.arange(count).int()
        if count not in (
            2 * 60,
            pixels,
            2 * pixels,
        ):  # of the scan alone: what others leave out is never written
            order[count // 3 : count // 2] = 0
        return order

    monkeypatch.setattr(runtime, "thread_order", lost)
    assert (draw("warp")["face"] != expected["face"]).sum() > 20


def test_every_array_is_made_where_the_inputs_are(monkeypatch) -> None:
    import warp

    seen = []

    def note(kernel, dim, inputs, **options):
        assert len(inputs) == len(kernel.adj.args)
        seen.append(kernel.key)

    monkeypatch.setattr(warp, "launch", note)
    monkeypatch.setattr(kernels, "_read", lambda number: 7)
    monkeypatch.setattr(
        torch, "repeat_interleave", lambda index, counts, output_size: index.new_empty(output_size)
    )
    leaf = {"device": META, "requires_grad": True}
    positions, focal = torch.zeros(2, 9, 3, **leaf), torch.zeros(2, **leaf)
    faces = torch.zeros(5, 3, dtype=torch.int64, device=META)
    face, barycentric, depth = kernels.rasterize(positions, faces, focal, (6, 4), 0.01)
    value = kernels.interpolate(torch.zeros(9, 2, **leaf), faces, face, barycentric)
    level = kernels.mip_level(torch.zeros(5, 3, 2, device=META), positions, faces, focal, face, (8, 8))
    levels = [torch.zeros(s, s, 3, **leaf) for s in (8, 4)]
    colour = kernels.texture(levels, value, level.requires_grad_(), True)
    smooth = kernels.antialias(colour, positions, faces, faces, focal, face, depth)
    assert {t.device for t in (face, barycentric, depth, value, level, colour, smooth)} == {META}
    grads = torch.autograd.grad(smooth.sum() + depth.sum(), [positions, focal, level, *levels])
    assert all(g.device == META for g in grads)
    assert [tuple(g.shape) for g in grads] == [(2, 9, 3), (2,), (2, 6, 4), (8, 8, 3), (4, 4, 3)]
    forward = ["bound", "scan", "resolve", "interpolate", "mip_level", "sample"]
    forward += ["facing", "beyond", "find_shares", "blend"]
    backward = ["blend_backward", "shares_backward", "sample_backward", "interpolate_backward"]
    assert seen == forward + backward + ["rasterize_backward"]


def test_a_gpu_gets_them_without_being_asked(monkeypatch) -> None:
    offers = ("native", "twin", "warp", "nvdiffrast")
    monkeypatch.setattr("warp.is_cuda_available", lambda: True)
    assert (
        dispatch.choose("rasterize_triangles", "auto", torch.device("cuda"), torch.float32, offers=offers)
        == "warp"
    )
    monkeypatch.setattr("warp.is_cuda_available", lambda: False)
    with pytest.raises(RasterError, match="cannot use the CUDA driver"):
        dispatch.choose("rasterize_triangles", "auto", torch.device("cuda"), torch.float32, offers=offers)


@pytest.mark.cuda
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    expected = draw("warp")
    for name, value in draw("warp", torch.device("cuda")).items():
        assert_close(value, expected[name], 1e-5, name)
