"""SDS and CSD through the real engine against closed forms (guidance card O0, O1, O5, O11, OX).

Every identity holds draw by draw: the noise is derived again from the run's streams.
"""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from guidance_cases import (
    PREDICTIONS,
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
    time_of,
    views_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse

from sds3d.core.streams import Streams
from sds3d.priors.mixtures import mixture
from sds3d.priors.noise_schedule import NoiseSchedule

f64 = torch.float64
seeds, indices = st.integers(0, 10**6), st.integers(20, 980)
schedules, predictions = st.sampled_from([SD, RF]), st.sampled_from(PREDICTIONS)
scales = st.floats(0.0, 20.0)
VIEWS = 2
few = settings(max_examples=8)


def table_of(seed: int) -> dict:
    return {name: random_gauss(seed + 100 * k) for k, name in enumerate(["y", "null", "neg"])}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)


def far(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert float((actual - expected).abs().max()) > 1e-3 * float(expected.abs().max())


# --------------------------------------------------------------------------------------------- SDS


def sds_by_hand(table, z, index, schedule, s, eps) -> torch.Tensor:
    """(B, D) eps_null + s (eps_y - eps_null) - eps by linear solves."""
    a, sigma = levels(index, schedule)
    x = a * z + sigma * eps
    y, null = table["y"].eps(x, a, sigma), table["null"].eps(x, a, sigma)
    return null + s * (y - null) - eps


@few
@given(seeds, indices, schedules, predictions, scales)
def test_sds_is_the_formula(seed, index, schedule, prediction, s):
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"method": "sds", "cfg_scale": s, "weight": "uniform", "times": at(index)}
    g, log = residual_step(config, prior_of(table, schedule, prediction), z, seed=seed % 97)
    expected = sds_by_hand(table, z, index, schedule, s, noise_of(seed % 97, 3, [0, 1]))
    close(g, expected)
    assert log["t"] == pytest.approx(time_of(index, schedule))
    assert log["residual"] == pytest.approx(float(expected.square().mean().sqrt()), rel=1e-5)
    assert log["gradient"] == pytest.approx(float(expected.norm()) / VIEWS, rel=1e-5)


@few
@given(seeds, indices, schedules)
def test_o1_1_one_draw_on_a_gaussian(seed, index, schedule):
    """r = a s C^-1 (x - mu) - a^2 C^-1 S eps: its mean and its covariance can be read off."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    law, (a, s) = table["y"], levels(index, schedule)
    g, _ = residual_step({"method": "sds", "cfg_scale": 1, "weight": "uniform", "times": at(index)},
                         prior_of(table, schedule), z)  # fmt: skip
    inverse = torch.linalg.inv(law.marginal(a, s))
    eps = noise_of(0, 3, [0, 1])
    close(g, a * s * (z - law.mean) @ inverse - a * a * eps @ law.cov @ inverse)


@pytest.mark.parametrize("schedule", [SD, RF])
def test_o1_2_the_mean_gradient_is_that_of_a_divergence(schedule):
    """E[r] = (s / a) d/dx KL(N(a x, s^2) || p_t): antithetic draws cancel the noise part exactly."""
    table, z = table_of(5), random_z(5, 1)
    law, (a, s) = table["y"], levels(400, schedule)
    x = z[0].clone().requires_grad_()
    moved = torch.distributions.MultivariateNormal(a * x, s**2 * torch.eye(D, dtype=f64))
    prior_t = torch.distributions.MultivariateNormal(a * law.mean, law.marginal(a, s))
    (slope,) = torch.autograd.grad(torch.distributions.kl_divergence(moved, prior_t), x)
    config = {"method": "sds", "cfg_scale": 1, "weight": "uniform", "times": at(400)}
    up, _ = residual_step(config, prior_of(table, schedule), z)
    with patch.object(Streams, "normal", _mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table, schedule), z)
    far(up, down)
    close((up + down)[0] / 2, s / a * slope)


def _mirrored(normal):
    return lambda self, *args, **kwargs: -normal(self, *args, **kwargs)


def test_o1_3_a_mixture_by_quadrature():
    """One dimension, two modes: the mean over many real draws equals Gauss-Hermite's (s / a) dKL/dx."""
    import numpy as np

    from sds3d.priors.kinds.analytic import AnalyticPrior

    one = [torch.tensor([m], dtype=f64) for m in (-1.2, 1.0)]
    law = mixture(
        torch.tensor([0.3, 0.7], dtype=f64), one, [torch.tensor([v], dtype=f64) for v in (0.1, 0.3)]
    )
    prior = AnalyticPrior({"y": law, "null": law}, (1, 1, 1), SD, "v")
    a, s = levels(400, SD)
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(201))
    x = torch.tensor(-1.9, dtype=f64, requires_grad=True)
    scales = (torch.full((201,), a, dtype=f64), torch.full((201,), s, dtype=f64))
    cross_entropy = -(weights / weights.sum() * law.log_density((a * x + s * nodes)[:, None], *scales)).sum()
    (slope,) = torch.autograd.grad(cross_entropy, x)
    guidance = build_guidance(
        parse({"cfg_scale": 1, "weight": "uniform", "draws": 32, "times": at(400)}), prior, 1
    )
    count = 256
    views = views_of(prior, torch.full((count, D), -1.9, dtype=f64))
    views = type(views)(views.look, {}, torch.full((count, 1, 1, 1), -1.9, dtype=f64), views.cond)
    cotangents, _, _ = guidance.guide(views, 0, Streams(0), {})
    draws = cotangents["z"].flatten() * count
    spread = float(draws.std() / count**0.5)
    assert float(draws.mean()) == pytest.approx(float(s / a * slope), abs=4 * spread)
    assert abs(float(s / a * slope)) > 10 * spread


@few
@given(seeds, scales)
def test_o1_4_the_guided_optimum_is_extrapolated(seed, s):
    """Equal covariances: at x* = mu_null + s (mu_y - mu_null) only the noise part of the residual is left."""
    null = random_gauss(seed)
    table = {"null": null, "y": random_gauss(seed + 1, like=null)}
    z = (null.mean + s * (table["y"].mean - null.mean)).expand(VIEWS, -1)
    g, _ = residual_step({"cfg_scale": s, "weight": "uniform", "times": at(500)}, prior_of(table), z)
    a, sigma = levels(500, SD)
    eps = noise_of(0, 3, [0, 1])
    close(g, -a * a * eps @ null.cov @ torch.linalg.inv(null.marginal(a, sigma)))


@few
@given(seeds, st.floats(0.0, 8.0))
def test_o1_4_unequal_covariances(seed, s):
    """At the solution of [(1-s) K0 + s K1] x = (1-s) K0 mu0 + s K1 mu1 the mean residual is 0 (antithetic pair)."""
    table = {"null": random_gauss(seed), "y": random_gauss(seed + 1)}
    a, sigma = levels(500, SD)
    k0, k1 = (torch.linalg.inv(table[n].marginal(a, sigma)) for n in ("null", "y"))
    z = torch.linalg.solve(
        (1 - s) * k0 + s * k1, (1 - s) * k0 @ table["null"].mean + s * k1 @ table["y"].mean
    )[None]
    config = {"cfg_scale": s, "weight": "uniform", "times": at(500)}
    up, _ = residual_step(config, prior_of(table), z)
    with patch.object(Streams, "normal", _mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table), z)
    torch.testing.assert_close(
        up + down, torch.zeros(1, D, dtype=f64), rtol=0, atol=1e-6 * (1 + float(z.norm()))
    )


@pytest.mark.parametrize(("schedule", "prediction"), [(SD, "v"), (RF, "velocity")])
@pytest.mark.parametrize("s", [1.0, 4.0])
def test_o1_5_a_free_image_converges_to_the_extrapolated_mean(schedule, prediction, s):
    """Gradient descent from anywhere ends at mu_null + s (mu_y - mu_null), all particles at one point."""
    null = random_gauss(11)
    table = {"null": null, "y": random_gauss(12, like=null)}
    prior, views, steps = prior_of(table, schedule, prediction), 16, 100
    guidance = build_guidance(parse({"cfg_scale": s}), prior, steps)
    z = 3.0 * random_z(1, views)
    for step in range(steps):
        rate = 1.5 * (1 - step / steps)
        cotangents, _, _ = guidance.guide(views_of(prior, z), step, Streams(4), {})
        z = z - rate * views * cotangents["z"].flatten(1)
    target = null.mean + s * (table["y"].mean - null.mean)
    assert float((z.mean(0) - target).abs().max()) < 0.05
    assert float(z.std(0).max()) < 0.35 * float(null.cov.diagonal().max().sqrt())


@few
@given(seeds, indices, schedules, predictions, scales)
def test_o1_7_weight_kappa_is_the_x0_loss(seed, index, schedule, prediction, s):
    """kappa (eps_hat - eps) = z - x0_hat, with x0_hat as logged."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"cfg_scale": s, "weight": "kappa", "times": at(index)}
    g, log = residual_step(config, prior_of(table, schedule, prediction), z)
    torch.testing.assert_close(g, z - log["x0"].flatten(1), rtol=1e-6, atol=1e-6)


@few
@given(seeds, indices, st.floats(1.0, 10.0), st.floats(0.0, 1.0))
def test_the_recipe_of_the_embedded_prior_is_an_x0_loss(seed, index, s, phi):
    """z - clamp(rescaled x0), with CFG, rescale and clamp written out in x0."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"cfg_scale": s, "weight": "kappa", "times": at(index),
              "transforms": [{"rescale": phi, "space": "x0"}, "clamp_x0"]}  # fmt: skip
    g, log = residual_step(config, prior_of(table, SD, "v"), z)
    a, sigma = levels(index, SD)
    x = a * z + sigma * noise_of(0, 3, [0, 1])
    y, null = table["y"].x0(x, a, sigma), table["null"].x0(x, a, sigma)
    mixed = null + s * (y - null)
    ratio = y.std(dim=1, keepdim=True) / mixed.std(dim=1, keepdim=True)
    x0 = (phi * ratio * mixed + (1 - phi) * mixed).clamp(-1, 1)
    torch.testing.assert_close(g, z - x0, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log["x0"].flatten(1), x0, rtol=1e-6, atol=1e-7)


@few
@given(seeds, indices, schedules, st.sampled_from(["sigma2", "uniform", "kappa"]))
def test_o0_9_weights(seed, index, schedule, weight):
    table, z = table_of(seed), random_z(seed, VIEWS)
    plain, _ = residual_step({"weight": "uniform", "times": at(index)}, prior_of(table, schedule), z)
    g, _ = residual_step({"weight": weight, "times": at(index)}, prior_of(table, schedule), z)
    bar = float(SD.alpha_bar[index])  # the weight belongs to the noise level, whatever the schedule
    close(g, {"sigma2": 1 - bar, "uniform": 1.0, "kappa": ((1 - bar) / bar) ** 0.5}[weight] * plain)


@settings(max_examples=4)
@given(seeds, st.sampled_from(["sds", "csd"]), st.sampled_from(["sigma2", "uniform", "kappa"]))
def test_o11_1_one_prior_in_eight_dresses(seed, method, weight):
    """VP and its rectified-flow rewriting in each prediction type: one gradient, random times included."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"method": method, "weight": weight}
    found = [
        residual_step(config, prior_of(table, schedule, prediction), z, seed=seed % 31)[0]
        for schedule in (SD, RF)
        for prediction in PREDICTIONS
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-5, atol=1e-5 * float(found[0].abs().max()))


@few
@given(seeds, indices)
def test_o11_1_velocity_residual_with_its_weight(seed, index):
    """eps_hat - eps = (1 - tau) (u_hat - (eps - x)): the published RFDS residual is SDS over 1 - tau."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    g, _ = residual_step({"cfg_scale": 1, "weight": "uniform", "times": at(index)}, prior_of(table, RF), z)
    a, tau = levels(index, RF)
    eps = noise_of(0, 3, [0, 1])
    y = a * z + tau * eps
    u = table["y"].eps(y, a, tau) - table["y"].x0(y, a, tau)
    close(g, (1 - tau) * (u - (eps - z)))


def test_o0_5_the_cotangent_is_the_gradient_of_the_loss():
    """(1/B) sum_b 1/2 |z_b - sg(z_b - g_b)|^2 pulled back through a linear generator z = J theta."""
    table = table_of(3)
    prior, views = prior_of(table), 4
    generator = torch.randn(views * D, 5, dtype=f64, generator=torch.Generator().manual_seed(0))
    theta = torch.randn(5, dtype=f64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    z = (generator @ theta).view(views, D)
    guidance = build_guidance(parse("sds"), prior, 10)
    cotangents, _, _ = guidance.guide(views_of(prior, z), 3, Streams(0), {})
    assert not cotangents["z"].requires_grad
    g = views * cotangents["z"].flatten(1)
    loss = (0.5 * (z - (z - g).detach()) ** 2).sum() / views
    (by_loss,) = torch.autograd.grad(loss, theta, retain_graph=True)
    (by_cotangent,) = torch.autograd.grad(z, theta, cotangents["z"].flatten(1))
    close(by_cotangent, by_loss)


# --------------------------------------------------------------------------------------------- CSD


def csd_by_hand(table, z, index, schedule, w1, w2, eps) -> torch.Tensor:
    """(B, D) w1 (eps_y - eps_null) + w2 (eps_null - eps_neg) by linear solves."""
    a, s = levels(index, schedule)
    x = a * z + s * eps
    y, null, neg = (table[n].eps(x, a, s) for n in ("y", "null", "neg"))
    return w1 * (y - null) + w2 * (null - neg)


omegas = st.floats(0.1, 3.0)


@few
@given(seeds, indices, schedules, predictions, omegas, omegas)
def test_csd_is_the_formula(seed, index, schedule, prediction, w1, w2):
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"method": "csd", "omega1": w1, "omega2": w2, "weight": "uniform", "times": at(index)}
    g, _ = residual_step(config, prior_of(table, schedule, prediction), z)
    torch.testing.assert_close(
        g, csd_by_hand(table, z, index, schedule, w1, w2, noise_of(0, 3, [0, 1])), rtol=1e-6, atol=1e-6
    )


@few
@given(seeds, indices, schedules)
def test_o5_1_equal_covariances_are_a_constant_force(seed, index, schedule):
    """r = a s C^-1 (mu_null - mu_y) for every z and every noise: no fixed point, no variance."""
    null = random_gauss(seed)
    table = {"null": null, "y": random_gauss(seed + 1, like=null)}
    config = {"method": "csd", "weight": "uniform", "times": at(index)}
    g, _ = residual_step(config, prior_of(table, schedule), random_z(seed, VIEWS))
    a, s = levels(index, schedule)
    force = a * s * torch.linalg.inv(null.marginal(a, s)) @ (null.mean - table["y"].mean)
    close(g, force.expand(VIEWS, -1))


@few
@given(seeds)
def test_o5_1_unequal_covariances_have_a_fixed_point(seed):
    """x = (K1 - K0)^-1 (K1 mu1 - K0 mu0), up to the noise part, which an antithetic pair removes."""
    table = {"null": random_gauss(seed), "y": random_gauss(seed + 1)}
    a, s = levels(300, SD)
    k0, k1 = (torch.linalg.inv(table[n].marginal(a, s)) for n in ("null", "y"))
    z = torch.linalg.solve(k1 - k0, k1 @ table["y"].mean - k0 @ table["null"].mean)[None]
    config = {"method": "csd", "weight": "uniform", "times": at(300)}
    up, _ = residual_step(config, prior_of(table), z)
    with patch.object(Streams, "normal", _mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table), z)
    torch.testing.assert_close(
        up + down, torch.zeros(1, D, dtype=f64), rtol=0, atol=1e-7 * (1 + float(z.norm()))
    )


@pytest.mark.parametrize(("prompt_std", "prior_std", "attracts"), [(0.5, 1.0, True), (1.0, 0.5, False)])
def test_o5_1_the_fixed_point_attracts_where_the_prompt_is_narrower(prompt_std, prior_std, attracts):
    like = random_gauss(0)
    eye = torch.eye(D, dtype=f64)
    table = {
        "y": type(like)(torch.ones(D, dtype=f64), prompt_std**2 * eye),
        "null": type(like)(torch.zeros(D, dtype=f64), prior_std**2 * eye),
    }
    a, s = levels(300, SD)
    k1, k0 = (1 / (a * a * v**2 + s * s) for v in (prompt_std, prior_std))
    fixed = torch.full((4, D), k1 / (k1 - k0), dtype=f64)
    prior, z = prior_of(table), fixed + 0.1
    guidance = build_guidance(parse({"method": "csd", "weight": "uniform", "times": at(300)}), prior, 80)
    for step in range(80):
        g = guidance.guide(views_of(prior, z), step, Streams(0), {})[0]["z"].flatten(1) * len(z)
        z = z - 0.6 * (1 - step / 80) * g
    distance = float((z - fixed).mean().abs())
    assert distance < 0.1 if attracts else distance > 1.0


@few
@given(seeds, indices, schedules, scales)
def test_o5_3_sds_minus_s_times_csd(seed, index, schedule, s):
    """g_SDS(s) - s g_CSD = w (eps_null - eps)."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    prior, times = prior_of(table, schedule), at(index)
    sds, _ = residual_step({"cfg_scale": s, "times": times}, prior, z)
    csd, _ = residual_step({"method": "csd", "times": times}, prior, z)
    rest, _ = residual_step({"cfg_scale": 0, "times": times}, prior, z)
    torch.testing.assert_close(sds - s * csd, rest, rtol=1e-6, atol=1e-6)
    close(
        rest,
        float(1 - SD.alpha_bar[index]) * sds_by_hand(table, z, index, schedule, 0, noise_of(0, 3, [0, 1])),
    )


@few
@given(seeds, indices, omegas)
def test_o5_4_equal_omegas_do_without_the_empty_prompt(seed, index, w):
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"method": "csd", "omega1": w, "omega2": w, "weight": "uniform", "times": at(index)}
    g, log = residual_step(config, prior_of(table), z)
    close(g, csd_by_hand(table, z, index, SD, w, w, noise_of(0, 3, [0, 1])))
    assert log["nfe"] == 2
    without = {k: v for k, v in table.items() if k != "null"}
    close(residual_step(config, prior_of(without), z)[0], g)


@few
@given(seeds, indices)
def test_o5_5_no_edit_is_no_force(seed, index):
    """The editing form with one prompt as target and base and omega1 = omega2 is 0."""
    table = table_of(seed)
    config = {"method": "csd", "omega1": 2, "omega2": 2, "times": at(index)}
    g, _ = residual_step(config, prior_of(table | {"neg": table["y"]}), random_z(seed, VIEWS))
    assert float(g.abs().max()) < 1e-12


@few
@given(seeds, indices)
def test_o5_6_rectified_flow_forms(seed, index):
    """eps_y - eps_null = (1 - tau)(u_y - u_null) = -((1 - tau)/tau)(x0_y - x0_null)."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    g, _ = residual_step({"method": "csd", "weight": "uniform", "times": at(index)}, prior_of(table, RF), z)
    a, tau = levels(index, RF)
    x = a * z + tau * noise_of(0, 3, [0, 1])
    x0 = {n: table[n].x0(x, a, tau) for n in ("y", "null")}
    u = {n: table[n].eps(x, a, tau) - x0[n] for n in x0}
    close(g, (1 - tau) * (u["y"] - u["null"]))
    torch.testing.assert_close(g, -(1 - tau) / tau * (x0["y"] - x0["null"]), rtol=1e-5, atol=1e-6)


def test_unit_norm_over_the_batch():
    table, z = table_of(1), random_z(1, 3)
    plain, _ = residual_step({"method": "csd"}, prior_of(table), z)
    unit, log = residual_step({"method": "csd", "normalise": True}, prior_of(table), z)
    close(unit, plain / plain.norm())
    assert log["gradient"] == pytest.approx(1 / 3)


# ------------------------------------------------------- wrong implementations must be told apart


class Squared(NoiseSchedule):
    """alpha_bar where alpha is meant."""

    def alpha(self, t):
        return super().alpha(t) ** 2


WRONG = {
    "OX.1 the paper's omega read as s": {"cfg_scale": 6.5},
    "OX.3 another weight": {"weight": "uniform"},
    "OX.13 time read backwards": {"times": at(1000 - 400)},
    "the residual of another step": {"step": 4},
    "the noise of another run": {"seed": 1},
    "OX.14 empty and negative prompt swapped": {"swap": ("null", "neg")},
    "prompt and empty prompt swapped": {"swap": ("y", "null")},
    "OX.2 alpha_bar for alpha": {"schedule": Squared("vp", SD.alpha_bar)},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["sds", "csd"])
def test_negative_controls_differ(method, name):
    """Each mistake changes the gradient that the oracles above pin down; CSD's omegas avoid the blind spot of OX.14."""
    change = dict(WRONG[name])
    table, z = table_of(2), random_z(2, VIEWS)
    config = {"method": method, "times": at(400)}
    config |= {"cfg_scale": 7.5} if method == "sds" else {"omega1": 1.0, "omega2": 0.8}
    right = sds_by_hand(table, z, 400, SD, 7.5, noise_of(0, 3, [0, 1]))
    if method == "csd":
        right = csd_by_hand(table, z, 400, SD, 1.0, 0.8, noise_of(0, 3, [0, 1]))
    right = float(1 - SD.alpha_bar[400]) * right
    found, _ = residual_step(config, prior_of(table), z)
    close(found, right)
    if method == "csd" and "cfg_scale" in change:
        change = {"omega1": 0.0}
    a, b = change.pop("swap", ("y", "y"))
    run = {k: change.pop(k) for k in ("step", "seed") if k in change}
    swapped = table | {a: table[b], b: table[a]}
    prior = prior_of(swapped, change.pop("schedule", SD))
    wrong, _ = residual_step(config | change, prior, z, **run)
    if method == "sds" and (a, b) == ("null", "neg"):
        far(wrong, right)  # the negative prompt in the empty slot is another method
    far(wrong, right)


def test_ox_14_blind_spot():
    """At omega2 = omega1 / 2 the swap cannot be seen: this is why the tests use other ratios."""
    table, z = table_of(2), random_z(2, VIEWS)
    swapped = table | {"null": table["neg"], "neg": table["null"]}
    config = {"method": "csd", "omega1": 1.0, "omega2": 0.5, "times": at(400)}
    close(residual_step(config, prior_of(table), z)[0], residual_step(config, prior_of(swapped), z)[0])


def test_ox_6_no_gradient_leaks_through_the_network():
    """With the Jacobian of the network the residual would be a s C^-1 (eps_hat - eps)."""
    table, z = table_of(4), random_z(4, VIEWS)
    a, s = levels(400, SD)
    config = {"cfg_scale": 1, "weight": "uniform", "times": at(400)}
    g, _ = residual_step(config, prior_of(table), z.clone().requires_grad_())
    leaked = g @ torch.linalg.inv(table["y"].marginal(a, s)) * a * s
    right = sds_by_hand(table, z, 400, SD, 1, noise_of(0, 3, [0, 1]))
    close(g, right)
    far(leaked, right)
    assert not g.requires_grad
