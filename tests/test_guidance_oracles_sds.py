"""SDS through the real engine against closed forms (guidance card O0, O1, O11).

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
from oracle_cases import (
    VIEWS,
    close,
    f64,
    far,
    few,
    few_each,
    in_every_form,
    indices,
    mirrored,
    predictions,
    scales,
    schedules,
    sds_by_hand,
    seeds,
    table_of,
)
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse

from sds3d.core.streams import Streams
from sds3d.priors.mixtures import mixture


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


@pytest.mark.oracle("O1.1")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o1_1_one_draw_on_a_gaussian(prediction, seed, index, schedule):
    """r = a s C^-1 (x - mu) - a^2 C^-1 S eps: its mean and its covariance can be read off."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    law, (a, s) = table["y"], levels(index, schedule)
    g, _ = residual_step({"method": "sds", "cfg_scale": 1, "weight": "uniform", "times": at(index)},
                         prior_of(table, schedule, prediction), z)  # fmt: skip
    inverse = torch.linalg.inv(law.marginal(a, s))
    eps = noise_of(0, 3, [0, 1])
    close(g, a * s * (z - law.mean) @ inverse - a * a * eps @ law.cov @ inverse)


@pytest.mark.oracle("O1.2")
@in_every_form
@pytest.mark.parametrize("schedule", [SD, RF])
def test_o1_2_the_mean_gradient_is_that_of_a_divergence(prediction, schedule):
    """E[r] = (s / a) d/dx KL(N(a x, s^2) || p_t): antithetic draws cancel the noise part exactly."""
    table, z = table_of(5), random_z(5, 1)
    law, (a, s) = table["y"], levels(400, schedule)
    x = z[0].clone().requires_grad_()
    moved = torch.distributions.MultivariateNormal(a * x, s**2 * torch.eye(D, dtype=f64))
    prior_t = torch.distributions.MultivariateNormal(a * law.mean, law.marginal(a, s))
    (slope,) = torch.autograd.grad(torch.distributions.kl_divergence(moved, prior_t), x)
    config = {"method": "sds", "cfg_scale": 1, "weight": "uniform", "times": at(400)}
    up, _ = residual_step(config, prior_of(table, schedule, prediction), z)
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table, schedule, prediction), z)
    far(up, down)
    close((up + down)[0] / 2, s / a * slope)


@pytest.mark.oracle("O1.3")
@in_every_form
def test_o1_3_a_mixture_by_quadrature(prediction):
    """One dimension, two modes: the mean over many real draws equals Gauss-Hermite's (s / a) dKL/dx."""
    import numpy as np

    from sds3d.priors.kinds.analytic import AnalyticPrior

    one = [torch.tensor([m], dtype=f64) for m in (-1.2, 1.0)]
    law = mixture(
        torch.tensor([0.3, 0.7], dtype=f64), one, [torch.tensor([v], dtype=f64) for v in (0.1, 0.3)]
    )
    prior = AnalyticPrior({"y": law, "null": law}, (1, 1, 1), SD, prediction)
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


@pytest.mark.oracle("O1.4", "O-SDS")
@in_every_form
@few_each
@given(seeds, scales)
def test_o1_4_the_guided_optimum_is_extrapolated(prediction, seed, s):
    """Equal covariances: at x* = mu_null + s (mu_y - mu_null) only the noise part of the residual is left."""
    null = random_gauss(seed)
    table = {"null": null, "y": random_gauss(seed + 1, like=null)}
    z = (null.mean + s * (table["y"].mean - null.mean)).expand(VIEWS, -1)
    g, _ = residual_step(
        {"cfg_scale": s, "weight": "uniform", "times": at(500)}, prior_of(table, SD, prediction), z
    )
    a, sigma = levels(500, SD)
    eps = noise_of(0, 3, [0, 1])
    close(g, -a * a * eps @ null.cov @ torch.linalg.inv(null.marginal(a, sigma)))


@pytest.mark.oracle("O1.4")
@in_every_form
@few_each
@given(seeds, st.floats(0.0, 8.0))
def test_o1_4_unequal_covariances(prediction, seed, s):
    """At the solution of [(1-s) K0 + s K1] x = (1-s) K0 mu0 + s K1 mu1 the mean residual is 0 (antithetic pair)."""
    table = {"null": random_gauss(seed), "y": random_gauss(seed + 1)}
    a, sigma = levels(500, SD)
    k0, k1 = (torch.linalg.inv(table[n].marginal(a, sigma)) for n in ("null", "y"))
    z = torch.linalg.solve(
        (1 - s) * k0 + s * k1, (1 - s) * k0 @ table["null"].mean + s * k1 @ table["y"].mean
    )[None]
    config = {"cfg_scale": s, "weight": "uniform", "times": at(500)}
    up, _ = residual_step(config, prior_of(table, SD, prediction), z)
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table, SD, prediction), z)
    torch.testing.assert_close(
        up + down, torch.zeros(1, D, dtype=f64), rtol=0, atol=1e-6 * (1 + float(z.norm()))
    )


@pytest.mark.oracle("O1.5")
@in_every_form
@pytest.mark.parametrize("schedule", [SD, RF])
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


@pytest.mark.oracle("O0.3", "O1.7")
@in_every_form
@few_each
@given(seeds, indices, schedules, scales)
def test_o1_7_weight_kappa_is_the_x0_loss(prediction, seed, index, schedule, s):
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


@pytest.mark.oracle("O0.9")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.sampled_from(["sigma2", "uniform", "kappa"]))
def test_o0_9_weights(prediction, seed, index, schedule, weight):
    table, z = table_of(seed), random_z(seed, VIEWS)
    plain, _ = residual_step(
        {"weight": "uniform", "times": at(index)}, prior_of(table, schedule, prediction), z
    )
    g, _ = residual_step({"weight": weight, "times": at(index)}, prior_of(table, schedule, prediction), z)
    bar = float(SD.alpha_bar[index])  # the weight belongs to the noise level, whatever the schedule
    close(g, {"sigma2": 1 - bar, "uniform": 1.0, "kappa": ((1 - bar) / bar) ** 0.5}[weight] * plain)


@pytest.mark.oracle("O11.1")
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


@pytest.mark.oracle("O0.3", "O11.1")
@in_every_form
@few_each
@given(seeds, indices)
def test_o11_1_velocity_residual_with_its_weight(prediction, seed, index):
    """eps_hat - eps = (1 - tau) (u_hat - (eps - x)): the published RFDS residual is SDS over 1 - tau."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    g, _ = residual_step(
        {"cfg_scale": 1, "weight": "uniform", "times": at(index)}, prior_of(table, RF, prediction), z
    )
    a, tau = levels(index, RF)
    eps = noise_of(0, 3, [0, 1])
    y = a * z + tau * eps
    u = table["y"].eps(y, a, tau) - table["y"].x0(y, a, tau)
    close(g, (1 - tau) * (u - (eps - z)))


@pytest.mark.oracle("O0.5")
@in_every_form
def test_o0_5_the_cotangent_is_the_gradient_of_the_loss(prediction):
    """(1/B) sum_b 1/2 |z_b - sg(z_b - g_b)|^2 pulled back through a linear generator z = J theta."""
    table = table_of(3)
    prior, views = prior_of(table, SD, prediction), 4
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


@pytest.mark.oracle("O1.6")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o1_6_sjc_in_kappa_space(prediction, seed, index, schedule):
    """D(z; kappa) = x0_hat on z = x + kappa n: -(D - x) / kappa = eps_hat - eps; the paper's PAAS by 1 / kappa."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    law, prior = table["y"], prior_of(table, schedule, prediction)
    common = {"method": "sjc", "cfg_scale": 1, "times": at(index)}
    g, _ = residual_step(common, prior, z)
    a, s = levels(index, schedule)
    kappa, n = s / a, noise_of(0, 3, [0, 1])
    spread = law.cov + kappa**2 * torch.eye(D, dtype=f64)
    denoised = z + kappa * n - kappa**2 * torch.linalg.solve(spread, (z + kappa * n - law.mean).T).T
    close(g, -(denoised - z) / kappa)
    paas, _ = residual_step(common | {"weight": "inv_kappa"}, prior, z)
    torch.testing.assert_close(paas, -(denoised - z) / kappa**2, rtol=1e-6, atol=1e-6)
    # over the noise it is minus the score of the law, noised: (S + kappa^2)^-1 (x - mu)
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        other, _ = residual_step(common | {"weight": "inv_kappa"}, prior, z)
    mean = torch.linalg.solve(spread, (z - law.mean).T).T
    torch.testing.assert_close((paas + other) / 2, mean, rtol=1e-6, atol=1e-6)
