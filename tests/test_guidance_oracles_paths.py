"""Oracles of the paths: inversion, telescoping, intervals on flows, and the mistakes they must catch (card §4, O11)."""

from __future__ import annotations

import math

import pytest
import torch
from guidance_cases import (
    RF,
    SD,
    D,
    at,
    levels,
    noise_of,
    prior_of,
    random_gauss,
    random_z,
    residual_step,
    views_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    close,
    f64,
    far,
    few_each,
    in_every_form,
    scales,
    schedules,
    sds_by_hand,
    seeds,
    table_of,
)
from sds3d.guidance.base import moment
from sds3d.guidance.calls import Calls
from sds3d.guidance.inversion import Conditional, Inverted
from sds3d.guidance.methods.tsm import Options as TsmOptions
from sds3d.guidance.predictions import CFG
from sds3d.guidance.states import ddim, noised

from sds3d.core.schedules import constant
from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import over


def kappa_of(index: int, schedule=SD) -> float:
    alpha, sigma = levels(index, schedule)
    return sigma / alpha


def t_of(index: int, schedule, rows: int) -> torch.Tensor:
    """(rows,) the schedule's own t at Stable Diffusion's index."""
    return schedule.t_of_kappa(torch.full((rows,), kappa_of(index), dtype=f64))


def states_of(source, prior, z, index: int):
    """What a noise source makes of these views at an index."""
    views = views_of(prior, z)
    calls = Calls(prior, views.cond)
    t = t_of(index, prior.schedule, len(z))
    return source.make(views, t, 0, moment(views, 3, 10, Streams(0)), calls, {}), calls


@pytest.mark.oracle("O3.1")
@in_every_form
@pytest.mark.parametrize("schedule", [SD, RF])
def test_a_fine_inversion_follows_the_exact_orbit(schedule, prediction):
    """x_t = a mu + sqrt(C_t / S)(x - mu), eps* = sigma / sqrt(C_t S)(x - mu), along each axis of the covariance."""
    law, z, index = random_gauss(3), random_z(3, 2), 600
    prior = prior_of({"y": law, "null": law}, schedule, prediction)
    states, _ = states_of(Inverted(constant(0.01), stride=0.01, start_noise=False), prior, z, index)
    a, s = levels(index, schedule)
    values, axes = torch.linalg.eigh(law.cov)
    grown = ((a * a * values + s * s) / values).sqrt()
    orbit = a * law.mean + ((z - law.mean) @ axes * grown) @ axes.T
    assert float((states["t"].z_t.flatten(1) - orbit).abs().max()) < 0.05 * float(orbit.abs().max())
    on_it = law.eps(orbit, a, s)
    close(on_it, ((z - law.mean) @ axes * (s / (values.sqrt() * (a * a * values + s * s).sqrt()))) @ axes.T)


@pytest.mark.oracle("O3.7")
@in_every_form
@pytest.mark.parametrize(("s", "calls"), [(1, 1), (100, 1), (200, 1), (201, 1), (202, 2), (420, 3), (900, 5)])
def test_calls_along_the_way_to_s(prediction, s, calls):
    """max(1, ceil((s - 1) / 200)) moves, the path starting at the least noisy index 1, and the one at s itself."""
    _, asked = states_of(
        Inverted(constant(0.05)), prior_of(table_of(0), SD, prediction), random_z(0, 1), s + 50
    )
    assert asked.nfe == math.ceil((s - 1) / 200) + 1
    assert max(1, asked.nfe - 1) == calls


class Net:
    """A network that is no denoiser of anything: it answers tanh(A_branch z_t + t), in whatever form."""

    def __init__(self, seed: int, prediction: str):
        self.prediction = prediction
        g = torch.Generator().manual_seed(seed)
        self.mix = {name: torch.randn(D, D, generator=g, dtype=f64) for name in ("y", "null")}

    def __call__(self, state, branch, schedule) -> Prediction:
        out = (state.z_t.flatten(1) @ self.mix[branch] + state.t[:, None]).tanh().view_as(state.z_t)
        alpha, sigma = (over(v, state.z_t) for v in (state.alpha, state.sigma))
        return Prediction.of(out, state.z_t, alpha, sigma, self.prediction)


@pytest.mark.oracle("O3.4")
@in_every_form
@few_each
@given(seeds, schedules, st.lists(st.integers(1, 199), min_size=2, max_size=4, unique=True))
def test_steps_up_and_down_telescope(prediction, seed, schedule, marks):
    """x - x~_0 = sum_k dkappa_k (eps(x~_k+1, y) - eps(x_k, null)) for any network; on a flow, dtau and velocities."""
    net, z, indices = Net(seed, prediction), random_z(seed, 2).view(2, 1, 1, D), sorted(5 * m for m in marks)
    times = [t_of(i, schedule, 2) for i in indices]
    up = [noised(z, torch.zeros_like(z), times[0], schedule)]
    told = []
    for t in times[1:]:
        told.append(net(up[-1], "null", schedule))
        up.append(ddim(up[-1], told[-1], t, schedule, z))
    down, total, flow = up[-1], torch.zeros_like(z), torch.zeros_like(z)
    for k in range(len(times) - 1, 0, -1):
        said = net(down, "y", schedule)
        (high, low) = (float(v.sigma[0] / v.alpha[0]) for v in (up[k], up[k - 1]))
        total = total + (high - low) * (said.eps - told[k - 1].eps)
        if schedule is RF:
            flow = flow + float(up[k].sigma[0] - up[k - 1].sigma[0]) * (said.velocity - told[k - 1].velocity)
        down = ddim(down, said, times[k - 1], schedule, z)
    alpha = over(up[0].alpha, z)
    close((up[0].z_t - down.z_t) / alpha, total)
    if schedule is RF:
        close(up[0].z_t - down.z_t, flow)


@pytest.mark.oracle("O11.10")
@in_every_form
@few_each
@given(seeds, st.integers(50, 900), st.integers(50, 900))
def test_eulers_step_of_the_velocity_is_ddims(prediction, seed, here, there):
    net, z, schedule = Net(seed, prediction), random_z(seed, 2).view(2, 1, 1, D), RF
    state = noised(z, random_z(seed + 1, 2).view_as(z), t_of(here, schedule, 2), schedule)
    said = net(state, "y", schedule)
    moved = ddim(state, said, t_of(there, schedule, 2), schedule, z)
    close(moved.z_t, state.z_t + over(moved.sigma - state.sigma, z) * said.velocity)


def velocities(law, y, tau):
    return law.eps(y, 1 - tau, tau) - law.x0(y, 1 - tau, tau)


@pytest.mark.oracle("O11.8", "O11.9")
@in_every_form
@few_each
@given(seeds, st.integers(320, 900), st.sampled_from([0.0, 0.25, 0.6]))
def test_intervals_on_a_flow(prediction, seed, index, fraction):
    """ISM: (1 - tau_t)(u_t - u_s), by kappa tau_t (u_t - u_s); TSM has a second term, (tau_t - tau_mu)(u_s - u_mu)."""
    table, z, gap = table_of(seed), random_z(seed, 2), 100
    config = {"method": "tsm", "mu": fraction, "cfg_scale": 1.0, "times": at(index), "gap": gap / 1000,
              "stride": 1.0, "start_noise": False}  # fmt: skip
    g, _ = residual_step(config, prior_of(table, RF, prediction), z)
    s, null = index - gap, table["null"]
    first, tau_s, tau_t = (levels(i, RF)[1] for i in (1, s, index))
    tau_m = levels(round(s + fraction * gap), RF)[1]
    start = (1 - first) * z
    y_s = start + (tau_s - first) * velocities(null, start, first)
    u_s = velocities(null, y_s, tau_s)
    y_t, y_m = (y_s + (tau - tau_s) * u_s for tau in (tau_t, tau_m))
    u_t, u_m = velocities(table["y"], y_t, tau_t), velocities(null, y_m, tau_m)
    residual = (1 - tau_t) * (u_t - u_m) + (tau_t - tau_m) * (u_s - u_m)
    torch.testing.assert_close(g, tau_t / (1 - tau_t) * residual, rtol=1e-5, atol=1e-6)
    if fraction == 0.0:
        torch.testing.assert_close(g, tau_t * (u_t - u_s), rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O3.5", "OX.11")
@in_every_form
def test_paper_and_code_mean_different_places_by_one_gamma(prediction):
    """rho = gamma in the paper, sqrt(1 - gamma^2) in the code: at 0.3 that is 424 against 476 between 400 and 480."""
    paper, code = 0.3, math.sqrt(1 - 0.3**2)
    assert round(400 + paper * 80) == 424
    assert round(400 + code * 80) == 476
    assert TsmOptions().mu == paper
    table, z = table_of(2), random_z(2, 2)
    one, other = (
        residual_step(
            {"method": "tsm", "mu": mu, "times": at(480), "gap": 0.08}, prior_of(table, SD, prediction), z
        )[0]
        for mu in (paper, code)
    )
    far(one, other)


@pytest.mark.oracle("O-SDI", "O8.1")
@in_every_form
@few_each
@given(seeds, st.integers(3, 12), scales, schedules)
def test_sdi_with_the_last_prediction_as_its_noise_is_ddim(prediction, seed, steps, scale, schedule):
    """x0 <- x0 - kappa' (eps(a' x0 + s' n; y) - n), n the prediction before: the sampler itself, for any network."""
    net, start = Net(seed, prediction), random_z(seed, 2).view(2, 1, 1, D)
    grid = [t_of(round(980 - 960 * k / steps), schedule, 2) for k in range(steps + 1)]
    combiner = CFG(constant(scale))

    def told(state):
        return combiner.combine({n: net(state, n, schedule) for n in ("y", "null")}, 0.0, state)

    sampled = noised(torch.zeros_like(start), start, grid[0], schedule)
    said = told(sampled)
    x0, noise = said.x0, said.eps
    for t in grid[1:]:
        sampled = ddim(sampled, said, t, schedule, start)
        said = told(sampled)
        # the method's own step: the render noised with the last prediction, weight kappa, rate 1
        state = noised(x0, noise, t, schedule)
        again = told(state)
        x0 = x0 - over(state.sigma / state.alpha, x0) * (again.eps - noise)
        noise = again.eps
        close(x0, said.x0)


@pytest.mark.oracle("O-SDI", "O11.7")
@in_every_form
@settings(max_examples=2)
@given(
    seeds,
    st.floats(0.2, 1.5),
    st.integers(300, 980),
    schedules,
)
def test_a_fine_conditional_inversion_gives_the_coupled_noise(prediction, seed, width, index, schedule):
    """On N(mu, S) the exact flow puts x at mu + sqrt((S + k^2) / S)(x - mu): its noise tends to (x - mu) / sqrt(S)."""
    from guidance_cases import Gauss

    law, z = Gauss(random_z(seed, 1)[0], width * torch.eye(D, dtype=f64)), random_z(seed + 1, 2)
    prior = prior_of({"y": law, "null": law}, schedule, prediction)
    states, _ = states_of(Conditional(CFG(constant(1.0)), steps=100, eta=0.0), prior, z, index)
    k = kappa_of(index)
    exact = ((math.sqrt((width + k * k) / width) - 1.0) * (z - law.mean)) / k
    found = states["t"].eps.flatten(1)
    assert float((found - exact).abs().max()) < 0.1 * float(exact.abs().max())
    limit = (z - law.mean) / math.sqrt(width)
    assert abs(float((exact / limit).mean()) - 1.0) < math.sqrt(width) / k


@pytest.mark.oracle("OX.7")
@in_every_form
def test_ox_7_an_inversion_with_the_prompt_is_seen(prediction):
    table, z = table_of(4), random_z(4, 2)
    config = {"method": "ism", "times": at(480), "start_noise": False}
    right, _ = residual_step(config, prior_of(table, SD, prediction), z)
    free = {
        "method": "free", "rule": "G(7.5) - y@s", "weight": "kappa", "times": at(480),
        "noise": {"kind": "inverted", "gap": 0.1, "start_noise": False},
    }  # fmt: skip
    swapped = prior_of(table | {"null": table["y"], "y": table["null"]}, SD, prediction)
    wrong, _ = residual_step(config, swapped, z)
    far(wrong, right)
    far(residual_step(free, prior_of(table, SD, prediction), z)[0], right)


@pytest.mark.oracle("OX.8")
@in_every_form
@pytest.mark.parametrize("schedule", [SD, RF])
def test_ox_8_at_200_exactly_the_negative_prompt_is_asked(prediction, schedule):
    """Strictly below: a threshold with <= would leave the noise in at t = 200, and asks one condition less."""
    table, z = table_of(5), random_z(5, 2)
    prior = prior_of(table, schedule, prediction)
    at_it, log = residual_step({"method": "nfsd", "times": at(200)}, prior, z)
    csd, _ = residual_step({"method": "csd", "omega1": 7.5, "omega2": 1.0, "times": at(200)}, prior, z)
    close(at_it, csd)
    assert log["nfe"] == 3
    below, log = residual_step({"method": "nfsd", "times": at(199)}, prior, z)
    assert log["nfe"] == 2
    wrong, _ = residual_step({"method": "nfsd", "switch": 0.201, "times": at(200)}, prior, z)
    far(wrong, at_it)
    far(below, at_it)


@pytest.mark.oracle("OX.5", "O6.3")
@in_every_form
@few_each
@given(seeds, st.integers(40, 190))
def test_ox_5_the_low_branch_holds_eps_not_velocity(prediction, seed, index):
    """On a flow eps_null = y + (1 - tau) u_null; u_null in its place is another gradient."""
    table, z = table_of(seed), random_z(seed, 2)
    config = {"method": "nfsd", "cfg_scale": 0.0, "weight": "uniform", "times": at(index)}
    g, _ = residual_step(config, prior_of(table, RF, prediction), z)
    a, tau = levels(index, RF)
    y = a * z + tau * noise_of(0, 3, [0, 1])
    u = velocities(table["null"], y, tau)
    torch.testing.assert_close(g, y + (1 - tau) * u, rtol=1e-5, atol=1e-6)
    far(u, g)


@pytest.mark.oracle("O6.1")
@in_every_form
@settings(max_examples=2)
@given(seeds, st.integers(200, 900), schedules)
def test_nfsd_with_the_empty_prompt_as_negative_is_csd(prediction, seed, index, schedule):
    table, z = table_of(seed), random_z(seed, 2)
    prior = prior_of(table | {"neg": table["null"]}, schedule, prediction)
    g, _ = residual_step({"method": "nfsd", "times": at(index)}, prior, z)
    csd, _ = residual_step({"method": "csd", "times": at(index)}, prior, z)
    torch.testing.assert_close(g, 7.5 * csd, rtol=1e-6, atol=1e-6)


@pytest.mark.oracle("O6.2", "O1.8")
@in_every_form
@few_each
@given(seeds, st.integers(20, 190), st.floats(0.05, 4.0), schedules)
def test_o1_8_noise_left_in_and_taken_out(prediction, seed, index, variance, schedule):
    """With -eps the residual varies by alpha^2 S / C of the noise, without by sigma^2 / C."""
    from guidance_cases import Gauss

    law = Gauss(random_z(seed, 1)[0], variance * torch.eye(D, dtype=f64))
    prior, z = prior_of(dict.fromkeys(("y", "null", "neg"), law), schedule, prediction), random_z(seed, 2)
    a, s = levels(index, schedule)
    c, eps = a * a * variance + s * s, noise_of(0, 3, [0, 1])
    common = {"cfg_scale": 1.0, "weight": "uniform", "times": at(index)}
    with_it, _ = residual_step(common, prior, z)
    without, _ = residual_step(common | {"method": "nfsd"}, prior, z)
    mean = a * s / c * (z - law.mean)
    torch.testing.assert_close(with_it, mean - a * a * variance / c * eps, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(without, mean + s * s / c * eps, rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O1.8")
def test_o1_8_where_they_cross():
    variances, kappa = (0.05, 0.25, 0.5, 1.0, 2.0, 4.0), SD.kappa(torch.arange(1000, dtype=f64) / 1000)
    crossings = [int((kappa**2 - v).abs().argmin()) for v in variances]
    assert crossings == pytest.approx([49, 169, 254, 354, 459, 562], abs=1)


@pytest.mark.oracle("O11.4")
@in_every_form
@few_each
@given(seeds, st.integers(100, 900))
def test_o11_4_the_noise_at_which_a_flow_rests(prediction, seed, index):
    """eps = tau / (1 - tau) S^-1 (x - mu) is what the prior itself predicts there: x0_hat = x, no residual."""
    table, z = table_of(seed), random_z(seed, 2)
    law, (a, tau) = table["y"], levels(index, RF)
    eps = tau / a * torch.linalg.solve(law.cov, (z - law.mean).T).T
    prior = prior_of(table, RF, prediction)
    views = views_of(prior, z)
    state = noised(views.z, eps.view_as(views.z), t_of(index, RF, 2), RF)
    said = Calls(prior, views.cond).one(state, "y")
    size = 1e-6 * (1 + float(eps.abs().max()))
    torch.testing.assert_close(said.x0.flatten(1), z, rtol=1e-5, atol=size)
    torch.testing.assert_close(said.eps.flatten(1), eps, rtol=1e-5, atol=size)


@pytest.mark.oracle("O11.2", "O11.3")
@in_every_form
@few_each
@given(seeds, st.integers(100, 900), st.floats(0.0, 20.0))
def test_the_published_flow_losses(prediction, seed, index, s):
    """RFDS: d/dx mean((eps - x - sg u)^2) = 2 / n (u - (eps - x)), our rf_uniform; RFDS-Rev leaves the prior's eps."""
    table, z = table_of(seed), random_z(seed, 2)
    prior = prior_of(table, RF, prediction)
    g, _ = residual_step({"cfg_scale": s, "weight": "rf_uniform", "times": at(index)}, prior, z)
    a, tau = levels(index, RF)
    eps, x = noise_of(0, 3, [0, 1]), z.clone().requires_grad_()
    u = sds_by_hand(table, z, index, RF, s, eps) / (1 - tau) + (eps - z)
    (slope,) = torch.autograd.grad(((eps - x - u) ** 2).mean(), x)
    torch.testing.assert_close(slope, 2 / z.numel() * g, rtol=1e-5, atol=1e-6)
    own = velocities(table["y"], a * z + tau * eps, tau)
    close(eps + (1 - tau) * (own - (eps - z)), table["y"].eps(a * z + tau * eps, a, tau))
