"""The plain torch definition of sampled rays: every faster implementation must agree with this file.

Samples lie behind each other, ray by ray and nearest first; those of ray n are starts[n] ... starts[n + 1] - 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .march_twin import intervals


def sample(
    occupied: Bool[Tensor, "r r r"],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    offsets: Float[Tensor, " n"],
    half: float,
    samples: int,
) -> tuple[
    Int[Tensor, " m"], Int[Tensor, " p"], Float[Tensor, " p"], Float[Tensor, " p"], Float[Tensor, "p 3"]
]:
    """The samples of `march_twin.march` that lie in occupied cells of the cube [-half, half]^3.

    In float64, so that every implementation takes the same ones.

    Returns:
        starts (N + 1,), ray (P,), distance (P,), length of the interval (P,), points (P, 3).
    """
    near, step, count = intervals(origins, directions, half, samples)
    index = torch.arange(samples, dtype=torch.float64, device=origins.device)
    distance = near[:, None] + (index + offsets[:, None].double()) * step[:, None]
    points = origins[:, None].double() + distance[..., None] * directions[:, None].double()
    size = len(occupied)
    cell = ((points + half) * (size / (2.0 * half))).floor().clamp(0, size - 1).long()
    inside = occupied[cell[..., 2], cell[..., 1], cell[..., 0]] & (index < count[:, None])
    starts = torch.cat([inside.new_zeros(1, dtype=torch.int64), inside.sum(1).cumsum(0)])
    ray = inside.nonzero()[:, 0]
    kind = origins.dtype
    length = step.to(kind)[ray]
    return starts, ray, distance[inside].to(kind), length, points[inside].to(kind).clamp(-half, half)


def weights(
    density: Float[Tensor, " p"], length: Float[Tensor, " p"], starts: Int[Tensor, " m"], stop: float
) -> Float[Tensor, " p"]:
    """Emission and absorption: w_i = T_i (1 - exp(-density_i length_i)), T_i = exp(-sum_{j<i} density_j length_j)
    over the samples of a ray (Max 1995), and w_i = 0 once T_i < stop."""
    thickness = (density * length).double()
    total = torch.cat([thickness.new_zeros(1), thickness.cumsum(0)])
    counts = starts.diff()
    in_front = total[:-1] - total[starts[:-1].repeat_interleave(counts)]
    before = torch.exp(-in_front).to(density.dtype)
    weight = before * -torch.expm1(-thickness).to(density.dtype)
    return torch.where(before >= stop, weight, torch.zeros_like(weight))


def accumulate(
    weight: Float[Tensor, " p"], values: Float[Tensor, "p c"], starts: Int[Tensor, " m"]
) -> Float[Tensor, "n c"]:
    """sum_i w_i value_i over the samples of each ray."""
    counts = starts.diff()
    ray = torch.arange(len(counts), device=starts.device).repeat_interleave(counts)
    zeros = values.new_zeros(len(counts), values.shape[1])
    return zeros.index_add(0, ray, weight[:, None] * values)
