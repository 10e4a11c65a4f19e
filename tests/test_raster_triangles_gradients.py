"""Gradients of triangle rasterization, interpolation and texture sampling: the twins against finite differences,
the kernels against the twins and identities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raster_cases import implementations
from sds3d.representations.raster import triangles_texture_twin, triangles_twin
from sds3d.representations.raster.dispatch import native_module
from sds3d.representations.raster.triangles import Fragments, camera_positions, interpolate, rasterize
from sds3d.representations.raster.triangles_texture import pyramid, texture
from torch.autograd import gradcheck
from triangle_cases import agree, best_kernels, soup, use, views

SAME_CHOICE = [HealthCheck.function_scoped_fixture]  # the choice of implementation holds for all inputs
seeds = st.integers(0, 2**31)
SIZE = (19, 14)


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The value of the argument `implementation` for a parametrized name."""
    return use(monkeypatch, request.param)


everywhere = pytest.mark.parametrize("implementation", implementations(), indirect=True)
in_kernels = pytest.mark.parametrize("implementation", best_kernels(), indirect=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_twins_barycentrics_and_depth_have_the_derivatives_of_finite_differences(seed) -> None:
    vertices, faces = soup(seed, 6, 0.8, torch.float64)
    cameras = views(seed)
    positions, focal = camera_positions(vertices, cameras), cameras.focal(SIZE[0]).double()
    face = triangles_twin.visible(positions, faces, focal, SIZE, 0.3)
    assert (face >= 0).float().mean() > 0.1
    inputs = (positions.requires_grad_(), focal.requires_grad_())
    assert gradcheck(
        lambda p, f: triangles_twin.locate(p, faces, f, face), inputs, rtol=1e-4, atol=1e-6, fast_mode=True
    )


@pytest.mark.skipif(native_module()[0] is None, reason=native_module()[1])
@settings(max_examples=20)
@given(seed=seeds, count=st.integers(0, 40))
def test_vertices_are_placed_as_the_twin_does_to_the_last_bit(seed, count) -> None:
    generator = torch.Generator().manual_seed(seed)
    vertices, upstream = (
        torch.randn(count, 3, generator=generator),
        torch.randn(2, count, 3, generator=generator),
    )
    placed, gradients = [], []
    for choice, kind in (("twin", torch.float32), ("twin", torch.float64), ("native", torch.float32)):
        cameras = views(seed)
        leaves = [vertices.to(kind, copy=True).requires_grad_(), cameras.c2w.requires_grad_()]
        placed.append(camera_positions(leaves[0], cameras, implementation=choice))
        gradients.append(torch.autograd.grad((placed[-1] * upstream).sum(), leaves))
    assert torch.equal(placed[0], placed[2])
    for twin, native in zip(gradients[1], gradients[2], strict=True):
        torch.testing.assert_close(native.double(), twin.double(), rtol=1e-6, atol=1e-6)


@in_kernels
@settings(max_examples=15, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, which=st.sampled_from(["barycentric", "depth", "both"]))
def test_rasterization_has_the_twins_gradients(implementation, seed, which) -> None:
    vertices, faces = soup(seed, 15, 0.7)
    generator, gradients = torch.Generator().manual_seed(seed), []
    upstream = torch.randn(2, *SIZE, 4, generator=generator)
    for choice in ("twin", implementation):
        cameras = views(seed)
        leaves = [vertices.clone(), cameras.c2w, cameras.fov_y_deg]
        for leaf in leaves:
            leaf.requires_grad_()
        out = rasterize(leaves[0], faces, cameras, SIZE, near=0.3, implementation=choice)
        loss = (out.barycentric * upstream[..., :3]).sum() * (which != "depth")
        if which != "barycentric":
            loss = (out.depth * upstream[..., 3]).sum() + (loss if which == "both" else 0)
        gradients.append(torch.autograd.grad(loss, leaves))
    for twin, native in zip(*gradients, strict=True):
        agree(native, twin, 1e-5)


@everywhere
@settings(max_examples=10, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, per_corner=st.booleans())
def test_interpolation_is_linear_and_its_gradients_are_its_adjoints(implementation, seed, per_corner) -> None:
    vertices, faces = soup(seed, 12, 0.6)
    out = rasterize(vertices, faces, views(seed), SIZE, implementation=implementation)
    generator = torch.Generator().manual_seed(seed)
    shape = (len(faces), 3, 5) if per_corner else (len(vertices), 5)
    attributes = torch.randn(shape, generator=generator).requires_grad_()
    weights = out.barycentric.clone().requires_grad_()
    fragments = Fragments(out.face, weights, out.depth)
    value = interpolate(attributes, fragments, faces, implementation=implementation)
    upstream = torch.randn(value.shape, generator=generator)
    to_attributes, to_weights = torch.autograd.grad(value, (attributes, weights), upstream)
    total = float((value * upstream).detach().double().sum())
    scale = float((value * upstream).detach().abs().sum()) + 1e-9
    assert abs(float((to_attributes.double() * attributes.detach()).sum()) - total) < 1e-5 * scale
    assert abs(float((to_weights.double() * out.barycentric).sum()) - total) < 1e-5 * scale
    assert (to_weights[out.face < 0] == 0).all()


@in_kernels
def test_a_gradient_of_ones_that_has_no_memory_of_its_own(implementation) -> None:
    vertices, faces = soup(4, 10)
    results = []
    for choice in ("twin", implementation):
        leaf = vertices.clone().requires_grad_()
        out = rasterize(leaf, faces, views(4), SIZE, implementation=choice)
        interpolate(leaf, out, faces, implementation=choice).sum().backward()
        results.append(leaf.grad)
    agree(results[1], results[0], 1e-5)


@everywhere
def test_gradients_do_not_depend_on_threads(implementation) -> None:
    vertices, faces = soup(9, 200, 0.6)
    grads, before = [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = vertices.clone().requires_grad_()
            out = rasterize(leaf, faces, views(9, 3), SIZE, implementation=implementation)
            (interpolate(leaf, out, faces, implementation=implementation) ** 2).sum().backward()
            grads.append(leaf.grad)
    finally:
        torch.set_num_threads(before)
    agree(grads[1], grads[0], 1e-6)


def random_texture(seed: int, dtype=torch.float32):
    """A texture (6, 9, 2), coordinates inside and outside the unit square, levels below and above the pyramid's."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(6, 9, 2, generator=generator, dtype=dtype)
    uv = 3 * torch.rand(2, 5, 4, 2, generator=generator, dtype=dtype) - 1
    return image, uv, 6 * torch.rand(2, 5, 4, generator=generator, dtype=dtype) - 1


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_the_twins_texture_has_the_derivatives_of_finite_differences(seed, wrap) -> None:
    image, uv, level = (t.requires_grad_() for t in random_texture(seed, torch.float64))

    def sample(image, uv, level):
        return triangles_texture_twin.texture(pyramid(image), uv, level, wrap)

    assert gradcheck(sample, (image, uv, level), rtol=1e-4, atol=1e-6, fast_mode=True)


@in_kernels
@settings(max_examples=15, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, boundary=st.sampled_from(["wrap", "clamp"]), mipmap=st.booleans())
def test_texture_is_the_twin_with_its_gradients(implementation, seed, boundary, mipmap) -> None:
    generator, results = torch.Generator().manual_seed(seed), []
    upstream = torch.randn(2, 5, 4, 2, generator=generator)
    for choice in ("twin", implementation):
        image, uv, level = (t.requires_grad_() for t in random_texture(seed))
        leaves = [image, uv, level] if mipmap else [image, uv]
        levels = pyramid(image) if mipmap else image
        out = texture(levels, uv, level if mipmap else None, boundary=boundary, implementation=choice)
        results.append([out.detach(), *torch.autograd.grad(out, leaves, upstream)])
    for twin, native in zip(*results, strict=True):
        agree(native, twin, 1e-5)
