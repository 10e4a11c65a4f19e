"""Gaussian rasterizer: every kernel against the definition, both against gsplat's torch reference, and gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gaussian_cases import Case, assert_close, is_decided, random_case, use, with_gradients
from gaussian_oracle import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from raster_cases import implementations, kernels, native_levels
from sds3d.representations.raster.gaussians import GaussianRender, rasterize_gaussians

every_implementation = pytest.mark.parametrize("name", implementations())
every_kernel = pytest.mark.parametrize("name", kernels())
every_native = pytest.mark.parametrize("name", native_levels())


def drawn_by(implementation: str):
    """A function for `with_gradients`."""
    return lambda case, probe: case.draw(implementation, probe=probe)


def drawn_by_gsplat(case: Case, probe: torch.Tensor) -> GaussianRender:
    """gsplat's reference (it has no probe and its radii differ)."""
    rgb, alpha, depth = reference(
        **case.arrays, cameras=case.cameras, size=case.size, background=case.background
    )
    return GaussianRender(rgb, alpha, depth, torch.zeros(probe.shape[:2], dtype=torch.int32))


@every_kernel
@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    count=st.sampled_from([1, 7, 16, 45]),
    sh_count=st.sampled_from([1, 4, 9, 16]),
    size=st.sampled_from([(1, 1), (5, 3), (24, 37), (33, 20), (8, 70)]),
    views=st.integers(1, 3),
)
def test_kernels_are_the_definition(name, seed, count, sh_count, size, views) -> None:
    case = random_case(seed, count, sh_count, size, views)
    assume(is_decided(case))
    with pytest.MonkeyPatch.context() as patch:
        fast, fast_grads = with_gradients(case, drawn_by(use(patch, name)), seed)
    exact, exact_grads = with_gradients(case.to(torch.float64), drawn_by("twin"), seed)
    assert_close(fast.rgb, exact.rgb, 3e-6, "rgb", floor=1.0)
    assert_close(fast.alpha, exact.alpha, 3e-6, "alpha", floor=1.0)
    # depth is a quotient: alpha near 1/255 holds five digits in float32
    assert_close(fast.depth * exact.alpha, exact.depth * exact.alpha, 6e-6, "depth", floor=1.0)
    assert (fast.radii - exact.radii).abs().max() <= 1
    assert ((fast.radii > 0) == (exact.radii > 0)).all()
    assert fast_grads.keys() == exact_grads.keys()
    for key in exact_grads:
        # where alpha is near 1/255, depth divides by a number of five digits and its gradient by the square
        assert_close(fast_grads[key], exact_grads[key], 2e-3, key, floor=1e-2)


@every_kernel
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gradients_where_pixels_close(monkeypatch, name, seed) -> None:
    case = random_case(seed, count=60, size=(20, 33))
    case.arrays["opacities"] = 0.5 + 0.49 * case.arrays["opacities"]
    case.arrays["scales"] = 3 * case.arrays["scales"]
    assert is_decided(case)
    fast, fast_grads = with_gradients(case, drawn_by(use(monkeypatch, name)))
    exact, exact_grads = with_gradients(case.to(torch.float64), drawn_by("twin"))
    assert (exact.alpha > 0.999).float().mean() > 0.05  # as many as this leave Gaussians undrawn
    assert_close(fast.rgb, exact.rgb, 3e-6, "rgb", floor=1.0)
    for key in exact_grads:
        assert_close(fast_grads[key], exact_grads[key], 3e-4, key, floor=1e-3)


@every_implementation
@pytest.mark.parametrize("seed", range(4))
def test_pictures_and_gradients_are_gsplats(monkeypatch, name, seed) -> None:
    pytest.importorskip("gsplat")
    case = random_case(100 + seed, count=120, sh_count=(1, 4, 9, 16)[seed], size=(40, 52), views=2)
    ours, our_grads = with_gradients(case, drawn_by(use(monkeypatch, name)))
    theirs, their_grads = with_gradients(case, drawn_by_gsplat)
    assert_close(ours.rgb, theirs.rgb, 1e-5, "rgb", floor=1.0)
    assert_close(ours.alpha, theirs.alpha, 1e-5, "alpha", floor=1.0)
    assert_close(ours.depth, theirs.depth, 1e-4, "depth", floor=1.0)
    for key in their_grads:
        assert_close(our_grads[key], their_grads[key], 3e-4, key)
    assert set(our_grads) - set(their_grads) == {"probe"}


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_the_definition_differentiates_itself_correctly(seed) -> None:
    case = random_case(seed, count=4, sh_count=9, size=(5, 6)).to(torch.float64)
    case.arrays["scales"] = case.arrays["scales"] + 0.2
    assert is_decided(case, 1e-4)
    probe = torch.zeros(1, 4, 2, dtype=torch.float64)

    def pictures(means, scales, rotations, opacities, sh, c2w, fov_y_deg, background, probe):
        cameras = replace(case.cameras, c2w=c2w, fov_y_deg=fov_y_deg)
        render = rasterize_gaussians(
            means, scales, rotations, opacities, sh, cameras, case.size, background, probe=probe
        )
        return render.rgb, render.alpha, render.depth

    inputs = [*case.arrays.values(), case.cameras.c2w, case.cameras.fov_y_deg, case.background, probe]
    leaves = [value.clone().requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(pictures, leaves, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


@every_native
def test_same_bits_every_time_and_on_two_threads(monkeypatch, name) -> None:
    case, implementation = random_case(3, count=900, size=(70, 90), views=2), use(monkeypatch, name)

    def everything() -> list[torch.Tensor]:
        render, grads = with_gradients(case, drawn_by(implementation))
        return [render.rgb, render.alpha, render.depth, render.radii, *grads.values()]

    first, again = everything(), everything()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threaded = everything()
    finally:
        torch.set_num_threads(threads)
    for one, two, three in zip(first, again, threaded, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


@every_implementation
def test_gradients_of_single_outputs_add_up(monkeypatch, name) -> None:
    case, implementation = random_case(11, count=60), use(monkeypatch, name)
    draw = drawn_by(implementation)

    def only(*wanted: str):
        def drawn(case: Case, probe: torch.Tensor) -> GaussianRender:
            render = draw(case, probe)
            parts = {n: getattr(render, n) for n in ("rgb", "alpha", "depth")}
            parts = {n: value if n in wanted else value.detach() for n, value in parts.items()}
            return GaussianRender(**parts, radii=render.radii)

        return with_gradients(case, drawn)[1]

    whole, parts = only("rgb", "alpha", "depth"), [only("rgb"), only("alpha"), only("depth")]
    for key in ("means", "scales", "rotations", "opacities", "c2w"):
        assert_close(sum(part[key] for part in parts), whole[key], 1e-5, key)


@every_implementation
def test_rgb_is_linear_in_the_background(monkeypatch, name) -> None:
    case, implementation = random_case(8, views=2), use(monkeypatch, name)
    over = case.draw(implementation)
    black = replace(case, background=torch.zeros(2, 3)).draw(implementation)
    expected = black.rgb + (1 - black.alpha) * case.background[:, :, None, None]
    assert_close(over.rgb, expected, 1e-6, floor=1.0)


@every_implementation
def test_order_of_the_gaussians_does_not_matter(monkeypatch, name) -> None:
    case, implementation = random_case(21, count=80), use(monkeypatch, name)
    shuffle = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    shuffled = replace(case, arrays={key: value[shuffle] for key, value in case.arrays.items()})
    one, two = case.draw(implementation), shuffled.draw(implementation)
    # the twin's matrix product may round differently by row
    assert_close(one.rgb, two.rgb, 0.0 if implementation == "native" else 1e-6, floor=1.0)
    assert torch.equal(one.radii[:, shuffle], two.radii)


@every_implementation
def test_scene_and_camera_moved_together_look_the_same(monkeypatch, name) -> None:
    case, implementation = random_case(5, count=60, sh_count=1), use(monkeypatch, name)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    move = torch.tensor([0.3, -1.1, 0.7])
    w = torch.sqrt(1 + turn.trace()) / 2
    axis = torch.stack([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / (4 * w)
    a, v = case.arrays["rotations"][:, :1], case.arrays["rotations"][:, 1:]
    product = torch.cat(
        [
            w * a - (v * axis).sum(1, keepdim=True),
            w * v + a * axis + torch.cross(axis.expand_as(v), v, dim=1),
        ],
        1,
    )
    c2w = case.cameras.c2w.clone()
    c2w[:, :3, :3] = turn @ c2w[:, :3, :3]
    c2w[:, :3, 3] = c2w[:, :3, 3] @ turn.T + move
    arrays = {**case.arrays, "means": case.arrays["means"] @ turn.T + move, "rotations": product}
    moved = replace(case, arrays=arrays, cameras=replace(case.cameras, c2w=c2w))
    assert is_decided(case)
    assert_close(moved.draw(implementation).rgb, case.draw(implementation).rgb, 2e-5, floor=1.0)
