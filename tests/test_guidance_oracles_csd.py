"""CSD through the real engine against closed forms (guidance card O5)."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from guidance_cases import (
    RF,
    SD,
    SHAPE,
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
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import (
    VIEWS,
    close,
    csd_by_hand,
    f64,
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
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import mixture

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


@pytest.mark.oracle("O5.1")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o5_1_equal_covariances_are_a_constant_force(prediction, seed, index, schedule):
    """r = a s C^-1 (mu_null - mu_y) for every z and every noise: no fixed point, no variance."""
    null = random_gauss(seed)
    table = {"null": null, "y": random_gauss(seed + 1, like=null)}
    config = {"method": "csd", "weight": "uniform", "times": at(index)}
    g, _ = residual_step(config, prior_of(table, schedule, prediction), random_z(seed, VIEWS))
    a, s = levels(index, schedule)
    force = a * s * torch.linalg.inv(null.marginal(a, s)) @ (null.mean - table["y"].mean)
    close(g, force.expand(VIEWS, -1))


@pytest.mark.oracle("O5.1")
@in_every_form
@few_each
@given(seeds)
def test_o5_1_unequal_covariances_have_a_fixed_point(prediction, seed):
    """x = (K1 - K0)^-1 (K1 mu1 - K0 mu0), up to the noise part, which an antithetic pair removes."""
    table = {"null": random_gauss(seed), "y": random_gauss(seed + 1)}
    a, s = levels(300, SD)
    k0, k1 = (torch.linalg.inv(table[n].marginal(a, s)) for n in ("null", "y"))
    z = torch.linalg.solve(k1 - k0, k1 @ table["y"].mean - k0 @ table["null"].mean)[None]
    config = {"method": "csd", "weight": "uniform", "times": at(300)}
    up, _ = residual_step(config, prior_of(table, SD, prediction), z)
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        down, _ = residual_step(config, prior_of(table, SD, prediction), z)
    torch.testing.assert_close(
        up + down, torch.zeros(1, D, dtype=f64), rtol=0, atol=1e-7 * (1 + float(z.norm()))
    )


@pytest.mark.oracle("O5.1")
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


@pytest.mark.oracle("O5.3")
@in_every_form
@few_each
@given(seeds, indices, schedules, scales)
def test_o5_3_sds_minus_s_times_csd(prediction, seed, index, schedule, s):
    """g_SDS(s) - s g_CSD = w (eps_null - eps)."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    prior, times = prior_of(table, schedule, prediction), at(index)
    sds, _ = residual_step({"cfg_scale": s, "times": times}, prior, z)
    csd, _ = residual_step({"method": "csd", "times": times}, prior, z)
    rest, _ = residual_step({"cfg_scale": 0, "times": times}, prior, z)
    torch.testing.assert_close(sds - s * csd, rest, rtol=1e-6, atol=1e-6)
    close(
        rest,
        float(1 - SD.alpha_bar[index]) * sds_by_hand(table, z, index, schedule, 0, noise_of(0, 3, [0, 1])),
    )


@pytest.mark.oracle("O5.4")
@in_every_form
@few_each
@given(seeds, indices, omegas)
def test_o5_4_equal_omegas_do_without_the_empty_prompt(prediction, seed, index, w):
    table, z = table_of(seed), random_z(seed, VIEWS)
    config = {"method": "csd", "omega1": w, "omega2": w, "weight": "uniform", "times": at(index)}
    g, log = residual_step(config, prior_of(table, SD, prediction), z)
    close(g, csd_by_hand(table, z, index, SD, w, w, noise_of(0, 3, [0, 1])))
    assert log["nfe"] == 2
    without = {k: v for k, v in table.items() if k != "null"}
    close(residual_step(config, prior_of(without, SD, prediction), z)[0], g)


@pytest.mark.oracle("O5.5")
@in_every_form
@few_each
@given(seeds, indices)
def test_o5_5_no_edit_is_no_force(prediction, seed, index):
    """The editing form with one prompt as target and base and omega1 = omega2 is 0."""
    table = table_of(seed)
    config = {"method": "csd", "omega1": 2, "omega2": 2, "times": at(index)}
    g, _ = residual_step(config, prior_of(table | {"neg": table["y"]}, SD, prediction), random_z(seed, VIEWS))
    assert float(g.abs().max()) < 1e-12


@pytest.mark.oracle("O5.6")
@in_every_form
@few_each
@given(seeds, indices)
def test_o5_6_rectified_flow_forms(prediction, seed, index):
    """eps_y - eps_null = (1 - tau)(u_y - u_null) = -((1 - tau)/tau)(x0_y - x0_null)."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    g, _ = residual_step(
        {"method": "csd", "weight": "uniform", "times": at(index)}, prior_of(table, RF, prediction), z
    )
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


@pytest.mark.oracle("O5.2")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o5_2_it_is_the_gradient_of_a_classifier(prediction, seed, index, schedule):
    """-sigma grad log p(y | x_t), where the empty prompt's law is the mixture of what prompts may mean."""
    laws, shares = [random_gauss(seed), random_gauss(seed + 1)], torch.tensor([0.3, 0.7], dtype=f64)
    whole = mixture(shares, [law.mean for law in laws], [law.cov for law in laws])
    one = mixture(torch.ones(1, dtype=f64), [laws[1].mean], [laws[1].cov])
    prior, z = AnalyticPrior({"y": one, "null": whole}, SHAPE, schedule, prediction), random_z(seed, VIEWS)
    g, _ = residual_step({"method": "csd", "weight": "uniform", "times": at(index)}, prior, z)
    a, s = levels(index, schedule)
    x = (a * z + s * noise_of(0, 3, [0, 1])).requires_grad_()
    scales = (torch.full((VIEWS,), v, dtype=f64) for v in (a, s))
    a_row, s_row = scales
    log_p = one.log_density(x, a_row, s_row) - whole.log_density(x, a_row, s_row)
    (slope,) = torch.autograd.grad(log_p.sum(), x)
    torch.testing.assert_close(g, -s * slope, rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O5.5")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.floats(0.5, 20.0))
def test_o5_5_dds_on_one_image_is_the_editing_form(prediction, seed, index, schedule, s):
    """s (eps_tgt - eps_src): omega_1 = omega_2 = s with the base's description as negative prompt."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    prior = prior_of(table | {"src": table["neg"]}, schedule, prediction)
    csd = {"method": "csd", "omega1": s, "omega2": s, "weight": "uniform", "times": at(index)}
    edited, _ = residual_step(csd, prior, z)
    guidance = build_guidance(parse({"method": "dds", "cfg_scale": s, "times": at(index)}), prior, 10)
    views = replace(views_of(prior, z), source=views_of(prior, z))
    dds = guidance.guide(views, 3, Streams(0), {})[0]["z"].flatten(1) * VIEWS
    torch.testing.assert_close(dds, edited, rtol=1e-6, atol=1e-6)
