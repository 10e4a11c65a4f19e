"""The oracle-scene prior on a picture-sized world: what it knows, and that distillation through it finds the truth."""

from __future__ import annotations

import dataclasses
import math
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.guidance.states import noised

from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError, PromptError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prompts, concatenate
from sds3d.priors.kinds.oracle_scene import Options, create
from sds3d.priors.registry import create_prior

SIZE, NAMES = 8, ("ball", "bar", "checks")
f64 = torch.float64


def look_at_angles(azimuth: list[float], background: float = 1.0) -> Look:
    return Look(orbit(azimuth, 0.0), (SIZE, SIZE), torch.full((len(azimuth), 3), background))


def render(name: str, look: Look) -> torch.Tensor:
    """Flat patterns that depend on asset, azimuth and background: (B, 3, H, W) in [0, 1]."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    out = []
    for azimuth, background in zip(look.cameras.azimuth_deg.tolist(), look.background, strict=True):
        turn = math.cos(math.radians(azimuth))
        inside = {
            "ball": (x - 0.3 * turn) ** 2 + y**2 < 0.5,
            "bar": (y - 0.3 * turn).abs() < 0.3,
            "checks": torch.sin(5 * x + turn) * torch.sin(5 * y) > 0,
        }[name]
        color = torch.tensor([0.9, 0.2, 0.1 + 0.3 * (turn + 1) / 2])
        out.append(torch.where(inside, color[:, None, None], background[:, None, None]))
    return torch.stack(out)


def prior_of(**change):
    return create(Options(**({"assets": NAMES, "size": SIZE} | change)), render=render)


def truth(name: str, look: Look) -> torch.Tensor:
    return 2 * render(name, look) - 1


def near(prior, look: Look, name: str, t: float, noise: float = 0.3):
    """Noised truth of an asset at t, and the branches for it."""
    z = truth(name, look)
    eps = noise * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    times = torch.full((len(z),), t, dtype=f64)
    return prior.schedule.add_noise(z, eps, times), times


@given(st.sampled_from(NAMES), st.floats(0.1, 0.9), st.floats(-180, 180), st.sampled_from(["epsilon", "v"]))
def test_the_prompt_pulls_to_its_own_render_at_the_asked_camera(name, t, azimuth, prediction):
    """One mode of width w: x0 = m + a w^2 / (a^2 w^2 + s^2) (z_t - a m), for each view by itself."""
    prior, look = prior_of(width=0.1, prediction=prediction), look_at_angles([azimuth, azimuth + 90], 0.5)
    cond = prior.condition(prior.prepare(Prompts(name)), look, {})
    z_t = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=f64)
    times = torch.full((2,), t, dtype=f64)
    found = prior.predict(z_t, times, cond["y"])
    a, s = (float(f(times)[0]) for f in (prior.schedule.alpha, prior.schedule.sigma))
    m = truth(name, look).double()
    expected = m + a * 0.01 / (a * a * 0.01 + s * s) * (z_t - a * m)
    torch.testing.assert_close(found.x0, expected, rtol=1e-5, atol=1e-5)


def test_without_a_prompt_it_believes_in_every_asset_alike():
    """At high noise the mean of all; at low noise the asset that is shown."""
    prior, look = prior_of(), look_at_angles([10.0])
    cond = prior.condition(prior.prepare(Prompts("ball")), look, {})["null"]
    weak, strong = torch.tensor([0.05], dtype=f64), torch.tensor([1.0], dtype=f64)
    far = prior.predict(torch.zeros(1, 3, SIZE, SIZE), strong, cond)
    mean = sum(truth(n, look) for n in NAMES) / 3
    assert float((far.x0 - mean).abs().mean()) < 0.15
    for name in NAMES:
        z_t, _ = near(prior, look, name, 0.05)
        shown = prior.predict(z_t, weak, cond).x0
        assert float((shown - truth(name, look)).abs().max()) < 0.1
        assert all(float((shown - truth(other, look)).abs().max()) > 0.5 for other in NAMES if other != name)


def test_branches_by_prompt():
    prior, look = prior_of(), look_at_angles([0.0, 40.0])
    cond = prior.condition(prior.prepare(Prompts("bar", negative="checks")), look, {})
    assert {k: c.tensors["weights"].tolist()[0] for k, c in cond.items()} == {
        "y": [0.0, 1.0, 0.0],
        "null": [pytest.approx(1 / 3)] * 3,
        "neg": [0.0, 0.0, 1.0],
    }
    assert all(c.tensors["pictures"].shape == (2, 3, 3, SIZE, SIZE) for c in cond.values())
    plain = prior.condition(prior.prepare(Prompts("bar")), look, {})
    assert torch.equal(plain["neg"].tensors["weights"], plain["null"].tensors["weights"])
    assert cond["y"].weight.tolist() == [1.0, 1.0]
    assert prior.info.uses_camera
    assert prior.info.latent_shape == (3, SIZE, SIZE)
    assert prior.info.size == (SIZE, SIZE)


def test_a_joint_batch_keeps_rows_and_branches_apart():
    prior, look = prior_of(), look_at_angles([0.0, 120.0])
    cond = prior.condition(prior.prepare(Prompts("bar")), look, {})
    z_t, t = near(prior, look, "ball", 0.5)
    joint = prior.predict(torch.cat([z_t, z_t]), torch.cat([t, t]), concatenate([cond["null"], cond["y"]]))
    for k, branch in enumerate(["null", "y"]):
        alone = prior.predict(z_t, t, cond[branch])
        torch.testing.assert_close(joint.eps[2 * k : 2 * k + 2], alone.eps)


def test_encode_and_decode():
    prior, rgb = prior_of(), torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.encode(rgb), 2 * rgb - 1)
    torch.testing.assert_close(prior.decode(prior.encode(rgb)), rgb)
    assert prior.encode(torch.rand(1, 3, 2 * SIZE, 2 * SIZE)).shape == (1, 3, SIZE, SIZE)


def test_larger_looks_are_shrunk_to_the_priors_size():
    def big(name, look):
        small = render(name, Look(look.cameras, (SIZE, SIZE), look.background))
        return small.repeat_interleave(2, 2).repeat_interleave(2, 3)

    prior, small = create(Options(assets=NAMES, size=SIZE), render=big), look_at_angles([0.0])
    look = Look(small.cameras, (2 * SIZE, 2 * SIZE), small.background)
    pictures = prior.condition(prior.prepare(Prompts("bar")), look, {})["y"].tensors["pictures"]
    torch.testing.assert_close(pictures[:, 1], truth("bar", small))


def test_unknown_assets_are_answered_with_the_nearest():
    with pytest.raises(PromptError, match=r"ball, bar, checks; 'cheks' is none.*Did you mean checks\?"):
        prior_of().prepare(Prompts("cheks"))
    with pytest.raises(PromptError, match=r"'zzz' is none of them\.$"):
        prior_of().prepare(Prompts("ball", negative="zzz"))


def test_a_renderer_is_needed_and_checked():
    with pytest.raises(ConfigError, match="needs a function that renders"):
        create_prior(Options(assets=NAMES))
    prior = create_prior(Options(assets=NAMES, size=SIZE), render=lambda name, look: torch.zeros(1, 3, 4, 4))
    with pytest.raises(ConfigError, match=r"'ball' returned shape \(1, 3, 4, 4\) instead of \(2, 3, 8, 8\)"):
        prior.condition(prior.prepare(Prompts("bar")), look_at_angles([0.0, 1.0]), {})


def test_schedules_and_bad_options():
    assert prior_of(schedule="rf").schedule.kind == "rf"
    assert prior_of().schedule.kind == "vp"
    for change in ({"assets": []}, {"size": 0}, {"width": -0.1}):
        with pytest.raises(ValueError, match=r"assets|size|width"):
            Options(**({"assets": NAMES} | change))


# ------------------------------------------------------------------------------ distillation


def distil(config: dict, ask: str = "bar", cameras_shift: float = 0.0, schedule: str = "sd") -> float:
    """Mean squared error to the asked asset after gradient descent on free pictures at four azimuths."""
    steps, azimuths = 60, [0.0, 60.0, 130.0, 180.0]
    prior, look = prior_of(schedule=schedule), look_at_angles(azimuths)
    guidance = build_guidance(parse(config), prior, steps)
    cond = prior.condition(
        prior.prepare(Prompts(ask)), look_at_angles([a + cameras_shift for a in azimuths]), {}
    )
    z = torch.zeros(4, 3, SIZE, SIZE)
    for step in range(steps):
        cotangents, _, _ = guidance.guide(Views(look, {}, z, cond), step, Streams(0), {})
        z = z - 0.5 * (1 - step / steps) * len(z) * cotangents["z"]
    return float((z.clamp(-1, 1) - truth("bar", look)).square().mean())


QUICKSTART = {
    "cfg_scale": 3,
    "weight": "kappa",
    "transforms": ["clamp_x0"],
    "times": {"high": {"sqrt": [0.98, 0.5]}, "low": {"sqrt": [0.6, 0.02]}},
}


def unshared(z, eps, t, schedule):
    """Shows the prior other noise than the residual subtracts."""
    return dataclasses.replace(noised(z, eps, t, schedule), eps=eps.flip(0))


@pytest.mark.parametrize(
    ("config", "schedule"),
    [(QUICKSTART, "sd"), ({"cfg_scale": 1, "weight": "kappa"}, "rf")],
)
def test_sds_recovers_the_asked_asset_and_mistakes_do_not(config, schedule):
    right = distil(config, schedule=schedule)
    assert 10 * math.log10(4 / right) > 25.0  # dB; z spans 2
    wrong = [
        distil(config, cameras_shift=90.0, schedule=schedule),
        distil(config | {"cfg_scale": 0}, schedule=schedule),
        distil(config, ask="ball", schedule=schedule),
    ]
    with patch("sds3d.guidance.noise.noised", unshared):
        wrong.append(distil(config, schedule=schedule))
    assert all(10 * math.log10(error / right) > 6.0 for error in wrong)
