"""Gaussian rasterizer: closed forms, limits and refused inputs, on every implementation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from gaussian_cases import Case, assert_close, joined, random_case, single, use, with_gradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raster_cases import implementations
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.gaussians import rasterize_gaussians

from sds3d.core.cameras import orbit
from sds3d.core.errors import NonFiniteError

SAME_CHOICE = [HealthCheck.function_scoped_fixture]  # the choice of implementation holds for all inputs


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The value of the argument `implementation` for a parametrized name."""
    return use(monkeypatch, request.param)


everywhere = pytest.mark.parametrize("implementation", implementations(), indirect=True)


def pixel_distances(case: Case) -> torch.Tensor:
    """(H, W) distance of the pixel centres from the image centre."""
    height, width = case.size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.hypot(x - width / 2, y - height / 2)


@everywhere
@settings(max_examples=15, suppress_health_check=SAME_CHOICE)
@given(opacity=st.floats(0.01, 0.99), scale=st.floats(1e-4, 0.3), back=st.floats(-1.5, 1.5))
def test_one_round_gaussian_on_the_axis(implementation, opacity, scale, back) -> None:
    case = single(opacity, scale, (0.0, 0.0, -back))
    render = case.draw(implementation)
    distance = 2.4 + back
    variance = (float(case.cameras.focal(31)) * scale / distance) ** 2 + 0.3
    alpha = opacity * torch.exp(-(pixel_distances(case) ** 2) / (2 * variance))
    sure = (alpha * 255 - 1).abs() > 1e-4
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    assert_close(render.alpha[0, 0][sure], alpha[sure], 2e-5, floor=0.1)
    assert_close(render.rgb[0, 1], 0.5 * render.alpha[0, 0], 1e-6, floor=1.0)
    inside = render.alpha > 0.05
    assert_close(render.depth[inside], torch.full_like(render.depth[inside], distance), 1e-4)
    assert (render.depth[render.alpha == 0] == 0).all()


@everywhere
@pytest.mark.parametrize("opacity", [0.03, 0.4, 1.0])
def test_the_radius_holds_all_that_is_drawn_and_little_more(implementation, opacity) -> None:
    case = single(opacity, 0.15, size=(90, 91))
    render = case.draw(implementation)
    reach = float(pixel_distances(case)[render.alpha[0, 0] > 0].max())
    assert reach <= int(render.radii) <= reach + 2.5


@everywhere
def test_nothing_is_drawn_behind_or_at_the_camera(implementation) -> None:
    positions = [(0.0, 0.0, 2.4), (0.0, 0.0, 2.395), (0.1, 0.2, 2.6), (0.0, 0.0, 50.0)]
    case = joined(*(single(0.9, 0.2, position) for position in positions))
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    assert not render.radii.any()
    assert not render.rgb.any()
    assert not render.alpha.any()
    for key in ("means", "scales", "rotations", "opacities", "sh", "probe"):
        assert key not in grads or not grads[key].any(), key


@everywhere
def test_near_is_where_drawing_starts(implementation) -> None:
    case = single(0.9, 0.05, (0.0, 0.0, 1.4))
    assert case.draw(implementation, near=0.99).alpha.max() > 0.8
    assert case.draw(implementation, near=1.01).alpha.max() == 0


@everywhere
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-6])
def test_a_point_is_the_blur_alone(implementation, scale) -> None:
    case = single(0.9, scale)
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    expected = 0.9 * torch.exp(-(pixel_distances(case) ** 2) / 0.6)
    assert_close(render.alpha[0, 0], torch.where(expected >= 1 / 255, expected, 0), 1e-5)
    assert all(torch.isfinite(g).all() for g in grads.values())
    assert grads["opacities"].any()


@everywhere
def test_needles_and_plates_stay_finite(implementation) -> None:
    case = random_case(4, count=60, size=(30, 40))
    case.arrays["scales"][:30, 0] = 5.0
    case.arrays["scales"][:30, 1:] = 1e-5
    case.arrays["scales"][30:, :2] = 5.0
    case.arrays["scales"][30:, 2] = 0.0
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    assert all(torch.isfinite(t).all() for t in (render.rgb, render.depth, *grads.values()))
    assert render.alpha.max() <= 1


@everywhere
def test_no_gaussians_leave_the_background(implementation) -> None:
    case = random_case(0, count=0, sh_count=9, views=2)
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    assert torch.equal(render.rgb, case.background[:, :, None, None].expand(2, 3, *case.size))
    assert not render.alpha.any()
    assert not render.depth.any()
    assert render.radii.shape == (2, 0)
    assert all(not grads[key].any() for key in ("means", "c2w") if key in grads)


@everywhere
def test_an_image_of_one_pixel(implementation) -> None:
    case = replace(single(0.6, 0.5, size=(1, 1)), background=torch.tensor([[0.0, 1.0, 0.0]]))
    render = case.draw(implementation)
    assert_close(render.alpha, torch.full((1, 1, 1, 1), 0.6), 1e-6)
    assert_close(render.rgb[0, :, 0, 0], torch.tensor([0.3, 0.3 + 0.4, 0.3]), 1e-6)


@everywhere
def test_opacity_zero_is_invisible_and_one_is_limited(implementation) -> None:
    nothing = single(0.0).draw(implementation)
    assert not nothing.alpha.any()
    assert not nothing.radii.any()
    solid, grads = with_gradients(
        single(1.0, 0.3, size=(21, 21)), lambda c, probe: c.draw(implementation, probe=probe)
    )
    assert_close(solid.alpha[0, 0, 10, 10], torch.tensor(0.999), 1e-6)
    assert torch.isfinite(grads["opacities"]).all()


@everywhere
def test_a_limited_alpha_passes_no_gradient(implementation) -> None:
    case = single(1.0, 0.3, size=(1, 1))
    opacity = case.arrays["opacities"].requires_grad_()
    case.draw(implementation).alpha.sum().backward()
    assert opacity.grad == 0


@everywhere
@settings(max_examples=6, suppress_health_check=SAME_CHOICE)
@given(count=st.integers(1, 40), opacity=st.sampled_from([0.3, 0.5, 0.85]))
def test_a_pixel_closes_before_its_transmittance_reaches_a_ten_thousandth(
    implementation, count, opacity
) -> None:
    layers = [single(opacity, 0.5, (0.0, 0.0, -0.01 * k), size=(1, 1)) for k in range(count)]
    render = joined(*layers).draw(implementation)
    drawn = min(count, math.ceil(math.log(1e-4) / math.log(1 - opacity)) - 1)
    assert_close(1 - render.alpha, torch.full((1, 1, 1, 1), (1 - opacity) ** drawn), 1e-6, floor=1.0)


@everywhere
def test_the_nearer_one_hides_the_other(implementation) -> None:
    red, blue = single(0.99, 0.3), single(0.99, 0.3, (0.0, 0.0, -0.5))
    red.arrays["sh"] = torch.tensor([[[1.7, -1.7, -1.7]]])
    blue.arrays["sh"] = torch.tensor([[[-1.7, -1.7, 1.7]]])
    both = joined(blue, red)
    middle = both.draw(implementation).rgb[0, :, 15, 23]
    assert middle[0] > 0.9
    assert middle[2] < 0.04
    from_behind = replace(both, cameras=orbit([180.0], 0.0)).draw(implementation).rgb[0, :, 15, 23]
    assert from_behind[2] > 0.9
    assert from_behind[0] < 0.04


@everywhere
def test_thousands_on_one_tile(implementation) -> None:
    case = random_case(1, count=3000, sh_count=1, size=(16, 16))
    case.arrays["means"] *= 0.3
    case.arrays["opacities"] = 0.004 + 0.02 * case.arrays["opacities"]
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    exact, exact_grads = with_gradients(case.to(torch.float64), lambda c, probe: c.draw("twin", probe=probe))
    # a few of the millions of contributions lie so near 1/255 that rounding decides
    assert_close(render.rgb, exact.rgb, 3e-3, floor=1.0)
    for key in ("means", "opacities", "sh"):
        error = (grads[key] - exact_grads[key]).norm() / exact_grads[key].norm()
        assert error < 3e-3, key


@everywhere
def test_colours_under_zero_are_cut_and_pass_no_gradient(implementation) -> None:
    case = single(0.9, 0.3)
    case.arrays["sh"] = torch.tensor([[[-3.0, 0.0, 3.0]]])
    render, grads = with_gradients(case, lambda c, probe: c.draw(implementation, probe=probe))
    assert not render.rgb[0, 0].any()
    assert grads["sh"][0, 0, 0] == 0
    assert (grads["sh"][0, 0, 1:] != 0).all()


@everywhere
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_of_one_degree_average_out_over_all_directions(implementation, degree) -> None:
    # Y_k is orthogonal to Y_0: seen from well spread directions, the mean colour is that of the constant
    count = (degree + 1) ** 2
    case = single(0.9, 0.5, size=(1, 1))
    case.arrays["sh"] = torch.zeros(1, count, 3)
    case.arrays["sh"][0, degree**2 :] = 0.1
    nodes = torch.tensor([-0.861136, -0.339981, 0.339981, 0.861136])
    weights = torch.tensor([0.347855, 0.652145, 0.652145, 0.347855]).repeat_interleave(8) / 16
    elevation = torch.rad2deg(torch.asin(nodes)).repeat_interleave(8)
    azimuth = (torch.arange(8) * 45.0).repeat(4)
    views = replace(case, cameras=orbit(azimuth, elevation), background=torch.zeros(32, 3))
    render = views.draw(implementation)
    mean = (render.rgb[:, 0, 0, 0] / render.alpha[:, 0, 0, 0] * weights).sum()
    assert_close(mean, torch.tensor(0.5), 1e-5)
    assert render.rgb.std() > 0.01


@everywhere
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_by_name_and_index(implementation, bad) -> None:
    places = {"means": (3, 1), "scales": (0, 2), "rotations": (39, 0), "opacities": (7,), "sh": (5, 2, 1)}
    for key, index in places.items():
        case = random_case(0)
        case.arrays[key][index] = bad
        where = ", ".join(map(str, index))
        with pytest.raises(NonFiniteError, match=rf"{key}\[{where}\] is {bad}"):
            case.draw(implementation)
    case = random_case(0, views=2)
    case.cameras.c2w[1, 0, 3] = bad
    with pytest.raises(NonFiniteError, match=r"cameras.c2w\[1, 0, 3\]"):
        case.draw(implementation)
    case = random_case(0)
    with pytest.raises(NonFiniteError, match=r"background\[0, 1\]"):
        replace(case, background=torch.tensor([[0.0, bad, 1.0]])).draw(implementation)
    probe = torch.zeros(1, 40, 2)
    probe[0, 2, 1] = bad
    with pytest.raises(NonFiniteError, match=r"probe\[0, 2, 1\]"):
        case.draw(implementation, probe=probe)


@everywhere
def test_arrays_that_do_not_fit_are_refused(implementation) -> None:
    call = getattr(rasterize_gaussians, "__wrapped__", rasterize_gaussians)  # without the tests' shape hook
    wrong = {
        "scales": torch.ones(40, 2),
        "rotations": torch.ones(39, 4),
        "opacities": torch.ones(40, 1),
        "sh": torch.ones(40, 5, 3),
        "background": torch.ones(2, 3),
        "probe": torch.zeros(1, 39, 2),
    }
    for key, value in wrong.items():
        case = random_case(0)
        inputs = {**case.arrays, "cameras": case.cameras, "size": case.size, "background": case.background}
        with pytest.raises(RasterError, match=f"{key} has shape"):
            call(**(inputs | {key: value}), implementation=implementation)
    with pytest.raises(RasterError, match="image size"):
        call(**(inputs | {"size": (0, 4)}), implementation=implementation)
    with pytest.raises(RasterError, match=r"sh is torch.float64, means torch.float32"):
        call(**(inputs | {"sh": case.arrays["sh"].double()}), implementation=implementation)


@everywhere
def test_the_probe_moves_the_centres_in_pixels(implementation) -> None:
    case = single(0.8, 0.1, size=(32, 32))
    base = case.draw(implementation, probe=torch.zeros(1, 1, 2))
    moved = case.draw(implementation, probe=torch.tensor([[[3.0, -5.0]]]))
    assert_close(moved.alpha[0, 0, 5:20, 8:28], base.alpha[0, 0, 10:25, 5:25], 1e-5, floor=1.0)
    assert torch.equal(base.alpha, case.draw(implementation).alpha)
