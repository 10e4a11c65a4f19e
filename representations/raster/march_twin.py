"""The plain torch definition of the grid kernels: every faster implementation must agree with this file.

A volume is a dense grid (R, R, R, 4) with axes z, y, x and channels density, red, green, blue. Its corner
samples lie on the faces of the cube [-half, half]^3, and between them it is trilinear. Density is extinction
per world unit; colour is display-referred.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def compose(
    levels: Sequence[Float[Tensor, "l l l 4"]],
    bias: Float[Tensor, "r r r"],
    density_gain: float,
    color_gain: float,
) -> Float[Tensor, "r r r 4"]:
    """Sum the levels at the finest resolution and activate.

    raw     = sum over levels of trilinear upsampling (corners on corners)
    density = density_gain * softplus(raw_0 + bias), zero where bias is -inf
    colour  = sigmoid(color_gain * raw_1..3)
    """
    size = tuple(bias.shape)
    raw = torch.zeros(*size, 4, dtype=bias.dtype, device=bias.device)
    for level in levels:
        channels_first = level.permute(3, 0, 1, 2)[None]
        raw = raw + F.interpolate(channels_first, size=size, mode="trilinear", align_corners=True)[0].permute(
            1, 2, 3, 0
        )
    density = density_gain * F.softplus(raw[..., :1] + bias[..., None])
    return torch.cat([density, torch.sigmoid(color_gain * raw[..., 1:])], dim=-1)


def intervals(
    origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], radius: float, samples: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Where each ray crosses the ball: entry distance, interval length, number of intervals.

    A full diameter has `samples` intervals; a shorter chord has as many as keep them no longer than that,
    all equal. Rays that miss have none. Float64, so that every implementation counts alike.
    """
    o, d = origins.double(), directions.double()
    middle = -(o * d).sum(-1)
    half_chord = (radius**2 - (o * o).sum(-1) + middle**2).clamp_min(0.0).sqrt()
    near = (middle - half_chord).clamp_min(0.0)
    chord = (middle + half_chord - near).clamp_min(0.0)
    # the small number keeps a diameter, whose quotient may round up, at `samples`
    count = torch.ceil(chord * (samples / (2.0 * radius)) - 1e-6).clamp_min(0.0)
    return near, chord / count.clamp_min(1.0), count


def sample_volume(
    volume: Float[Tensor, "r r r c"], points: Float[Tensor, "*p 3"], half: float
) -> Float[Tensor, "*p c"]:
    """Trilinear values of the volume at world points inside the cube."""
    grid = (points / half).reshape(1, 1, 1, -1, 3)
    values = F.grid_sample(
        volume.permute(3, 0, 1, 2)[None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[0, :, 0, 0].T.reshape(*points.shape[:-1], volume.shape[-1])


def march(
    volume: Float[Tensor, "r r r 4"],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    offsets: Float[Tensor, " n"],
    half: float,
    samples: int,
    stop: float,
) -> Float[Tensor, "n 5"]:
    """Emission and absorption along rays through the ball of radius `half`.

    One sample an interval i of length d, at distance t_i = near + (i + offset) d:
    T_i = exp(-sum_{j<i} density_j d),  w_i = T_i (1 - exp(-density_i d)), and w_i = 0 once T_i < stop.

    Returns:
        (N, 5): sum w colour (3), sum w (alpha), sum w t (alpha times mean distance).
    """
    near, step, count = (v.to(volume.dtype) for v in intervals(origins, directions, half, samples))
    index = torch.arange(samples, dtype=volume.dtype, device=volume.device)
    inside = index < count[:, None]
    distance = near[:, None] + (index + offsets[:, None]) * step[:, None]
    values = sample_volume(volume, origins[:, None] + distance[..., None] * directions[:, None], half)
    thickness = torch.where(inside, values[..., 0] * step[:, None], torch.zeros_like(distance))
    before = torch.exp(thickness - thickness.cumsum(-1))
    weight = torch.where(before >= stop, before * -torch.expm1(-thickness), torch.zeros_like(before))
    color = (weight[..., None] * values[..., 1:]).sum(1)
    return torch.cat([color, weight.sum(1)[:, None], (weight * distance).sum(1)[:, None]], dim=-1)


def total_variation(volume: Float[Tensor, "r r r 4"], weights: Sequence[float]) -> Float[Tensor, ""]:
    """sum over axes, neighbours and channels c of weights[c] (difference)^2."""
    scale = torch.tensor(weights, dtype=volume.dtype, device=volume.device)
    terms = [(torch.diff(volume, dim=axis) ** 2 * scale).sum() for axis in range(3)]
    return terms[0] + terms[1] + terms[2]
