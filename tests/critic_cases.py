"""VSD and ESD with critics that know the law of the renders; expectations over renders and noise without sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import torch
from guidance_cases import D, Gauss, prior_of, views_of
from oracle_cases import mirrored
from sds3d.guidance.build import bind
from sds3d.guidance.critic import Critic
from sds3d.guidance.exact_critic import ExactCritic, all_points, fixed, own_point
from sds3d.guidance.registry import parse, preset
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import Mixture, mixture

f64 = torch.float64


def gaussian(law: Gauss) -> Mixture:
    return mixture(torch.ones(1, dtype=f64), [law.mean], [law.cov])


def knows(law: Mixture) -> ExactCritic:
    """A critic whose law is the same for every camera."""
    return ExactCritic(fixed(law), fixed(law))


PARTICLES = ExactCritic(all_points, all_points)
POINT = ExactCritic(own_point, own_point)


def step(config, prior: AnalyticPrior, z: Tensor, critic: Critic, *, seed=0, at_step=3, steps=10):
    """((B, D) g before the division by B, log) of one step of a preset with another critic."""
    options = parse(config)
    guidance = bind(replace(preset(options.method)(options), critic=critic), prior, steps)
    streams = Streams(seed)
    cotangents, _, log = guidance.guide(views_of(prior, z), at_step, streams, guidance.init(streams))
    return cotangents["z"].flatten(1) * len(z), log


def random_root(seed: int) -> Tensor:
    """A lower triangular L, the spread of a law."""
    g = torch.Generator().manual_seed(seed)
    root = 0.4 * torch.randn(D, D, generator=g, dtype=f64)
    return root.tril(-1) + root.diagonal().abs().add(0.2).diag()


def over_renders(config, prior: AnalyticPrior, mean: Tensor, root: Tensor, critic: Critic):
    """(E[g], E[g xi^T]) for renders z = mean + root xi, xi ~ N(0, I), and the noise.

    The residuals here are affine in (xi, eps) jointly, so that the points xi = +- sqrt(D) e_i with mirrored noise have
    the exact first moments.
    """
    xi = math.sqrt(D) * torch.cat([torch.eye(D), -torch.eye(D)]).to(f64)
    z = mean + xi @ root.T
    g, _ = step(config, prior, z, critic)
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        other, _ = step(config, prior, z, critic)
    g = (g + other) / 2
    return g.mean(0), g.T @ xi / len(xi)


def slopes(of: Callable[[Tensor, Tensor], Tensor], mean: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of a function of (mean, root)."""
    mean, root = (v.clone().requires_grad_() for v in (mean, root))
    return torch.autograd.grad(of(mean, root), (mean, root))


def divergence(mean: Tensor, cov: Tensor, other: Tensor, other_cov: Tensor) -> Tensor:
    """KL( N(mean, cov) || N(other, other_cov) )."""
    gap, inverse = mean - other, torch.linalg.inv(other_cov)
    logs = torch.logdet(other_cov) - torch.logdet(cov)
    return 0.5 * ((inverse @ cov).trace() - len(mean) + gap @ inverse @ gap + logs)


def prior_at(law: Gauss, schedule, prediction="epsilon") -> AnalyticPrior:
    """A prior with one law for both branches: its guided prediction is that law's for every scale."""
    return prior_of({"y": law, "null": law}, schedule, prediction)
