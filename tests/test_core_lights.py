"""The studio and environments: spherical harmonics against integrals over the sphere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.cameras import orbit
from sds3d.core.color import linear_to_srgb, srgb_to_linear
from sds3d.core.lights import BANDS, Lights, harmonics, headlight, studio
from sds3d.core.look import Look


def directions(count: int, seed: int = 0) -> torch.Tensor:
    """Unit vectors spread evenly (a Fibonacci sphere), turned at random."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    z, angle = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    flat = (1 - z * z).sqrt()
    points = torch.stack([flat * angle.cos(), flat * angle.sin(), z], dim=1)
    turn, _ = torch.linalg.qr(
        torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )
    return (points @ turn).float()


def lit_by(environment: torch.Tensor, ambient: float = 2.0) -> Lights:
    """One view without a key light."""
    return Lights(
        torch.tensor([[0.0, 0, 1]]), torch.zeros(1, 3), torch.full((1, 3), ambient), environment[None]
    )


def test_harmonics_are_orthonormal() -> None:
    basis = harmonics(directions(20_000)).double()
    torch.testing.assert_close(
        4 * math.pi * basis.T @ basis / len(basis), torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-3
    )


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_a_matte_surface_sums_the_light_of_its_hemisphere(seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    lights = lit_by(0.3 * torch.randn(9, 3, generator=generator))
    around = directions(20_000, seed)
    radiance = lights.ambient + harmonics(around) @ lights.environment[0]
    normal = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1)
    cosine = (normal @ around.T).clamp_min(0)
    wanted = (
        4 * cosine @ radiance / len(around)
    )  # the mean over the sphere is 1 / (4 π), a white surface sends 1 / π
    value = lights.around(normal, torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(value, wanted, rtol=0, atol=5e-3)


def test_a_smooth_mirror_shows_the_environment_and_a_rough_one_its_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    lights = lit_by(0.2 * torch.randn(9, 3, generator=generator))
    seen, view = directions(50), torch.zeros(50, dtype=torch.int64)
    radiance = lights.ambient + harmonics(seen) @ lights.environment[0]
    torch.testing.assert_close(lights.reflected(seen, torch.zeros(50), view), radiance)
    spreads = [lights.reflected(seen, torch.full((50,), r), view).std(0).mean() for r in (0.0, 0.5, 0.8, 1.0)]
    assert spreads == sorted(spreads, reverse=True)
    even = Lights(*(v for v in (lights.direction, lights.key, lights.ambient)))
    assert torch.equal(even.reflected(seen, torch.zeros(50), view), torch.full((50, 3), 2.0))


def test_light_is_never_negative() -> None:
    environment = torch.zeros(9, 3)
    environment[1] = 9.0
    lights, down = lit_by(environment, 0.5), torch.tensor([[0.0, -1.0, 0.0]])
    one = torch.zeros(1, dtype=torch.int64)
    assert not lights.around(down, one).any()
    assert not lights.reflected(down, torch.zeros(1), one).any()


def test_the_studio_is_that_of_the_training_pictures() -> None:
    from sds3d.training.layers import shade

    normal = directions(3000)
    eye = torch.nn.functional.normalize(torch.tensor([[0.6, 0.5, 0.7]]), dim=1)
    azimuth, elevation = math.degrees(math.atan2(0.6, 0.7)), math.degrees(math.asin(float(eye[0, 1])))
    normal = normal[(normal @ eye[0]) > 0.1]
    wanted, _ = shade(normal, eye.expand_as(normal))
    lights = studio(orbit([azimuth], elevation))
    white = lights.shade(torch.ones(1, 3, 1, len(normal)), normal.T[None, :, None])
    got = linear_to_srgb(white[0, 0, 0])
    assert (got - wanted).abs().mean() < 0.03
    assert (got - wanted).abs().max() < 0.12


def test_lights_of_some_views() -> None:
    lights = studio(orbit([0.0, 90.0, 200.0], 10.0))
    index = torch.tensor([2, 0])
    assert torch.equal(lights[index].environment, lights.environment[index])
    look = Look(orbit([0.0, 90.0, 200.0], 10.0), (4, 4), torch.ones(3, 3), lights=lights)
    assert torch.equal(look.rows(index).lights.direction, lights.direction[index])
    from sds3d.optimize.placing import place_look

    for these in (lights, headlight(look.cameras)):  # with an environment, and without
        there = place_look(replace(look, lights=these), torch.device("meta")).lights
        assert there.key.device.type == "meta"
        assert (there.environment is None) == (these.environment is None)
    assert studio(orbit([0.0], 0.0)).to(torch.device("meta")).environment.device.type == "meta"
    assert len(BANDS) == harmonics(torch.eye(3)).shape[1]


def test_srgb_and_linear_are_inverses_with_finite_slopes() -> None:
    values = torch.linspace(0, 1, 257, requires_grad=True)
    linear = srgb_to_linear(values)
    torch.testing.assert_close(linear_to_srgb(linear), values, rtol=0, atol=1e-5)
    assert float(srgb_to_linear(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)
    (slope,) = torch.autograd.grad(linear.sum(), values)
    assert (slope > 0).all()
    assert slope.isfinite().all()
    (back,) = torch.autograd.grad(linear_to_srgb(values).sum(), values)
    assert back.max() < 13
