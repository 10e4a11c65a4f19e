"""Noise schedules and the conversions between predictions (guidance card §1.2-1.4)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import (
    NoiseSchedule,
    from_eps_x0,
    over,
    stable_diffusion_schedule,
    to_eps,
    to_x0,
)

SD, RF = stable_diffusion_schedule(), NoiseSchedule("rf")
f64 = torch.float64
times = st.floats(0.001, 0.999)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=f64)


@pytest.mark.parametrize(
    ("index", "alpha_bar", "kappa"),
    [
        (20, 0.98131, 0.1380),
        (200, 0.75369, 0.5717),
        (300, 0.59050, 0.8328),
        (500, 0.27633, 1.6183),
        (800, 0.03687, 5.111),
        (980, 0.00584, 13.043),
    ],
)
def test_stable_diffusion_has_the_published_values(index, alpha_bar, kappa):
    t = one(index / 1000)
    assert float(SD.alpha(t) ** 2) == pytest.approx(alpha_bar, abs=5e-6)
    assert float(SD.kappa(t)) == pytest.approx(kappa, rel=1e-3)
    assert float(SD.sigma(t) ** 2) == pytest.approx(1 - alpha_bar, abs=5e-6)


def test_the_first_and_last_beta_of_stable_diffusion():
    bar = SD.alpha_bar
    assert SD.steps == len(bar) == 1000
    assert bar.dtype == f64
    assert float(1 - bar[0]) == pytest.approx(0.00085, rel=1e-9)
    assert float(1 - bar[-1] / bar[-2]) == pytest.approx(0.012, rel=1e-9)


def test_index_rounds_and_stays_inside():
    t = torch.tensor([0.0, 0.0004, 0.0006, 0.5, 0.9994, 1.0], dtype=f64)
    assert SD.index(t).tolist() == [0, 0, 1, 500, 999, 999]
    assert SD.index(t).dtype == torch.int64


@given(times)
def test_variance_is_preserved_and_rectified_flow_is_linear(t):
    a, s = SD.alpha(one(t)), SD.sigma(one(t))
    assert float(a**2 + s**2) == pytest.approx(1.0, abs=1e-12)
    assert float(RF.alpha(one(t))) == pytest.approx(1 - t, abs=1e-15)
    assert float(RF.sigma(one(t))) == pytest.approx(t, abs=1e-15)
    assert float(RF.kappa(one(t))) == pytest.approx(t / (1 - t), rel=1e-12)
    assert RF.steps == 1000


def test_scales_come_in_float64_for_float32_times():
    t = torch.tensor([0.3], dtype=torch.float32)
    for schedule in (SD, RF):
        assert schedule.alpha(t).dtype == schedule.sigma(t).dtype == schedule.kappa(t).dtype == f64


def test_kappa_finds_every_index_back():
    t = torch.arange(1000, dtype=f64) / 1000
    assert torch.equal(SD.index(SD.t_of_kappa(SD.kappa(t))), torch.arange(1000))


@given(st.integers(0, 998), st.floats(0.02, 0.98))
def test_t_of_kappa_takes_the_nearer_level_in_log_kappa(index, share):
    low, high = SD.kappa(torch.tensor([index, index + 1], dtype=f64) / 1000).log()
    found = SD.index(SD.t_of_kappa((low + share * (high - low)).exp()[None]))
    if abs(share - 0.5) > 1e-6:
        assert int(found) == index + (share > 0.5)


@given(st.floats(0.0, 1.0), st.sampled_from([SD, RF, NoiseSchedule("rf", shift=3.0)]))
def test_published_times_keep_their_noise(t, schedule):
    kappa = SD.kappa(one(t))
    assert torch.equal(schedule.t_of_published(one(t)), schedule.t_of_kappa(kappa))
    assert float(schedule.kappa(schedule.t_of_published(one(t)))) == pytest.approx(float(kappa), rel=1e-9)


def test_t_of_kappa_outside_of_the_table():
    levels = torch.tensor([0.0, 1e-9, 1e9, math.inf], dtype=f64)
    assert SD.index(SD.t_of_kappa(levels)).tolist() == [0, 0, 999, 999]
    assert RF.t_of_kappa(levels).tolist() == [0.0, pytest.approx(1e-9), pytest.approx(1 - 1e-9), 1.0]


def test_zero_terminal_signal():
    schedule = NoiseSchedule("vp", torch.tensor([0.9, 0.5, 0.0], dtype=f64))
    assert schedule.steps == 3
    assert math.isinf(float(schedule.kappa(one(1.0))))
    assert schedule.index(schedule.t_of_kappa(torch.tensor([math.inf, 1.0, 1 / 3], dtype=f64))).tolist() == [
        2,
        1,
        0,
    ]


@given(times)
def test_t_of_kappa_inverts_rectified_flow(t):
    assert float(RF.t_of_kappa(RF.kappa(one(t)))) == pytest.approx(t, rel=1e-12)


def test_over_spreads_one_number_a_sample():
    like = torch.zeros(2, 3, 4, 5, dtype=torch.float32)
    out = over(torch.tensor([1.0, 2.0], dtype=f64), like)
    assert out.shape == (2, 1, 1, 1)
    assert out.dtype == torch.float32
    assert out.flatten().tolist() == [1.0, 2.0]
    assert over(torch.ones(2), torch.zeros(2)).shape == (2,)


def test_add_noise_mixes_each_sample_with_its_own_scales():
    z, eps = torch.randn(2, 1, 2, 2, dtype=f64), torch.randn(2, 1, 2, 2, dtype=f64)
    t = torch.tensor([0.25, 0.75], dtype=f64)
    out = RF.add_noise(z, eps, t)
    torch.testing.assert_close(out[0], 0.75 * z[0] + 0.25 * eps[0])
    torch.testing.assert_close(out[1], 0.25 * z[1] + 0.75 * eps[1])
    assert RF.add_noise(z.float(), eps.float(), t).dtype == torch.float32


@pytest.mark.oracle("O0.1")
@given(st.integers(0, 10**6), times, st.sampled_from([SD, RF]))
def test_every_prediction_gives_back_the_noise_and_the_image(seed, t, schedule):
    """O0.1, with the native outputs written out by their definitions."""
    x0, eps = torch.randn(2, 2, 3, 4, dtype=f64, generator=torch.Generator().manual_seed(seed))
    a, s = float(schedule.alpha(one(t))), float(schedule.sigma(one(t)))
    z_t = a * x0 + s * eps
    outputs = {"epsilon": eps, "x0": x0, "v": a * eps - s * x0, "velocity": eps - x0}
    for name, output in outputs.items():
        found = Prediction.of(output, z_t, one(a), one(s), name)
        for form, truth in (("eps", eps), ("x0", x0), ("v", outputs["v"]), ("velocity", outputs["velocity"])):
            torch.testing.assert_close(getattr(found, form), truth, rtol=1e-9, atol=1e-9 / min(a, s))


@pytest.mark.oracle("O0.1")
def test_the_variance_preserving_formulas():
    """O0.1 as the card prints it: x0 = a x_t - s v, eps = a v + s x_t; and y - t u, y + (1 - t) u."""
    v, z_t = torch.randn(2, 5, dtype=f64, generator=torch.Generator().manual_seed(0))
    a, s = torch.tensor(0.6, dtype=f64), torch.tensor(0.8, dtype=f64)
    eps, x0 = (form(v, z_t, a, s, "v") for form in (to_eps, to_x0))
    torch.testing.assert_close(x0, a * z_t - s * v)
    torch.testing.assert_close(eps, a * v + s * z_t)
    eps, x0 = (form(v, z_t, one(0.7), one(0.3), "velocity") for form in (to_eps, to_x0))
    torch.testing.assert_close(x0, z_t - 0.3 * v)
    torch.testing.assert_close(eps, z_t + 0.7 * v)


@pytest.mark.parametrize("name", ["v", "velocity", "x0"])
def test_no_signal_at_all_is_no_division_by_zero(name):
    output, z_t = torch.ones(1, 3, dtype=f64), torch.full((1, 3), 2.0, dtype=f64)
    eps, x0 = (form(output, z_t, torch.tensor(0.0), torch.tensor(1.0), name) for form in (to_eps, to_x0))
    torch.testing.assert_close(eps, z_t)
    assert bool(torch.isfinite(x0).all())


@pytest.mark.oracle("O0.8")
@given(st.floats(0.3, 500.0), st.integers(0, 10**6))
def test_edm_style_v_is_the_same_v(kappa, seed):
    """O0.8: c_skip x + c_out v with sigma_data = 1 on x = x0 + kappa eps."""
    x, v = torch.randn(2, 4, dtype=f64, generator=torch.Generator().manual_seed(seed))
    a, s = 1 / math.sqrt(1 + kappa**2), kappa / math.sqrt(1 + kappa**2)
    denoised = x / (1 + kappa**2) - kappa / math.sqrt(1 + kappa**2) * v
    x0 = to_x0(v, a * x, torch.tensor(a, dtype=f64), torch.tensor(s, dtype=f64), "v")
    torch.testing.assert_close(x0, denoised, rtol=1e-9, atol=1e-9)


def test_a_form_is_made_when_it_is_read_and_once():
    asked = []

    def form(name):
        asked.append(name)
        return torch.arange(3.0)

    said = Prediction(form, torch.ones(3))
    part = said[1:]
    assert asked == []
    assert part.eps.tolist() == [1.0, 2.0]
    assert len(part.weight) == 2
    assert part.eps is part.eps
    assert said.eps.tolist() == [0.0, 1.0, 2.0]
    assert asked == ["eps"]


@pytest.mark.parametrize("name", ["epsilon", "v", "x0", "velocity"])
def test_gradients_go_through_the_output_alone(name):
    output, z_t = (torch.ones(1, 3, dtype=f64, requires_grad=True) for _ in range(2))
    said = Prediction.of(output, z_t, torch.tensor(0.6), torch.tensor(0.8), name)
    (said.eps + said.x0 + said.v + said.velocity).sum().backward()
    assert z_t.grad is None
    assert bool(output.grad.abs().sum() > 0)


@pytest.mark.parametrize("form", [to_eps, to_x0, from_eps_x0])
def test_unknown_prediction_is_named(form):
    with pytest.raises(ValueError, match=r"'noise'.*epsilon.*velocity"):
        form(torch.zeros(1), torch.zeros(1), torch.ones(1), torch.ones(1), "noise")


# flows with a timestep shift


@pytest.mark.oracle("O0.10", "O11.6")
@given(shift=st.floats(0.2, 10), t=st.floats(0.001, 0.999))
def test_a_shift_multiplies_kappa_and_comes_back(shift: float, t: float) -> None:
    plain, shifted = NoiseSchedule("rf"), NoiseSchedule("rf", shift=shift)
    times = torch.tensor([t], dtype=torch.float64)
    torch.testing.assert_close(shifted.kappa(times), shift * plain.kappa(times))
    torch.testing.assert_close(shifted.t_of_kappa(shifted.kappa(times)), times)
    torch.testing.assert_close(shifted.network_time(times), 1000 * shifted.sigma(times))
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert shifted.sigma(ends).tolist() == [0.0, 1.0]
    assert shifted.t_of_kappa(torch.tensor([torch.inf])).item() == 1.0


@pytest.mark.oracle("OX.13")
def test_a_schedulers_config_gives_its_noise_levels(tmp_path) -> None:
    """The library's own schedulers, asked for a thousand steps, against the schedule read from their configs."""
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    from sds3d.priors.scheduler_config import schedule_of

    t = torch.linspace(1, 1000, 1000, dtype=torch.float64) / 1000
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    schedule, prediction = schedule_of(dict(flow.config) | {"_class_name": type(flow).__name__}, tmp_path)
    assert prediction == "velocity"
    torch.testing.assert_close(schedule.sigma(t).flip(0), flow.sigmas.double(), rtol=1e-5, atol=1e-6)
    dynamic = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, max_shift=1.15)
    config = dict(dynamic.config) | {"_class_name": type(dynamic).__name__}
    for tokens, mu in ((256, 0.5), (4096, 1.15), (2176, 0.825)):
        schedule, _ = schedule_of(config, tmp_path, tokens)
        dynamic.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=mu)
        found = schedule.sigma(torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64))
        torch.testing.assert_close(found, dynamic.sigmas[:4].double(), rtol=1e-5, atol=1e-6)
    sana = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    schedule, prediction = schedule_of(dict(sana.config) | {"_class_name": type(sana).__name__}, tmp_path)
    assert (schedule.kind, schedule.shift, prediction) == ("rf", 3.0, "velocity")
