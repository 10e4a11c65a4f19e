"""Exactly known priors and one guidance step, for the tests of guidance; the oracles are written out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import mixture
from sds3d.priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule

SHAPE = (1, 1, 3)
D = 3
PREDICTIONS = ("epsilon", "v", "x0", "velocity")
SD = stable_diffusion_schedule()
RF = NoiseSchedule("rf")


@dataclass(frozen=True)
class Gauss:
    """N(mean, cov) and what it predicts, by linear solves on rows x (B, D)."""

    mean: Tensor
    cov: Tensor

    def marginal(self, a: float, s: float) -> Tensor:
        return a * a * self.cov + s * s * torch.eye(D, dtype=torch.float64)

    def eps(self, x: Tensor, a: float, s: float) -> Tensor:
        return s * torch.linalg.solve(self.marginal(a, s), (x - a * self.mean).T).T

    def x0(self, x: Tensor, a: float, s: float) -> Tensor:
        return (x - s * self.eps(x, a, s)) / a


def random_gauss(seed: int, like: Gauss | None = None) -> Gauss:
    """A random mean; a random covariance, or that of `like`."""
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(D, D, generator=g, dtype=torch.float64)
    cov = 0.3 * root @ root.T + 0.1 * torch.eye(D, dtype=torch.float64)
    return Gauss(torch.randn(D, generator=g, dtype=torch.float64), cov if like is None else like.cov)


def random_z(seed: int, views: int) -> Tensor:
    """(views, D) float64."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(views, D, generator=g, dtype=torch.float64)


def prior_of(
    table: dict[str, Gauss], schedule: NoiseSchedule = SD, prediction: str = "epsilon"
) -> AnalyticPrior:
    """The Gaussians as a prior behind the real interface."""
    one = torch.ones(1, dtype=torch.float64)
    laws = {name: mixture(one, [g.mean], [g.cov]) for name, g in table.items()}
    return AnalyticPrior(laws, SHAPE, schedule, prediction)


def time_of(index: int, schedule: NoiseSchedule) -> float:
    """The schedule's t with the noise level of Stable Diffusion's `index`."""
    t = torch.tensor([index / 1000], dtype=torch.float64)
    return float(t if schedule is SD else schedule.t_of_kappa(SD.kappa(t)))


def levels(index: int, schedule: NoiseSchedule) -> tuple[float, float]:
    """(alpha, sigma) at that noise level."""
    t = torch.tensor([time_of(index, schedule)], dtype=torch.float64)
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def at(index: int) -> dict:
    """Config of a fixed time."""
    return {"low": index / 1000, "high": index / 1000}


def views_of(
    prior: AnalyticPrior, z: Tensor, ids: list[int] | None = None, group: list[int] | None = None
) -> Views:
    """Views of (B, D) rows; with cameras where ids or groups matter."""
    count, cameras = len(z), None
    if ids is not None or group is not None:
        cameras = orbit(
            [0.0] * count,
            0.0,
            ids=torch.tensor(range(count) if ids is None else ids),
            group=None if group is None else torch.tensor(group),
        )
    look = Look(cameras, SHAPE[1:], torch.ones(count, 3))
    return Views(look, {}, z.view(count, *SHAPE), prior.condition(prior.prepare(Prompts("")), look, {}))


def noise_of(seed: int, step: int, ids: list[int], draw: int = 0) -> Tensor:
    """(B, D) float64: the noise that the engine must have used."""
    eps = Streams(seed).normal(SHAPE, "guidance-noise", draw, step=step, ids=ids)
    return eps.double().flatten(1)


def residual_step(config, prior: AnalyticPrior, z: Tensor, *, seed: int = 0, step: int = 3, steps: int = 10):
    """((B, D) g before the division by B, log) of one step through the real engine."""
    guidance = build_guidance(parse(config), prior, steps)
    views = views_of(prior, z)
    cotangents, state, log = guidance.guide(views, step, Streams(seed), {})
    assert state == {}
    assert set(cotangents) == {"z"}
    return cotangents["z"].flatten(1) * len(z), log
