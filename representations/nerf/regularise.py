"""Losses on the alpha of the last render and on the samples of its rays.

Each is a sum over the pixels of a view, mean of views, as the distillation loss itself.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.look import Render

from ..alpha import alpha_entropy, alpha_sparsity
from .options import Options


def losses(render: Render, options: Options, progress: float) -> dict[str, Tensor]:
    """Named losses with their weights at that progress; those of weight 0 are left out.

    Args:
        render: of training; opacity and entropy need alpha alone.
    """
    alpha, o = render["alpha"], options
    views = len(alpha)
    terms = {
        "opacity": (o.opacity, lambda: alpha_sparsity(alpha)),
        "entropy": (o.entropy, lambda: alpha_entropy(alpha)),
        "orientation": (
            o.orientation,
            lambda: orientation(render["ray_weight"], render["ray_facing"]) / views,
        ),
        "distortion": (o.distortion, lambda: distortion(*_rays(render)) / views),
        "z_variance": (o.z_variance, lambda: z_variance(*_rays(render)) / views),
    }
    return {name: w * term() for name, (weight, term) in terms.items() if (w := weight(progress))}


def _rays(render: Render) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    names = ("ray_weight", "ray_distance", "ray_length", "ray_starts")
    weight, distance, length, starts = (render[name] for name in names)
    return weight, distance, length, starts


def orientation(weight: Float[Tensor, " p"], facing: Float[Tensor, " p"]) -> Float[Tensor, ""]:
    """Σ_i sg(w_i) max(0, n_i · d)²: normals of what is seen point towards the eye.

    Ref-NeRF, Verbin et al. 2022, arXiv 2112.03907, equation 11, with the weights held fixed as in DreamFusion, Poole et
    al. 2023, arXiv 2209.14988, appendix A.2.

    Args:
        facing: (P,) cosine between normal and viewing direction.
    """
    return (weight.detach() * facing.clamp_min(0.0).square()).sum()


def distortion(
    weight: Float[Tensor, " p"], distance: Float[Tensor, " p"], length: Float[Tensor, " p"], starts: Tensor
) -> Float[Tensor, ""]:
    """Σ_rays ( Σ_ij w_i w_j |t_i − t_j| + ⅓ Σ_i w_i² δ_i ): weight of a ray in one place.

    Mip-NeRF 360, Barron et al. 2022, arXiv 2111.12077, equation 15. As distances grow along a ray, the double sum is
    2 Σ_i w_i (t_i Σ_{j<i} w_j − Σ_{j<i} w_j t_j).
    """
    w, t = weight.double(), distance.double()
    weight_before, moment_before = (_before(v, starts) for v in (w, w * t))
    pairs = 2 * (w * (t * weight_before - moment_before)).sum()
    return (pairs + (w.square() * length).sum() / 3).to(weight)


def z_variance(
    weight: Float[Tensor, " p"], distance: Float[Tensor, " p"], length: Float[Tensor, " p"], starts: Tensor
) -> Float[Tensor, ""]:
    """Σ_rays Σ_i w_i (t_i − μ)² / Σ_i w_i, μ = Σ w_i t_i / Σ w_i, over rays of which more than half is absorbed.

    The z-variance loss of HiFA, Zhu et al. 2024, arXiv 2305.18766, section 3.2, with weights that add up to 1.
    """
    total, first = (_sum(v, starts) for v in (weight, weight * distance))
    mean = first / total.clamp_min(1e-6)
    counts = starts.diff()
    spread = _sum(weight * (distance - mean.repeat_interleave(counts)).square(), starts)
    solid = total > 0.5
    return (spread[solid] / total[solid]).sum()


def _sum(value: Float[Tensor, " p"], starts: Tensor) -> Float[Tensor, " n"]:
    """Along each ray."""
    counts = starts.diff()
    ray = torch.arange(len(counts), device=starts.device).repeat_interleave(counts)
    return value.new_zeros(len(counts)).index_add(0, ray, value)


def _before(value: Float[Tensor, " p"], starts: Tensor) -> Float[Tensor, " p"]:
    """Sum over the samples in front of each, on its ray."""
    total = torch.cat([value.new_zeros(1), value.cumsum(0)])
    return total[:-1] - total[starts[:-1].repeat_interleave(starts.diff())]
