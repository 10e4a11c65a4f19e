"""Flat Gaussians: closed forms of one surfel, the native kernel against the twin, gradients, refusals."""

from __future__ import annotations

import math
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.representations.raster import surfels_native
from sds3d.representations.raster.dispatch import RasterError, native_module
from sds3d.representations.raster.surfels import rasterize_surfels
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.errors import NonFiniteError

FRONT = orbit([0.0], 0.0, 2.0)
NEEDS_CORE = pytest.mark.skipif(native_module()[0] is None, reason="the native core is not built")
NEEDS_WARP = pytest.mark.skipif(find_spec("warp") is None, reason="warp-lang is not installed")
FAST = [pytest.param("native", marks=NEEDS_CORE), pytest.param("warp", marks=NEEDS_WARP)]
IMPLEMENTATIONS = ["twin", *FAST]


def one(scale=(0.3, 0.3), mean=(0.0, 0.0, 0.0), turn=(1.0, 0.0, 0.0, 0.0), opacity=0.8) -> list[Tensor]:
    """Arguments of one red surfel."""
    sh = torch.tensor([[[1.0, -1.0, -1.0]]]) * math.sqrt(math.pi)
    return [torch.tensor([mean]), torch.tensor([scale]), torch.tensor([turn]), torch.tensor([opacity]), sh]


def cloud(count: int, seed: int, dtype=torch.float32, scale: float = 0.1) -> list[Tensor]:
    """Arguments of random surfels around the origin; a few reach beside or behind a near camera."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    scales = scale * (0.7 * normal(count, 2)).exp()
    values = (
        0.5 * normal(count, 3),
        scales,
        normal(count, 4),
        torch.sigmoid(2 * normal(count)),
        0.3 * normal(count, 4, 3),
    )
    return [v.to(dtype) for v in values]


def draw(arguments, cameras=FRONT, size=(33, 33), implementation="auto", background=0.0, **more):
    behind = torch.full((len(cameras), 3), background, dtype=arguments[0].dtype)
    return rasterize_surfels(*arguments, cameras, size, behind, implementation=implementation, **more)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_surfel_seen_face_on_is_a_gaussian(implementation):
    out = draw(one(), implementation=implementation)
    focal = float(FRONT.focal(33)[0])
    x = (torch.arange(33) - 16.0) / focal * 2.0 / 0.3
    expected = 0.8 * torch.exp(-0.5 * (x[:, None] ** 2 + x[None] ** 2))
    expected = torch.where(expected >= 1 / 255, expected, 0.0)
    assert torch.allclose(out.alpha[0, 0], expected, atol=1e-5)
    assert torch.allclose(out.rgb[0, 0], expected, atol=1e-5)
    assert out.rgb[0, 1:].abs().max() < 1e-6
    seen = expected > 0
    assert torch.allclose(out.depth[0, 0][seen], torch.tensor(2.0), atol=1e-5)
    assert torch.allclose(out.normal[0, 2], expected, atol=1e-5)
    assert out.distortion.abs().max() < 1e-6


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_slanted_surfel_has_the_depth_of_its_plane(implementation):
    """Turned by 60° about the vertical: what a ray meets lies on the plane, exactly and not to first order."""
    angle = math.radians(60)
    turn = (math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0)
    out = draw(one((0.5, 0.5), turn=turn), implementation=implementation)
    focal = float(FRONT.focal(33)[0])
    slope = (torch.arange(33) - 16.0) / focal
    # the point s (slope, 0, -1) from the camera at z = 2, on the plane through 0 with the normal (sin, 0, cos)
    normal = torch.tensor([math.sin(angle), 0.0, math.cos(angle)])
    depth = 2 * normal[2] / (normal[2] - slope * normal[0])
    inside = out.alpha[0, 0, 16] > 0.05
    assert inside.sum() > 8
    assert torch.allclose(out.depth[0, 0, 16][inside], depth[inside], atol=2e-3)
    direction = out.normal[0, :, 16, 16] / out.alpha[0, 0, 16, 16]
    assert torch.allclose(direction, normal, atol=1e-5)
    # u grows along the plane: the distance there is the depth's over the cosine
    far, near = inside.nonzero()[-1, 0], inside.nonzero()[0, 0]
    width = (depth[far] * slope[far] - depth[near] * slope[near]) / math.cos(angle)
    assert 1.0 < float(width.abs()) / 0.5 < 2 * 3.4


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_edge_on_it_is_half_a_pixel_wide_and_its_back_looks_like_its_front(implementation):
    quarter = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
    edge = draw(one(turn=quarter), implementation=implementation).alpha[0, 0]
    assert edge[16, 16] == pytest.approx(0.8, abs=1e-4)
    assert edge[16, 17] == pytest.approx(0.8 * math.exp(-1.0), abs=1e-4)
    assert (edge[:, :13] == 0).all()
    back, front = (
        draw(one(turn=t), implementation=implementation) for t in ((0.0, 0.0, 1.0, 0.0), (1.0, 0, 0, 0))
    )
    assert torch.allclose(back.alpha, front.alpha, atol=1e-6)
    assert torch.allclose(back.normal, front.normal, atol=1e-6)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_sheets_have_the_distortion_of_their_gap(implementation):
    far, near = one((2.0, 2.0), (0.0, 0.0, -0.2), opacity=0.5), one((2.0, 2.0), (0.0, 0.0, 0.3), opacity=0.6)
    both = [torch.cat(pair) for pair in zip(far, near, strict=True)]
    out = draw(both, implementation=implementation)
    front, behind = 0.6, 0.5 * (1 - 0.6)
    assert float(out.distortion[0, 0, 16, 16]) == pytest.approx(front * behind * 0.5**2, rel=1e-4)
    assert float(out.alpha[0, 0, 16, 16]) == pytest.approx(front + behind, rel=1e-4)
    assert float(out.depth[0, 0, 16, 16]) == pytest.approx(
        (front * 1.7 + behind * 2.2) / (front + behind), rel=1e-4
    )
    # in whatever order they are given
    turned = draw([v.flip(0) for v in both], implementation=implementation)
    assert torch.equal(turned.rgb, out.rgb)


@pytest.mark.parametrize("implementation", FAST)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 60), distance=st.sampled_from([0.6, 2.4]))
def test_the_kernels_agree_with_the_twin(implementation, seed, count, distance):
    cameras = orbit([10.0, 200.0], [20.0, -40.0], distance)
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in ("twin", implementation):
        arguments = [v.requires_grad_() for v in cloud(count, seed)]
        probe = torch.zeros(2, count, 2, requires_grad=True)
        out = draw(arguments, cameras, (17, 25), name, 0.3, probe=probe)
        pictures = {k: getattr(out, k) for k in ("rgb", "alpha", "depth", "normal", "distortion")}
        generator.manual_seed(seed)
        loss = sum((v * torch.randn(v.shape, generator=generator)).sum() for v in pictures.values())
        slopes = torch.autograd.grad(loss, [*arguments, probe])
        found[name] = (pictures, slopes, out.radii)
    twin, fast = found["twin"], found[implementation]
    assert torch.equal(twin[2], fast[2])
    # a contribution at the very edge of what counts may fall on either side
    for k, v in twin[0].items():
        assert ((v - fast[0][k]).abs() < 1e-4 * (1 + v.abs())).float().mean() > 0.995, k
    for mine, other in zip(twin[1], fast[1], strict=True):
        scale = mine.abs().max().clamp_min(1e-3) if mine.numel() else 1.0
        assert ((mine - other).abs() < 2e-3 * scale).float().mean() > 0.98 if mine.numel() else True


def test_gradients_of_the_twin_are_finite_differences():
    arguments = [v.requires_grad_() for v in cloud(10, 0, torch.float64, 0.15)]

    def pictures(*given):
        out = draw(given, orbit([30.0], 10.0), (9, 9), "twin", 1.0)
        return out.rgb, out.depth, out.normal, out.distortion

    assert torch.autograd.gradcheck(pictures, arguments, fast_mode=True, atol=1e-4, rtol=1e-3)


@NEEDS_CORE
def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    """Of the kernels; torch's own products around them are not ours to promise."""
    cameras, arguments = orbit([0.0, 90.0, 180.0], 10.0), cloud(50, 1)
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(surfels_native.torch, "get_num_threads", lambda threads=threads: threads)
        given = [v.clone().requires_grad_() for v in arguments]
        out = draw(given, cameras, implementation="native")
        found.append([out.rgb, *torch.autograd.grad(out.rgb.sum() + out.distortion.sum(), given)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_probe_moves_a_surfel_by_pixels(implementation):
    shift = torch.tensor([[[2.0, -3.0]]])
    moved, still = (draw(one(), implementation=implementation, probe=p).alpha[0, 0] for p in (shift, None))
    assert torch.allclose(moved[:-3, 2:], still[3:, :-2], atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_is_behind_beside_or_too_near_is_not_drawn(implementation):
    for mean in ((0.0, 0.0, 3.0), (9.0, 0.0, 0.0), (0.0, 0.0, 1.999)):
        out = draw(one(mean=mean), implementation=implementation)
        assert out.radii[0, 0] == 0
        assert (out.alpha == 0).all()
    # a wide one that reaches behind the camera has no outline
    turned = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)
    assert draw(one((0.2, 3.0), turn=turned)).radii[0, 0] == 0


def test_wrong_arguments_are_refused():
    good = one()
    with pytest.raises(RasterError, match=r"image size \(0, 4\)"):
        draw(good, size=(0, 4))
    with pytest.raises(RasterError, match="float64"):
        draw([good[0], good[1].double(), *good[2:]])
    with pytest.raises(NonFiniteError, match=r"opacities"):
        draw([*good[:3], torch.tensor([math.nan]), good[4]])
