"""Which side a noisy picture shows, for a network that reads its camera where nobody tells it one.

A big text-to-image model that hears "front view" is told no camera: it sees in the noisy picture how the object
stands. Here the text's volume (priors.text_volume) sees it, by analysis through synthesis. Of the directions that the
words allow, the network is told the one whose view fits the noisy picture best, whatever colours the paints have:

    d* = argmin_d min_c ||z_t - A_d c||^2 ,

with A_d (pixels, 6) the view's ground, its paints and its coverage, and c (6, channels) their colours. At high noise
any allowed direction may win, as it should: nothing is seen yet.
"""

from __future__ import annotations

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
_RIDGE = 1e-3


def directions_said() -> Bool[Tensor, "w d"]:
    """Row i marks the directions that VIEW_WORDS[i] allows; each is allowed by one word."""
    sides = torch.tensor([side_seen(azimuth, elevation) for azimuth, elevation in DIRECTIONS])
    return sides == torch.arange(len(VIEW_WORDS))[:, None]


@torch.no_grad()
def best_directions(
    z_t: Float[Tensor, "b c h w"],
    volume: TextVolume,
    pooled: Float[Tensor, "b p"],
    allowed: Bool[Tensor, "b d"],
) -> Float[Tensor, "b 2"]:
    """Azimuth and elevation in degrees of the allowed direction that fits each noisy picture best.

    Args:
        pooled: of the text whose volume is placed. allowed: among DIRECTIONS; the first one where none is.
    """
    angles = torch.tensor(DIRECTIONS, device=z_t.device)
    waves = torch.stack([angles.deg2rad().sin(), angles.deg2rad().cos()], dim=-1)
    row, candidate = allowed.nonzero().unbind(1)
    density, paints = volume.volume(pooled)
    azimuth, elevation = waves[candidate].unbind(1)
    maps = volume.seen(density[row], paints[row], azimuth, elevation, _SIDE)
    small = F.adaptive_avg_pool2d(z_t.float(), _SIDE).flatten(2).mT
    misfit = torch.full(allowed.shape, torch.inf, device=z_t.device)
    misfit[row, candidate] = unexplained(small[row], maps)
    return angles[misfit.argmin(1)]


def unexplained(picture: Float[Tensor, "n s c"], maps: Float[Tensor, "n m h w"]) -> Float[Tensor, " n"]:
    """Squared distance of pictures from what a view's maps can paint in any colours (ridge regression).

    Args:
        picture: S = h w pixels. maps: as `TextVolume.seen` gives them.
    """
    coverage, paints = maps[:, :1], maps[:, 1 : 1 + PAINTS]
    basis = torch.cat([1 - coverage, paints, coverage], dim=1).flatten(2).mT
    ridge = _RIDGE * torch.eye(basis.shape[-1], device=basis.device)
    colours = torch.linalg.solve(basis.mT @ basis + ridge, basis.mT @ picture)
    return (picture - basis @ colours).square().sum((1, 2))
