"""Light on surfaces: energy, symmetry, limits and integrals of the formulas; normal maps and their frames."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.representations.mesh.shading import (
    bend,
    frame,
    highlight,
    normals_of,
    sent_on,
    shade,
    slopes_of,
    turned,
)
from test_core_lights import directions

from sds3d.core.cameras import orbit
from sds3d.core.lights import Lights, studio

UP = torch.tensor([[0.0, 0.0, 1.0]])


def even(ambient: float, key: float = 0.0, towards=(0.0, 0.0, 1.0)) -> Lights:
    """One view under an even sky and a key light."""
    one = torch.ones(1, 3)
    return Lights(F.normalize(torch.tensor([towards]), dim=1), key * one, ambient * one)


def leaning(cosine: float) -> torch.Tensor:
    """A unit vector at that cosine from UP."""
    return torch.tensor([[math.sqrt(1 - cosine**2), 0.0, cosine]])


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


@given(base=st.floats(0.0, 1.0), roughness=st.floats(0.1, 1.0), cosine=st.floats(0.05, 1.0))
def test_under_an_even_sky_a_white_surface_is_white_and_none_is_brighter(base, roughness, cosine) -> None:
    def seen(value: float, metallic: float) -> float:
        color = torch.full((1, 3), value)
        arguments = (one(metallic), one(roughness), UP, leaning(cosine), even(1.0), torch.zeros(1).long())
        return float(shade(color, *arguments)[0, 0])

    assert seen(1.0, 0.0) == pytest.approx(1.0, abs=1e-5)
    assert 0.0 <= seen(base, 0.0) <= 1.0 + 1e-5
    assert 0.0 <= seen(base, 1.0) <= 1.03


@pytest.mark.parametrize("roughness", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("cosine", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("f0", [0.04, 0.9])
def test_the_split_sum_is_the_integral_of_the_highlight(roughness, cosine, f0) -> None:
    light = directions(100_000)
    light = light[light[:, 2] > 0]
    many = len(light)
    eye, normal = leaning(cosine).expand(many, 3), UP.expand(many, 3)
    _, glint = highlight(torch.full((many, 3), f0), torch.full((many,), roughness), normal, eye, light)
    integral = float((glint[:, 0] * light[:, 2]).mean()) * 2 * math.pi
    assert integral < 1.0
    fit = float(sent_on(torch.full((1, 3), f0), one(roughness), one(cosine))[0, 0])
    assert fit == pytest.approx(integral, abs=0.02)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_light_goes_both_ways_alike(seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    eye, light = F.normalize(torch.randn(2, 30, 3, generator=generator).abs() + 0.05, dim=2)
    f0, roughness = torch.rand(30, 3, generator=generator), 0.1 + 0.9 * torch.rand(30, generator=generator)
    normal = UP.expand(30, 3)
    forth = highlight(f0, roughness, normal, eye, light)[1]
    back = highlight(f0, roughness, normal, light, eye)[1]
    torch.testing.assert_close(forth, back, rtol=1e-4, atol=1e-6)


def test_a_highlight_lies_where_a_mirror_would_show_the_light() -> None:
    eye = leaning(0.8)
    mirrored = torch.tensor([[-float(eye[0, 0]), 0.0, float(eye[0, 2])]])
    generator = torch.Generator().manual_seed(0)
    spots = F.normalize(mirrored + 0.2 * torch.randn(20000, 3, generator=generator), dim=1)
    away_deg = torch.rad2deg(torch.acos((spots @ mirrored[0]).clamp(max=1)))
    many = len(spots)
    values = highlight(
        torch.ones(many, 3), torch.full((many,), 0.3), UP.expand(many, 3), eye.expand(many, 3), spots
    )[1][:, 0]
    # within the third of a degree by which masking shifts the peak, and a spot, not a wash
    assert away_deg[values.argmax()] < 1
    assert values[away_deg > 4].max() < 0.9 * values.max()


def test_a_matte_surface_facing_the_key_light_sends_its_color_back() -> None:
    color = torch.tensor([[0.2, 0.5, 0.8]])
    value = shade(color, one(0.0), one(1.0), UP, UP, even(0.0, 1.0), torch.zeros(1).long())
    # of the light 4 % are mirrored, over the hemisphere
    torch.testing.assert_close(value, 0.96 * color + 0.04 * 0.25, rtol=0, atol=1e-4)
    away = shade(color, one(0.0), one(1.0), UP, UP, even(0.0, 1.0, (0.0, 0.0, -1.0)), torch.zeros(1).long())
    assert not away.any()


def test_the_triangle_says_which_side_is_seen() -> None:
    low = F.normalize(torch.tensor([[1.0, 0.0, 0.1]]), dim=1)  # an eye low over a front
    away = F.normalize(torch.tensor([[-0.3, 0.0, 1.0]]), dim=1)  # a bent normal that looks away from it
    assert (low * away).sum() < 0
    assert torch.equal(turned(away, UP, low), away)
    assert torch.equal(turned(away, -3 * UP, low), -away)
    lights, view = even(0.0, 1.0), torch.zeros(1).long()
    value = shade(torch.full((1, 3), 0.7), one(0.0), one(1.0), away, low, lights, view)
    assert (value > 0.3).all()  # the key light above reaches it


def test_gradients_are_finite_from_mirror_to_chalk_and_at_grazing_angles() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = F.normalize(torch.randn(400, 3, generator=generator), dim=1)
    eye = F.normalize(torch.randn(400, 3, generator=generator), dim=1)
    eye[:100] = F.normalize(eye[:100] - (eye[:100] * normal[:100]).sum(1, keepdim=True) * normal[:100], dim=1)
    leaves = [
        torch.rand(400, 3, generator=generator),
        torch.rand(400, generator=generator),
        torch.linspace(0, 1, 400),
        normal,
    ]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    value = shade(*leaves, eye, studio(orbit([20.0], 30.0)), torch.zeros(400).long())
    assert value.isfinite().all()
    assert (value >= 0).all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), leaves))


@given(x=st.floats(-3.0, 3.0), y=st.floats(-3.0, 3.0), sign=st.sampled_from([-1.0, 1.0]))
def test_slopes_tilt_a_normal_along_the_texture(x, y, sign) -> None:
    tangent = torch.tensor([[2.0, 0.0, 0.7, sign]])  # neither of unit length nor at right angles
    along, across = frame(UP, tangent)
    torch.testing.assert_close(along, torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(across, torch.tensor([[0.0, sign, 0.0]]))
    bent = bend(UP, tangent, torch.tensor([[x, y]]))
    wanted = F.normalize(torch.tensor([[x, sign * y, 1.0]]), dim=1)
    torch.testing.assert_close(bent, wanted, rtol=0, atol=1e-6)
    slopes = torch.tensor([[x, y]])
    torch.testing.assert_close(slopes_of(normals_of(slopes)), slopes, rtol=1e-4, atol=1e-5)
