"""What the oracles of the editing methods share: laws of target, source and no prompt, and one step by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from guidance_cases import SHAPE, D, levels, random_gauss, views_of
from sds3d.guidance.build import bind, build_guidance
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import parse
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import Mixture, mixture
from sds3d.priors.noise_schedule import NoiseSchedule

Laws = dict[str, Mixture]
STEPS, STEP = 10, 3


def laws_of(seed: int, modes: int = 2) -> Laws:
    """Mixtures for y, src and null; with one mode Gaussians of one covariance."""
    like = random_gauss(seed)
    out = {}
    for k, name in enumerate(("y", "src", "null")):
        parts = [random_gauss(seed + 10 * k + m + 1, like if modes == 1 else None) for m in range(modes)]
        weights = torch.arange(1, modes + 1, dtype=torch.float64)
        out[name] = mixture(weights, [p.mean for p in parts], [p.cov for p in parts])
    return out


def prior_of_laws(laws: Laws, schedule: NoiseSchedule, prediction: str = "epsilon") -> AnalyticPrior:
    """The laws behind the real interface."""
    return AnalyticPrior(laws, SHAPE, schedule, prediction)


def step(
    config: dict[str, Any] | Recipe,
    prior: AnalyticPrior,
    z: Tensor,
    z_src: Tensor,
    seed: int = 0,
    group: list[int] | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """((B, D) g before the division by B, log) of one step through the real engine."""
    views = views_of(prior, z, group=group)
    views = dataclasses.replace(views, source=views_of(prior, z_src))
    if isinstance(config, Recipe):
        guidance = bind(config, prior, STEPS)
    else:
        guidance = build_guidance(parse(config), prior, STEPS)
    cotangents, _, log = guidance.guide(views, STEP, Streams(seed), guidance.init(Streams(seed)))
    return cotangents["z"].flatten(1) * len(z), log


def noise(seed: int, views: int) -> Tensor:
    """(B, D) float64: what the engine adds at STEP."""
    return Streams(seed).normal(SHAPE, "guidance-noise", 0, step=STEP, ids=range(views)).double().flatten(1)


def eps_at(laws: Laws, index: int, schedule: NoiseSchedule) -> Callable[[str, Tensor], Tensor]:
    """(branch, noisy rows) -> exact prediction at Stable Diffusion's index."""
    a, s = levels(index, schedule)

    def eps(branch: str, x: Tensor) -> Tensor:
        alpha, sigma = (torch.full((len(x),), v, dtype=torch.float64) for v in (a, s))
        return laws[branch].predict(x, alpha, sigma)[0]

    return eps


def triple(eps: Callable[[str, Tensor], Tensor], x: Tensor, s: float, s_img: float) -> Tensor:
    """u + s (ti - i) + s_img (i - u)."""
    u, i, ti = (eps(name, x) for name in ("null", "src", "y"))
    return u + s * (ti - i) + s_img * (i - u)


def dreamcatalyst(
    laws: Laws, z: Tensor, z_src: Tensor, index: int, schedule: NoiseSchedule, noise: Tensor, **change: float
) -> Tensor:
    """guidance_more B4, written out."""
    told = {"s": 7.5, "s_img": 1.5, "delta": 0.2, "gamma": 0.8, "psi": 0.075, "power": 1 / math.e} | change
    eps, (a, sigma), tau = eps_at(laws, index, schedule), levels(index, schedule), index / 1000
    x, x_src = a * z + sigma * noise, a * z_src + sigma * noise
    away = triple(eps, x, told["s"], told["s_img"]) - triple(
        eps, x_src, told.get("s_src", 0.0), told["s_img"]
    )
    return (told["delta"] + told["gamma"] * tau ** told["power"]) * away + told["psi"] * math.exp(tau) * (
        z - z_src
    )


def ssd_edit(
    laws: Laws, z: Tensor, z_src: Tensor, index: int, schedule: NoiseSchedule, noise: Tensor, **change: float
) -> Tensor:
    """guidance_more B5, written out; the pull's alpha is that of the variance-preserving form."""
    told = {"s": 7.5, "s_img": 2.0, "s_enh": 5.5, "pull": 0.075, "half": 0.5} | change
    eps, (a, sigma), tau = eps_at(laws, index, schedule), levels(index, schedule), index / 1000
    x, x_src = a * z + sigma * noise, a * z_src + sigma * noise
    y, src, null = (eps(name, x) for name in ("y", "src", "null"))
    return (
        told["half"] * told["s_img"] * (src - eps("null", x_src))
        + told["half"] * told["s"] * (y - src)
        + told["s_enh"] * (y - null)
        + told["pull"] * math.exp(tau) * a / math.hypot(a, sigma) * (z - z_src)
    )


def coupled_by_hand(r: Tensor, q: Tensor, gamma: float | None = None) -> Tensor:
    """guidance_more B13 on rows, view by view."""
    square = torch.tensor([[float((a - b) @ (a - b)) for b in q] for a in q], dtype=torch.float64)
    if gamma is None:
        ordered = sorted(square.flatten().tolist())
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        gamma = math.log(len(q) + 1) / middle if middle else 0.0
    out = torch.zeros_like(r)
    for i in range(len(q)):
        for j in range(len(q)):
            k = math.exp(-gamma * float(square[i, j]))
            out[i] += k * r[j] - 2 * gamma * k * (q[i] - q[j])
    return out / len(q)


assert D == 3, "the cases are written for three numbers"
