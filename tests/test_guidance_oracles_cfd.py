"""Consistent flow distillation against the sampler that it follows (guidance card §9.5)."""

from __future__ import annotations

import math

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, D, levels, prior_of, random_gauss, random_z, residual_step, views_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import close, far, few_each, in_every_form, sds_by_hand, table_of
from sds3d.guidance.base import Moment
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.guidance.surface_noise import SurfaceNoise

from sds3d.core.schedules import constant
from sds3d.core.streams import Streams
from sds3d.priors.kinds.analytic import through_native
from sds3d.priors.noise_schedule import NoiseSchedule, over

f64 = torch.float64
few = settings(max_examples=6)
seeds = st.integers(0, 10**6)
B = 2


class Net:
    """A prior with a network that is no denoiser of anything: two layers of tanh that know the branch and t."""

    def __init__(self, inner, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.inner, self.info, self.schedule = inner, inner.info, inner.schedule
        self.a, self.b = (torch.randn(D, D, generator=generator, dtype=f64) for _ in range(2))
        self.condition, self.prepare = inner.condition, inner.prepare

    def output(self, z_t, t, branch):
        inside = (z_t.flatten(1) @ self.a + t[:, None] + branch.double()[:, None]).tanh()
        return (inside @ self.b).view_as(z_t)

    def predict(self, z_t, t, cond):
        out = self.output(z_t, t, cond.tensors["branch"])
        alpha, sigma = self.schedule.levels(t)
        x0 = (z_t - over(sigma, z_t) * out) / over(alpha, z_t)
        return through_native(out, x0, z_t, alpha, sigma, self.info.prediction)


def noise_of(seed: int) -> torch.Tensor:
    """(B, D) float64: the fixed noise of the view slots."""
    return Streams(seed).normal(SHAPE, "guidance-noise", 0, ids=range(B)).double().flatten(1)


def config_of(**change):
    """One falling time of the prior's own, without drift."""
    bounds = {"linear": [0.98, 0.02]}
    return {
        "method": "cfd",
        "drift": 0,
        "times": {"low": bounds, "high": bounds, "scale": "native", "shared": True},
    } | change


def kappas(steps: int, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    """(t, kappa) of the run, with kappa = 0 at its end."""
    t = torch.tensor([0.98 - 0.96 * k / steps for k in range(steps)], dtype=f64)
    return t, torch.cat([schedule.kappa(t), torch.zeros(1, dtype=f64)])


def follow(
    prior, config, steps: int, z: torch.Tensor, seed: int, to=lambda k, kappa: kappa[k + 1]
) -> torch.Tensor:
    """A free image under plain gradient steps of 1 - kappa' / kappa on the engine's own cotangents."""
    guidance, streams = build_guidance(parse(config), prior, steps), Streams(seed)
    state, (t, kappa) = guidance.init(streams), kappas(steps, prior.schedule)
    for k in range(steps):
        cotangents, state, log = guidance.guide(views_of(prior, z), k, streams, state)
        assert log["t"] == pytest.approx(float(t[k]))
        z = z - float(1.0 - to(k, kappa) / kappa[k]) * (B * cotangents["z"].flatten(1))
    return z


@pytest.mark.oracle("O8.1", "O8.8")
@in_every_form
@few_each
@given(seeds, st.floats(0.0, 10.0), st.integers(2, 30), st.sampled_from([SD, RF]))
def test_the_free_image_is_the_ddim_sample(prediction, seed, scale, steps, schedule):
    """O8.1, O8.8: from x_T = sigma_T eps on the same grid, any network, any guidance scale; on a flow DDIM is Euler."""
    prior = Net(prior_of(table_of(0), schedule, prediction), seed)
    config = config_of(cfg_scale=scale)
    found = follow(prior, config, steps, torch.zeros(B, D, dtype=f64), seed)
    t, _ = kappas(steps, schedule)
    alpha, sigma = [*schedule.alpha(t).tolist(), 1.0], [*schedule.sigma(t).tolist(), 0.0]
    x = sigma[0] * noise_of(seed)
    for k in range(steps):
        at = t[k].repeat(B)
        answers = [prior.output(x, at, torch.full((B,), i)) for i in branch_rows(prior)]
        eps = answers[1] + scale * (answers[0] - answers[1])
        if schedule is RF:  # Euler on the velocity
            velocity = eps - (x - sigma[k] * eps) / alpha[k]
            x = x + (sigma[k + 1] - sigma[k]) * velocity
        else:
            x = alpha[k + 1] * (x - sigma[k] * eps) / alpha[k] + sigma[k + 1] * eps
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-9)


def branch_rows(prior) -> list[int]:
    """How the prior tells y and null apart."""
    cond = views_of(prior, torch.zeros(B, D, dtype=f64)).cond
    return [int(cond[name].tensors["branch"][0]) for name in ("y", "null")]


@pytest.mark.oracle("O8.1")
@in_every_form
def test_started_from_the_samplers_noise_it_is_that_sampler(prediction):
    """O8.1: x_c = (1 - sigma_T) / alpha_T eps makes x_T = eps. And the identity breaks as it should."""
    prior, steps = Net(prior_of(table_of(0), SD, prediction), 3), 12
    t, _ = kappas(steps, SD)
    alpha, sigma = [*SD.alpha(t).tolist(), 1.0], [*SD.sigma(t).tolist(), 0.0]
    x = eps = noise_of(5)
    for k in range(steps):
        told = prior.output(x, t[k].repeat(B), torch.full((B,), branch_rows(prior)[0]))
        x = alpha[k + 1] * (x - sigma[k] * told) / alpha[k] + sigma[k + 1] * told
    start = (1 - sigma[0]) / alpha[0] * eps
    config = config_of(cfg_scale=1.0)
    close(follow(prior, config, steps, start, 5), x)
    far(follow(prior, config | {"weight": "uniform"}, steps, start, 5), x)
    far(follow(prior, config | {"drift": 0.1}, steps, start, 5), x)
    far(follow(prior, {**config, "cfg_scale": 2.0}, steps, start, 5), x)
    far(follow(prior, config, steps, torch.zeros(B, D, dtype=f64), 5), x)
    far(follow(prior, config, steps, start, 5, to=lambda k, kappa: kappa[k + 1] * 0.9), x)


@pytest.mark.oracle("O8.2")
@in_every_form
def test_a_gaussian_is_sampled_not_averaged(prediction):
    """O8.2: x_0 = mu + sqrt(S / (S + kappa_T^2)) (kappa_T eps - mu), where SDS would give mu."""
    seed, steps = 1, 150
    law = random_gauss(seed)
    prior = prior_of({"y": law}, RF, prediction)
    found = follow(prior, config_of(cfg_scale=1.0), steps, torch.zeros(B, D, dtype=f64), seed)
    top = float(kappas(steps, RF)[1][0])
    values, axes = torch.linalg.eigh(law.cov)
    root = axes @ torch.diag((values / (values + top**2)).sqrt()) @ axes.T
    want = law.mean + (top * noise_of(seed) - law.mean) @ root
    torch.testing.assert_close(found, want, rtol=0, atol=0.06)
    assert float((found - law.mean).abs().max()) > 0.2


@pytest.mark.oracle("O8.3")
@in_every_form
@few_each
@given(seeds, st.floats(0.01, 0.5))
def test_drifting_noise_is_the_samplers_churn(prediction, seed, gamma):
    """O8.3: raising the level from sqrt(1 - gamma) kappa to kappa with new noise, the clean part left as it is."""
    steps, prior = 10, Net(prior_of(table_of(0), SD, prediction), seed)
    config = config_of(cfg_scale=1.0, drift=gamma)
    keep = math.sqrt(1 - gamma)
    found = follow(
        prior, config, steps, torch.zeros(B, D, dtype=f64), seed, to=lambda k, kap: keep * kap[k + 1]
    )
    t, kappa = kappas(steps, SD)
    x, streams = float(kappa[0]) * noise_of(seed), Streams(seed)  # x / alpha, as EDM has it
    for k in range(steps):
        alpha = 1 / math.sqrt(1 + float(kappa[k]) ** 2)
        told = prior.output(alpha * x, t[k].repeat(B), torch.full((B,), branch_rows(prior)[0]))
        low = keep * float(kappa[k + 1])
        x = x + (low - float(kappa[k])) * told
        n = streams.normal((1, *SHAPE), "surface-drift", "screen", step=k, ids=range(B)).double().flatten(1)
        x = x + math.sqrt(max(0.0, float(kappa[k + 1]) ** 2 - low**2)) * n
    torch.testing.assert_close(found, x, rtol=1e-5, atol=1e-5)  # the drift itself is in float32


@pytest.mark.oracle("O8.4")
@pytest.mark.parametrize("gamma", [0.0, 0.02, 0.3, 1.0])
def test_drift_keeps_the_noise_standard_and_forgets_at_its_rate(gamma):
    """O8.4: N(0, 1) at every step, correlation (1 - gamma)^(k / 2)."""
    source, streams, steps = SurfaceNoise(constant(gamma)), Streams(0), 12
    start = memory = source.init((4, 16, 16), streams)
    for k in range(steps):
        memory = source.advance(memory, Moment(k, k / steps, streams, (0, 1), (0, 0)))
    a, b = start["texture"].flatten(), memory["texture"].flatten()
    assert float(b.std()) == pytest.approx(1.0, abs=0.03)
    assert float((a * b).mean()) == pytest.approx((1 - gamma) ** (steps / 2), abs=0.03)
    if gamma == 0.0:
        assert memory == start
    else:
        assert memory["screen"].shape == (2, 1, 4, 16, 16)
        assert memory["shape"] == [4, 16, 16]


@pytest.mark.oracle("O8.5")
@in_every_form
@few_each
@given(seeds, st.integers(40, 960), st.floats(0.0, 10.0), st.sampled_from([SD, RF]))
def test_one_step_is_sds_with_that_noise_and_weight_kappa(prediction, seed, index, scale, schedule):
    """O8.5: with fixed noise; and with gamma = 1 every step has noise of its own (annealed SDS)."""
    table, z = table_of(seed), random_z(seed, B)
    t = {"low": index / 1000, "high": index / 1000}
    a, s = levels(index, schedule)
    prior = prior_of(table, schedule, prediction)
    for noise in ("surface", "fixed"):
        config = {"method": "cfd", "cfg_scale": scale, "times": t, "noise": noise}
        found, _ = residual_step(config, prior, z, seed=seed)
        close(found, s / a * sds_by_hand(table, z, index, schedule, scale, noise_of(seed)))
    guidance = build_guidance(parse({**config, "noise": "surface", "drift": 1}), prior, 10)
    streams, views = Streams(seed), views_of(prior, z)
    state = guidance.init(streams)
    seen = [noise_of(seed)]
    for step in range(2):
        cotangents, state, _ = guidance.guide(views, step, streams, state)
        g = B * cotangents["z"].flatten(1)
        close(g, s / a * sds_by_hand(table, z, index, schedule, scale, seen[-1]))
        seen.append(state["noise"]["screen"][:, 0].flatten(1).double())
        n = streams.normal((1, *SHAPE), "surface-drift", "screen", step=step, ids=range(B)).double()
        close(seen[-1], n.flatten(1))
