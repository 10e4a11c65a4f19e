"""VSD through the real engine against closed forms (guidance card O2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from unittest.mock import patch

import pytest
import torch
from critic_cases import (
    PARTICLES,
    POINT,
    divergence,
    f64,
    gaussian,
    knows,
    over_renders,
    prior_at,
    random_root,
    slopes,
    step,
)
from guidance_cases import (
    RF,
    SD,
    D,
    Gauss,
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
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import (
    VIEWS,
    close,
    far,
    few,
    few_each,
    in_every_form,
    in_every_form_slowly,
    indices,
    predictions,
    scales,
    schedules,
    seeds,
    table_of,
)
from sds3d.guidance.base import Views
from sds3d.guidance.build import bind
from sds3d.guidance.registry import parse, preset

from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction, Prompts
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import mixture
from sds3d.priors.noise_schedule import NoiseSchedule


def vsd_at(index: int, scale: float = 1.0, weight: str = "uniform") -> dict:
    return {"method": "vsd", "cfg_scale": scale, "weight": weight, "times": at(index)}


@few
@given(seeds, indices, schedules, predictions, scales)
def test_vsd_is_the_formula(seed, index, schedule, prediction, scale):
    """eps_null + s (eps_y - eps_null) - eps_q by linear solves, in every prediction type."""
    table, z, q = table_of(seed), random_z(seed, VIEWS), random_gauss(seed + 7)
    g, log = step(vsd_at(index, scale), prior_of(table, schedule, prediction), z, knows(gaussian(q)))
    a, s = levels(index, schedule)
    x = a * z + s * noise_of(0, 3, [0, 1])
    y, null = table["y"].eps(x, a, s), table["null"].eps(x, a, s)
    torch.testing.assert_close(g, null + scale * (y - null) - q.eps(x, a, s), rtol=1e-6, atol=1e-6)
    assert log["nfe"] == 1 + (scale != 0) + (scale != 1)


@pytest.mark.oracle("O2.1")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o2_1_the_mean_gradient_is_that_of_the_divergence(prediction, seed, index, schedule):
    """For q = N(m, L L^T): E[g] and E[g xi^T] are (sigma / alpha) d KL(q_t || p_t) / d(m, L)."""
    p, mean, root = random_gauss(seed), random_z(seed + 1, 1)[0], random_root(seed)
    a, s = levels(index, schedule)

    def cover(factor):
        return a * a * factor @ factor.T + s * s * torch.eye(D, dtype=f64)

    def kl(m, factor):
        return divergence(a * m, cover(factor), a * p.mean, p.marginal(a, s))

    q = gaussian(Gauss(mean, root @ root.T))
    found = over_renders(vsd_at(index), prior_at(p, schedule, prediction), mean, root, knows(q))
    wanted = [s / a * slope for slope in slopes(kl, mean, root)]
    close(found[0], wanted[0])
    close(found[1].tril(), wanted[1].tril())
    inverse_p, inverse_q = torch.linalg.inv(p.marginal(a, s)), torch.linalg.inv(cover(root))
    close(found[0], a * s * inverse_p @ (mean - p.mean))
    close(found[1], a * s * (inverse_p - inverse_q) @ root)


@pytest.mark.oracle("O2.2")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o2_2_at_q_equal_p_every_sample_is_zero(prediction, seed, index, schedule):
    """Not only on average; here for mixtures."""
    modes = [random_gauss(seed + k) for k in range(3)]
    law = mixture(torch.tensor([0.2, 0.5, 0.3], dtype=f64), [m.mean for m in modes], [m.cov for m in modes])
    prior = AnalyticPrior({"y": law, "null": law}, (1, 1, D), schedule, prediction)
    g, _ = step(vsd_at(index), prior, random_z(seed, 5), knows(law))
    assert float(g.abs().max()) < 1e-12
    elsewhere, _ = step(vsd_at(index), prior, random_z(seed, 5), knows(gaussian(modes[0])))
    assert float(elsewhere.abs().max()) > 1e-6


@pytest.mark.oracle("O2.3")
@in_every_form
@few_each
@given(seeds, indices, schedules, scales)
def test_o2_3_a_critic_that_knows_each_view_is_sds(prediction, seed, index, schedule, scale):
    """Sample by sample, for every guidance scale."""
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, VIEWS)
    g, _ = step(vsd_at(index, scale), prior, z, POINT)
    sds, _ = residual_step(vsd_at(index, scale) | {"method": "sds"}, prior, z)
    torch.testing.assert_close(g, sds, rtol=1e-6, atol=1e-6)


def on_a_line(weights, means, variances, schedule, prediction="epsilon") -> AnalyticPrior:
    """A mixture over one number."""
    law = mixture(
        torch.tensor(weights, dtype=f64),
        [torch.tensor([m], dtype=f64) for m in means],
        [torch.tensor([v], dtype=f64) for v in variances],
    )
    return AnalyticPrior({"y": law, "null": law}, (1, 1, 1), schedule, prediction)


def line_views(prior: AnalyticPrior, x: torch.Tensor) -> Views:
    look = Look(None, (1, 1), torch.ones(len(x), 3))
    return Views(look, {}, x.view(-1, 1, 1, 1), prior.condition(prior.prepare(Prompts("")), look, {}))


def on_line(config, prior, x, critic=None, streams=None, step=0, steps=10):
    """(B,) g of one step over numbers; the preset's own slots but for the critic."""
    options = parse(config)
    recipe = preset(options.method)(options)
    guidance = bind(recipe if critic is None else replace(recipe, critic=critic), prior, steps)
    cotangents, _, _ = guidance.guide(line_views(prior, x), step, streams or Streams(0), {})
    return cotangents["z"].flatten() * len(x)


def quadrature(count: int = 101) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the mean over a standard normal number."""
    import numpy as np

    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())


def log_mixture(y, weights, means, variances):
    """(...) log density of a mixture over numbers."""
    spread = torch.as_tensor(variances, dtype=f64)
    parts = torch.as_tensor(weights, dtype=f64).log() - 0.5 * (
        (y[..., None] - means) ** 2 / spread + (2 * torch.pi * spread).log()
    )
    return parts.logsumexp(-1)


@pytest.mark.oracle("O2.4")
@in_every_form
@few_each
@given(seeds, st.integers(150, 900), schedules)
def test_o2_4_n_particles_descend_the_divergence_of_their_mixture(prediction, seed, index, schedule):
    """E[g_i] = n (sigma / alpha) d KL(q_t || p_t) / d x_i, and sum_i g_i is that of SDS."""
    weights, means, variances = [0.3, 0.7], [-1.2, 1.0], [0.1, 0.3]
    prior = on_a_line(weights, means, variances, schedule, prediction)
    x = random_z(seed, 2)[:, :2].flatten()
    n, (a, s), (nodes, shares) = len(x), levels(index, schedule), quadrature()
    every = x.repeat_interleave(len(nodes))

    def fixed_noise(self, shape, *args, **kwargs):
        return nodes.repeat(n).view(-1, *shape)

    with patch.object(Streams, "normal", fixed_noise):
        vsd = (on_line(vsd_at(index), prior, every, PARTICLES).view(n, -1) * shares).sum(1)
        sds = (on_line(vsd_at(index), prior, every, POINT).view(n, -1) * shares).sum(1)

    def kl(particles):
        y = a * particles[:, None] + s * nodes
        q = log_mixture(y, [1 / n] * n, a * particles, [s * s] * n)
        p = log_mixture(
            y, weights, a * torch.tensor(means, dtype=f64), [a * a * v + s * s for v in variances]
        )
        return ((q - p) * shares).sum() / n

    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(kl(leaf), leaf)
    torch.testing.assert_close(vsd, n * s / a * slope, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vsd.sum(), sds.sum(), rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O2.6")
@in_every_form_slowly
def test_o2_6_particles_keep_their_spread_where_sds_collapses(prediction):
    prior, steps = on_a_line([1.0], [0.5], [1.0], SD, prediction), 150
    ends = {}
    for name, critic in (("vsd", PARTICLES), ("sds", POINT)):
        x = torch.linspace(-0.3, 0.3, 12, dtype=f64)
        config = vsd_at(1) | {"weight": "sigma2", "times": {"low": 0.02, "high": 0.6, "shared": True}}
        for k in range(steps):
            x = x - 1.5 * (1 - k / steps) * on_line(config, prior, x, critic, step=k, steps=steps)
        ends[name] = x
    assert float(ends["sds"].std(correction=0)) < 0.25
    assert abs(float(ends["vsd"].std(correction=0)) - 1.0) < 0.05
    assert abs(float(ends["vsd"].mean()) - 0.5) < 0.15


@few
@given(seeds, indices)
def test_a_flow_says_the_same_at_equal_noise(seed, index):
    """Rule 6 of the card §1.12: the variance preserving prior and its rewriting as a flow have one residual."""
    table, z, critic = table_of(seed), random_z(seed, VIEWS), knows(gaussian(random_gauss(seed + 9)))
    vp, _ = step(vsd_at(index, 3.0), prior_of(table, SD), z, critic)
    flow, _ = step(vsd_at(index, 3.0), prior_of(table, RF, "velocity"), z, critic)
    torch.testing.assert_close(vp, flow, rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O0.9")
@in_every_form
@few_each
@given(seeds, indices)
def test_on_a_flow_it_is_the_difference_of_velocities(prediction, seed, index):
    """w_u (u_p - u_q) with w_u = (1 - tau) w: 1 for rf_uniform, (1 - tau) tau^2 / (tau^2 + (1 - tau)^2) for sigma2."""
    p, q, z = random_gauss(seed), random_gauss(seed + 9), random_z(seed, VIEWS)
    tau = time_of(index, RF)
    y = (1 - tau) * z + tau * noise_of(0, 3, [0, 1])

    def u(law):
        return law.eps(y, 1 - tau, tau) - law.x0(y, 1 - tau, tau)

    prior, critic = prior_of({"y": p, "null": p}, RF, prediction), knows(gaussian(q))
    plain, _ = step(vsd_at(index, weight="rf_uniform"), prior, z, critic)
    close(plain, u(p) - u(q))
    paper, _ = step(vsd_at(index, weight="sigma2"), prior, z, critic)
    close(paper, (1 - tau) * tau**2 / (tau**2 + (1 - tau) ** 2) * (u(p) - u(q)))


@dataclass(frozen=True)
class Amplified:
    """The mistake: guidance of scale s on the critic, between the law and another."""

    right: object
    other: object
    scale: float

    def bind(self, prior):
        bound, (right, other) = self.right.bind(prior), (c.bind(prior) for c in (self.right, self.other))

        def predict(memory, state, views, told):
            y, null = (c.predict(memory, state, views, told) for c in (right, other))
            return Prediction(lambda form: null.eps + self.scale * (y.eps - null.eps))

        bound.predict = predict
        return bound


@pytest.mark.oracle("OX.9")
@in_every_form
def test_ox_9_guidance_on_the_critic_is_seen_at_the_fixed_point(prediction):
    p, null, z = random_gauss(1), random_gauss(2), random_z(1, VIEWS)
    prior = prior_of({"y": p, "null": null}, SD, prediction)
    right, other = knows(gaussian(p)), knows(gaussian(null))
    g, _ = step(vsd_at(300), prior, z, right)
    wrong, _ = step(vsd_at(300), prior, z, Amplified(right, other, 7.5))
    assert float(g.abs().max()) < 1e-12
    a, s = levels(300, SD)
    x = a * z + s * noise_of(0, 3, [0, 1])
    close(wrong, -6.5 * (p.eps(x, a, s) - null.eps(x, a, s)))
    far(wrong, g + 1.0)


@few
@given(seeds, st.integers(2, 4))
def test_particles_are_objects_that_share_a_time_and_a_critic(seed, objects):
    """Group numbers keep the objects apart where a time is shared; their law is that of all."""
    p, z = random_gauss(seed), random_z(seed, 2 * objects)
    prior = prior_at(p, SD)
    options = parse({"method": "vsd", "cfg_scale": 1, "times": {"shared": True}, "weight": "uniform"})
    guidance = bind(replace(preset("vsd")(options), critic=PARTICLES), prior, 10)
    group = [k // 2 for k in range(2 * objects)]
    views = views_of(prior, z, ids=list(range(2 * objects)), group=group)
    g = guidance.guide(views, 0, Streams(seed), {})[0]["z"].flatten(1) * len(z)
    u = Streams(seed).uniform((), "guidance-time", step=0, ids=group)
    schedule: NoiseSchedule = SD
    t = 0.02 + 0.96 * u
    noise = noise_of(seed, 0, list(range(2 * objects)))
    for row in range(2 * objects):
        a, s = float(schedule.alpha(t)[row]), float(schedule.sigma(t)[row])
        x = a * z[row] + s * noise[row]
        shares = (-((x - a * z) ** 2).sum(1) / (2 * s * s)).softmax(0)
        mean = (shares[:, None] * z).sum(0)
        close(g[row], p.eps(x[None], a, s)[0] - (x - a * mean) / s)


def test_vsd_needs_a_critic_that_can_be_trained():
    from sds3d.core.errors import ConfigError

    options = parse("vsd")
    with pytest.raises(ConfigError, match=r"^guidance\.method: .*'analytic' has none that can be changed"):
        bind(preset("vsd")(options), prior_of(table_of(0)), 10)
