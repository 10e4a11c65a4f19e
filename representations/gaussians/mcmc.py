"""Relocation, growth and noise: Gaussians as samples of a distribution.

"3D Gaussian Splatting as Markov Chain Monte Carlo", Kheradmand et al., NeurIPS 2024, arXiv 2404.09591.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .covariance import times_covariance
from .options import McmcOptions
from .parameters import Parameters, logit, rearrange
from .strategy import Between

MOST_COPIES = 51
"""More copies of one Gaussian than this are corrected as this many, as in the paper's code."""

SHARPNESS, FAINT = 100.0, 0.005
"""k and 1 - t of the paper's eq. 8: only Gaussians of opacity below about FAINT + 0.05 are shaken."""


class Mcmc:
    """Moves dead Gaussians onto living ones, adds new ones the same way up to a cap, shakes the faint ones.

    Args:
        options: see McmcOptions.
    """

    def __init__(self, options: McmcOptions):
        self.options = options
        self.relocated = self.added = 0

    @torch.no_grad()
    def after_step(self, parameters: Parameters, between: Between) -> tuple[Parameters, dict[str, float]]:
        """One round if it is due, then the noise of every step."""
        o = self.options
        if between.due(o.every, o.start, o.stop):
            parameters = self._relocate(parameters, between)
            parameters = self._grow(parameters, between)
        if weight := o.noise(between.progress) * between.position_lr:
            parameters = shake(parameters, weight, between.streams, between.step)
        return parameters, {"relocated": float(self.relocated), "added": float(self.added)}

    def _relocate(self, parameters: Parameters, between: Between) -> Parameters:
        """Every dead Gaussian becomes a copy of a living one, drawn by opacity."""
        opacity = parameters.opacities
        dead = (opacity <= self.options.dead_opacity).nonzero()[:, 0]
        alive = (opacity > self.options.dead_opacity).nonzero()[:, 0]
        if not len(dead) or not len(alive):
            return parameters
        u = between.streams.uniform((len(dead),), "gaussians-relocate", step=between.step)[0]
        source = alive[draw(opacity[alive], u)]
        self.relocated += len(dead)
        rows = torch.arange(len(parameters), device=opacity.device)
        rows[dead] = source
        new, touched = copies(parameters, rows)
        inherit = torch.arange(len(parameters), device=opacity.device)
        inherit[touched] = -1
        return rearrange(new, inherit, between.moments)

    def _grow(self, parameters: Parameters, between: Between) -> Parameters:
        """New copies of Gaussians drawn by opacity, up to the cap."""
        count = len(parameters)
        extra = min(self.options.cap, math.ceil(self.options.grow * count)) - count
        if extra <= 0:
            return parameters
        u = between.streams.uniform((extra,), "gaussians-grow", step=between.step)[0]
        device = parameters.means.device
        rows = torch.cat([torch.arange(count, device=device), draw(parameters.opacities, u)])
        self.added += extra
        new, touched = copies(parameters, rows)
        inherit = torch.arange(count + extra, device=device)
        inherit[touched] = -1
        return rearrange(new, inherit, between.moments)

    def state_dict(self) -> Tree:
        """Counters."""
        return {"relocated": self.relocated, "added": self.added}

    def load_state_dict(self, state: Tree) -> None:
        """Restore the counters."""
        self.relocated, self.added = int(state["relocated"]), int(state["added"])


def draw(weights: Float[Tensor, " n"], uniform: Float[Tensor, " m"]) -> Int[Tensor, " m"]:
    """Indices drawn with probability proportional to the weights, from uniform numbers in (0, 1)."""
    cumulative = weights.detach().double().cumsum(0)
    return torch.searchsorted(cumulative, uniform.to(cumulative) * cumulative[-1]).clamp(max=len(weights) - 1)


def copies(parameters: Parameters, rows: Int[Tensor, " m"]) -> tuple[Parameters, Int[Tensor, " t"]]:
    """Gaussians by old row, where those taken more than once share the opacity so that the picture stays.

    Returns:
        The M Gaussians, and the new rows that are one of several copies.
    """
    taken = torch.bincount(rows, minlength=len(parameters))[rows]
    new = parameters.take(rows)
    touched = (taken > 1).nonzero()[:, 0]
    opacity, factor = share(new.opacities[touched], taken[touched])
    logits, log_scales = new.logit_opacities.clone(), new.log_scales.clone()
    logits[touched] = logit(opacity)
    log_scales[touched] += factor.log()[:, None]
    return replace(new, logit_opacities=logits, log_scales=log_scales), touched


def share(
    opacity: Float[Tensor, " n"], count: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Opacity and factor on the scales of each of `count` equal Gaussians that replace one (the paper's eq. 9).

    o' = 1 - (1 - o)^(1/n) keeps the alpha at the centre; s' / s = o / Σ_{k=1..n} C(n, k) (-1)^(k-1) o'^k / sqrt(k)
    keeps the integral of alpha along a line through the centre (the paper's double sum over i and k, summed
    over i by C(0, k) + … + C(n-1, k) = C(n, k + 1)).
    """
    n = count.clamp(1, MOST_COPIES).double()
    o = opacity.double().clamp(1e-6, 1 - 1e-6)
    shared = -torch.expm1(torch.log1p(-o) / n)
    total = torch.zeros_like(o)
    for k in range(1, int(n.max()) + 1 if len(n) else 1):
        log_binomial = torch.lgamma(n + 1) - math.lgamma(k + 1) - torch.lgamma((n - k).clamp_min(0) + 1)
        term = (log_binomial + k * shared.log()).exp() / math.sqrt(k)
        total = total + torch.where(n >= k, term if k % 2 else -term, 0.0)
    return shared.float(), (o / total).float()


def shake(parameters: Parameters, weight: float, streams: Streams, step: int) -> Parameters:
    """Noise on the positions, along each Gaussian's own shape and only where it is faint (the paper's eq. 8).

    μ += weight · sigmoid(-k (o - t)) · Σ η, η ~ N(0, I).
    """
    noise = streams.normal(tuple(parameters.means.shape), "gaussians-noise", step=step)[0].to(
        parameters.means
    )
    gate = torch.sigmoid(-SHARPNESS * (parameters.opacities - FAINT))
    moved = times_covariance(parameters, noise) * (weight * gate)[:, None]
    return replace(parameters, means=parameters.means.detach() + moved)
