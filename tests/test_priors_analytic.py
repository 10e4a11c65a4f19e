"""The analytic prior against hand-written closed forms, finite laws of probability, and its own density."""

from __future__ import annotations

import math

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, D, levels, prior_of, random_gauss, random_z, time_of
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import in_every_form

from sds3d.core.errors import ConfigError
from sds3d.core.look import Look
from sds3d.priors.base import Prompts, concatenate
from sds3d.priors.kinds import analytic
from sds3d.priors.mixtures import mixture
from sds3d.priors.registry import create_prior

f64 = torch.float64
seeds, indices = st.integers(0, 10**6), st.integers(20, 980)
schedules = st.sampled_from([SD, RF])


def look_of(count: int, background: float = 1.0) -> Look:
    return Look(None, SHAPE[1:], torch.full((count, 3), background))


def ask(prior, rows: torch.Tensor, t: float, branch: str = "y"):
    cond = prior.condition(prior.prepare(Prompts("")), look_of(len(rows)), {})[branch]
    return prior.predict(rows.view(-1, *SHAPE), torch.full((len(rows),), t, dtype=f64), cond)


def random_mixture(seed: int, modes: int, full: bool = True):
    laws = [random_gauss(seed + k) for k in range(modes)]
    weights = torch.rand(modes, generator=torch.Generator().manual_seed(seed), dtype=f64) + 0.1
    return (
        mixture(weights, [g.mean for g in laws], [g.cov if full else g.cov.diag() for g in laws]),
        weights,
        laws,
    )


@pytest.mark.oracle("O0.2")
@in_every_form
@given(seeds, indices, schedules)
def test_gaussian_predictions_are_the_closed_form(prediction, seed, index, schedule):
    """eps = s C^-1 (x - a mu); velocity (card §1.5): [s - a S] C^-1 (x - a mu) - mu."""
    law, (a, s) = random_gauss(seed), levels(index, schedule)
    x = random_z(seed + 1, 4)
    found = ask(prior_of({"y": law}, schedule, prediction), x, time_of(index, schedule))
    close = {"rtol": 1e-8, "atol": 1e-8 / min(a, s)}
    torch.testing.assert_close(found.eps.flatten(1), law.eps(x, a, s), **close)
    torch.testing.assert_close(found.x0.flatten(1), law.x0(x, a, s), **close)
    eye = torch.eye(D, dtype=f64)
    u = (x - a * law.mean) @ torch.linalg.inv(law.marginal(a, s)) @ (s * eye - a * law.cov) - law.mean
    torch.testing.assert_close(found.velocity.flatten(1), u, **close)
    torch.testing.assert_close(found.v.flatten(1), a * law.eps(x, a, s) - s * law.x0(x, a, s), **close)


@pytest.mark.oracle("O0.4")
@given(seeds, st.integers(1, 4), st.booleans(), indices, schedules)
def test_mixture_noise_is_minus_sigma_times_the_score(seed, modes, full, index, schedule):
    """O0.4, the score taken by autograd through the log density, and Tweedie's formula for x0."""
    law, _, _ = random_mixture(seed, modes, full)
    a, s = (torch.full((5,), v, dtype=f64) for v in levels(index, schedule))
    x = random_z(seed + 7, 5).requires_grad_()
    (score,) = torch.autograd.grad(law.log_density(x, a, s).sum(), x)
    eps, x0 = law.predict(x.detach(), a, s)
    torch.testing.assert_close(eps, -s[:, None] * score, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(a[:, None] * x0 + s[:, None] * eps, x.detach(), rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(1, 4))
def test_log_density_is_torch_distributions(seed, modes):
    law, weights, laws = random_mixture(seed, modes)
    x = random_z(seed, 6)
    known = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights),
        torch.distributions.MultivariateNormal(
            torch.stack([g.mean for g in laws]), torch.stack([g.cov for g in laws])
        ),
    )
    clean = torch.ones(6, dtype=f64), torch.zeros(6, dtype=f64)
    torch.testing.assert_close(law.log_density(x, *clean), known.log_prob(x))


@pytest.mark.oracle("O5.2")
@given(seeds, indices)
def test_the_classifier_hidden_in_a_mixture(seed, index):
    """O5.2: eps_y - eps_null = -s grad log p(y | x_t) where null is the mixture of the conditionals."""
    law, weights, laws = random_mixture(seed, 3)
    a, s = levels(index, SD)
    alpha, sigma = torch.full((4,), a, dtype=f64), torch.full((4,), s, dtype=f64)
    x = random_z(seed + 3, 4).requires_grad_()
    log_posterior = law.responsibilities(x, alpha, sigma).log()
    torch.testing.assert_close(log_posterior.exp().sum(1), torch.ones(4, dtype=f64))
    (slope,) = torch.autograd.grad(log_posterior[:, 1].sum(), x)
    one = torch.ones(1, dtype=f64)
    y, _ = mixture(one, [laws[1].mean], [laws[1].cov]).predict(x.detach(), alpha, sigma)
    null, _ = law.predict(x.detach(), alpha, sigma)
    torch.testing.assert_close(y - null, -s * slope, rtol=1e-6, atol=1e-8)
    log_prior = weights.log() - weights.sum().log()
    bayes = log_prior[1] + mixture(one, [laws[1].mean], [laws[1].cov]).log_density(x, alpha, sigma)
    torch.testing.assert_close(log_posterior[:, 1], bayes - law.log_density(x, alpha, sigma))


@pytest.mark.oracle("O0.2")
def test_the_velocity_carries_noise_to_samples():
    """O0.2: Heun's method on dy/dt = u(y, t) takes eps to mu + sqrt(S) eps for a one-mode prior."""
    std = torch.tensor([0.3, 0.6, 1.7], dtype=f64)
    law = random_gauss(0)
    prior = prior_of({"y": type(law)(law.mean, torch.diag(std**2))}, RF, "velocity")
    y = start = random_z(1, 3)
    steps = 80
    for k in range(steps):
        now, then = 1 - k / steps, 1 - (k + 1) / steps
        u = ask(prior, y, now).velocity.flatten(1)
        last = ask(prior, y - u / steps, then).velocity.flatten(1) if then > 0 else u
        y = y - (u + last) / (2 * steps)
    torch.testing.assert_close(y, law.mean + std * start, rtol=0, atol=1e-2)


@pytest.mark.oracle("O0.2")
@given(seeds, indices)
def test_vp_and_rectified_flow_are_one_change_of_variables(seed, index):
    """O0.2: tau = s / (a + s), y = x_t / (a + s), u = eps - x0."""
    law, (a, s) = random_gauss(seed), levels(index, SD)
    x = random_z(seed, 3)
    vp = ask(prior_of({"y": law}, SD), x, index / 1000)
    rf = ask(prior_of({"y": law}, RF), x / (a + s), s / (a + s))
    torch.testing.assert_close(vp.velocity, rf.velocity, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(vp.eps, rf.eps, rtol=1e-8, atol=1e-8)


@given(seeds, st.permutations(["y", "null", "neg", "y", "null"]))
def test_each_row_of_a_joint_batch_gets_its_own_branch(seed, order):
    table = {name: random_gauss(seed + k) for k, name in enumerate(["y", "null", "neg"])}
    prior, x = prior_of(table), random_z(seed, len(order))
    branches = prior.condition(prior.prepare(Prompts("")), look_of(1), {})
    assert set(branches) == set(table) == set(prior.info.branches)
    assert branches["y"].weight.tolist() == [1.0]
    joint = prior.predict(
        x.view(-1, *SHAPE),
        torch.full((len(order),), 0.4, dtype=f64),
        concatenate([branches[b] for b in order]),
    )
    a, s = levels(400, SD)
    for k, name in enumerate(order):
        torch.testing.assert_close(joint.eps[k].flatten(), table[name].eps(x[k : k + 1], a, s)[0])


def test_rows_may_have_different_times():
    law, x = random_gauss(3), random_z(3, 2)
    prior = prior_of({"y": law})
    cond = prior.condition(prior.prepare(Prompts("")), look_of(2), {})["y"]
    found = prior.predict(x.view(-1, *SHAPE), torch.tensor([0.1, 0.9], dtype=f64), cond)
    for k, index in enumerate([100, 900]):
        torch.testing.assert_close(found.eps[k].flatten(), law.eps(x[k : k + 1], *levels(index, SD))[0])


def test_answers_come_in_the_dtype_of_the_question_and_without_a_graph():
    prior = prior_of({"y": random_gauss(1)})
    for dtype in (torch.float32, f64):
        answer = ask(prior, random_z(0, 2).to(dtype).requires_grad_(), 0.5)
        forms = (answer.eps, answer.x0, answer.v, answer.velocity)
        assert {v.dtype for v in forms} == {dtype}
        assert not any(v.requires_grad for v in forms)


def test_encode_and_decode_are_inverse_and_encode_has_a_gradient():
    prior = prior_of({"y": random_gauss(1)})
    rgb = torch.rand(2, *SHAPE, dtype=f64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    z = prior.encode(rgb)
    torch.testing.assert_close(z, 2 * rgb - 1)
    torch.testing.assert_close(prior.decode(z), rgb.detach())
    assert not prior.decode(z).requires_grad
    z.sum().backward()
    torch.testing.assert_close(rgb.grad, torch.full_like(rgb, 2.0))
    assert prior.decode(torch.tensor([[[[-3.0, 3.0]]]])).flatten().tolist() == [0.0, 1.0]


def test_encode_resizes_to_the_priors_size():
    prior = create_prior(analytic.Options(shape=(3, 4, 6)))
    checks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(4, 6)[None, None].expand(1, 3, 8, 12)
    assert prior.encode(checks).shape == (1, 3, 4, 6)
    torch.testing.assert_close(prior.encode(checks), torch.zeros(1, 3, 4, 6))  # averages, never picks
    assert prior.encode(torch.rand(1, 3, 2, 3)).shape == (1, 3, 4, 6)
    mixed = torch.rand(1, 3, 2, 12)
    assert prior.encode(mixed).shape == (1, 3, 4, 6)


def test_options_as_yaml_would_hold_them():
    options = analytic.Options.model_validate(
        {
            "kind": "analytic",
            "shape": [2, 1, 2],
            "prediction": "v",
            "conditions": {
                "y": {"mean": [0.5, -0.5], "std": 0.2},
                "null": [
                    {"mean": 0.1, "std": [[[0.1, 0.2]], [[0.3, 0.4]]], "weight": 3},
                    {"covariance": [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]},
                ],
            },
        }
    )
    prior = create_prior(options)
    y, null = prior.table["y"], prior.table["null"]
    assert y.means.tolist() == [[0.5, 0.5, -0.5, -0.5]]
    torch.testing.assert_close(y.variances, torch.full((1, 4), 0.04, dtype=f64))
    assert null.weights.tolist() == [0.75, 0.25]
    assert prior.info.latent_shape == (2, 1, 2)
    assert prior.info.size == (1, 2)
    assert prior.info.prediction == "v"
    for k, covariance in enumerate(
        [
            torch.diag(torch.tensor([0.1, 0.2, 0.3, 0.4]) ** 2),
            torch.tensor(options.conditions["null"][1].covariance),
        ]
    ):
        axes, variances = null.axes[k], null.variances[k]
        torch.testing.assert_close(axes @ torch.diag(variances) @ axes.T, covariance.to(f64))
    assert analytic.Options.model_validate(options.model_dump()) == options


def test_schedules_by_name_and_by_table():
    assert create_prior(analytic.Options()).schedule.steps == 1000
    assert create_prior(analytic.Options(schedule="rf")).schedule.kind == "rf"
    own = create_prior(analytic.Options(alpha_bar=(0.9, 0.5, 0.1))).schedule
    assert own.kind == "vp"
    assert own.alpha_bar.tolist() == [0.9, 0.5, 0.1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conditions": {}}, "at least one mode"),
        ({"conditions": {"y": []}}, "at least one mode"),
        ({"alpha_bar": [0.5, 0.9]}, "decrease"),
        ({"alpha_bar": [1.0, 0.5]}, "decrease"),
        ({"alpha_bar": [0.5, 0.0]}, "decrease"),
        ({"alpha_bar": []}, "decrease"),
        ({"alpha_bar": [0.9, 0.5], "schedule": "rf"}, "rf"),
        ({"conditions": {"y": {"weight": 0}}}, "greater than 0"),
    ],
)
def test_inconsistent_options_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        analytic.Options.model_validate(change)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ({"mean": [1.0, 2.0]}, r"\(2,\) does not fit z of shape \(3, 2, 2\)"),
        ({"mean": [[1.0, 2.0], [1.0, 2.0]]}, "does not fit"),
        ({"mean": [[[1.0, 2.0, 3.0]]] * 3}, "does not fit"),
        ({"mean": [[1.0], [1.0, 2.0]]}, "not an array"),
        ({"covariance": [[1.0]]}, "12 x 12"),
        ({"covariance": [[1.0] * 11] * 12}, "12 x 12"),
        ({"covariance": [[float(i != j) for j in range(12)] for i in range(12)]}, "negative eigenvalue -1"),
        ({"covariance": [[float(i <= j) for j in range(12)] for i in range(12)]}, "symmetric"),
    ],
)
def test_wrong_arrays_name_the_branch(mode, said):
    options = analytic.Options.model_validate({"shape": [3, 2, 2], "conditions": {"neg": mode}})
    with pytest.raises(ConfigError, match=f"prior.conditions.neg: .*{said}"):
        create_prior(options)


def test_wrong_kinds_are_named():
    with pytest.raises(ConfigError, match=r"'gaussian'.*velocity"):
        analytic.AnalyticPrior({}, SHAPE, SD, "gaussian")
    with pytest.raises(ValueError, match="weights must be positive"):
        mixture(torch.tensor([1.0, 0.0]), [torch.zeros(1)] * 2, [torch.ones(1)] * 2)


def test_a_point_mass_is_a_valid_mode():
    law = mixture(torch.ones(1, dtype=f64), [torch.tensor([0.5], dtype=f64)], [torch.zeros(1, dtype=f64)])
    a, s = torch.tensor([0.6], dtype=f64), torch.tensor([0.8], dtype=f64)
    eps, x0 = law.predict(torch.tensor([[1.1]], dtype=f64), a, s)
    assert float(x0) == 0.5
    assert float(eps) == pytest.approx((1.1 - 0.3) / 0.8)
    assert float(law.log_density(torch.tensor([[1.1]], dtype=f64), a, s)) == pytest.approx(
        -0.5 * 1.0**2 - 0.5 * math.log(2 * math.pi * 0.64)
    )
