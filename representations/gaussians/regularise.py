"""Losses on the Gaussians themselves and on the alpha of the last render."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.look import Render

from ..alpha import alpha_entropy, alpha_sparsity
from .options import Options
from .parameters import Parameters


def losses(parameters: Parameters, render: Render, options: Options, progress: float) -> dict[str, Tensor]:
    """Named losses with their weights at that progress; those of weight 0 are left out.

    Sums over Gaussians or over the pixels of a view, the mean of views, as the distillation loss itself.
    """
    alpha, o = render["alpha"], options
    terms = {
        "alpha": (o.alpha, lambda: alpha_sparsity(alpha)),
        "entropy": (o.entropy, lambda: alpha_entropy(alpha)),
        "opacity": (o.opacity, lambda: parameters.opacities.sum()),
        "scale": (o.scale, lambda: scale_excess(parameters.scales, o.max_scale)),
        "anisotropy": (o.anisotropy, lambda: anisotropy_excess(parameters.log_scales, o.max_anisotropy)),
    }
    if o.surfels:
        terms |= {
            "normal_consistency": (o.normal_consistency, lambda: render["bent"].sum() / len(alpha)),
            "distortion": (o.distortion, lambda: render["distortion"].sum() / len(alpha)),
        }
    return {name: w * term() for name, (weight, term) in terms.items() if (w := weight(progress))}


def scale_excess(scales: Float[Tensor, "n 3"], bound: float) -> Float[Tensor, ""]:
    """Σ (s / bound - 1)² over the standard deviations above the bound."""
    return (scales / bound - 1).clamp_min(0.0).square().sum()


def anisotropy_excess(log_scales: Float[Tensor, "n 3"], bound: float) -> Float[Tensor, ""]:
    """Σ (log(longest / middle axis) - log bound)² over the Gaussians above the bound; flat discs cost nothing."""
    ordered = log_scales.sort(dim=1).values
    return (ordered[:, 2] - ordered[:, 1] - math.log(bound)).clamp_min(0.0).square().sum()


class _Gamut(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient still leads back inside."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors
        outwards = ((value > 1) & (gradient < 0)) | ((value < 0) & (gradient > 0))
        return gradient.masked_fill(outwards, 0.0)


def gamut(rgb: Tensor) -> Tensor:
    """rgb clamped to [0, 1]; a pixel outside gets the gradients that a descent follows back in, and no others."""
    return _Gamut.apply(rgb)
