"""Which side a noisy picture shows: a camera for a network that needs one where nobody tells it one.

A big text-to-image model that hears "front view" is told no camera: it sees in the noisy picture how the object
stands. Here the text's volume (priors.text_volume) sees it, by analysis through synthesis. Of the directions that the
words allow, the network is told the one whose view fits the noisy picture best, whatever colours the paints have:

    d* = argmin_d min_c ||z_t - A_d c||^2 + r ||c||^2 ,

with A_d (pixels, 6) the view's ground, its paints and its coverage, c (6, channels) their colours and r a small ridge.
With A_d = U S V^T the least value is

    ||z_t||^2 - sum_i h_i |u_i^T z_t|^2 ,    h_i = s_i^2 / (s_i^2 + r) ,

so a text's views are prepared once. At high noise any allowed direction may win, as it should: nothing is seen yet.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from .text_volume import PAINTS, TextVolume
from .views import VIEW_WORDS, side_seen

DIRECTIONS = tuple((float(a), e) for e in (0.0, 20.0, 40.0, 62.0) for a in range(-180, 180, 30))
"""(azimuth, elevation) in degrees of the directions that a picture may show; the highest are "overhead view"."""
PHOTOGRAPHED_DEG = 20.0
"""Up to this elevation a picture looks ordinary; from 40° a mushroom is a disc."""
_SIDE = 8
"""Blocks a side of the picture that is fitted."""
_RIDGE = 1e-3
"""r, for views that lack a paint; A_d's entries are in [0, 1]."""


@cache
def directions_said() -> Bool[Tensor, "w d"]:
    """Row i marks the directions that VIEW_WORDS[i] allows; each is allowed by one word."""
    sides = torch.tensor([side_seen(azimuth, elevation) for azimuth, elevation in DIRECTIONS])
    return sides == torch.arange(len(VIEW_WORDS))[:, None]


@cache
def directions_photographed() -> Bool[Tensor, " d"]:
    """Marks the directions up to PHOTOGRAPHED_DEG."""
    return torch.tensor([elevation <= PHOTOGRAPHED_DEG for _, elevation in DIRECTIONS])


@torch.no_grad()
def views_of(volume: TextVolume, pooled: Float[Tensor, " p"]) -> Float[Tensor, "d s k"]:
    """What each direction's view of a text's volume can paint: sqrt(h_i) u_i over S = 64 blocks of a picture."""
    angles = torch.tensor(DIRECTIONS, device=pooled.device).deg2rad()
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)
    density, paints = (part.expand(len(angles), -1, -1, -1, -1) for part in volume.volume(pooled[None]))
    maps = volume.seen(density, paints, waves[:, 0], waves[:, 1], _SIDE)
    coverage, paints = maps[:, :1], maps[:, 1 : 1 + PAINTS]
    basis = torch.cat([1 - coverage, paints, coverage], dim=1).flatten(2).mT
    u, s, _ = torch.linalg.svd(basis, full_matrices=False)
    h = s.square() / (s.square() + _RIDGE)
    return u * h.sqrt()[:, None]


def best_directions(
    z_t: Float[Tensor, "b c h w"], views: Float[Tensor, "b d s k"], allowed: Bool[Tensor, "b d"]
) -> Float[Tensor, "b 2"]:
    """Azimuth and elevation in degrees of the allowed direction that fits each noisy picture best.

    Args:
        views: `views_of` each row's text. allowed: among DIRECTIONS; the answer of a row without any means
            nothing.
    """
    small = F.adaptive_avg_pool2d(z_t.float(), _SIDE).flatten(2)
    explained = torch.einsum("bdsk,bcs->bdkc", views, small).square().sum((2, 3))
    best = explained.masked_fill(~allowed, -torch.inf).argmax(1)
    return torch.tensor(DIRECTIONS, device=z_t.device)[best]
