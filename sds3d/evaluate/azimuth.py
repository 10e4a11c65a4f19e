"""Which side of the true object does a picture show? Found by its outline and colours, whatever the light.

A picture is compared with flat renders of the true mesh, in a few builds, from all around. Every pixel of the true
object may be darker or brighter, within the range of shades that light makes: the light of the training pictures
stands still in the world, so that a matcher that saw it would read the azimuth off the light alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh
from ..core.cameras import turntable
from .mesh_render import render_mesh

SIDES = 24
"""Azimuths that a picture may be matched to: every 15°."""
_SIZE = 32
_SHADES = (0.35, 1.1)
"""Least and greatest brightness of a paint in the light; `training.layers.shade` makes .38 to 1.06."""
_FULL = 0.5
"""A colour this far off (Euclidean distance in RGB) counts as a wrong pixel, and a farther one no more."""


@dataclass(frozen=True)
class TrueViews:
    """The true object from all around, at one elevation and on one background.

    Args:
        paint: unlit colour times coverage, 0 outside the object; alpha: coverage; both in [0, 1].
        background: RGB in [0, 1]. azimuth_deg: of the m views, in [0, 360).
    """

    paint: Float[Tensor, "m 3 s s"]
    alpha: Float[Tensor, "m 1 s s"]
    background: Float[Tensor, " 3"]
    azimuth_deg: Float[Tensor, " m"]


def true_views(
    builds: Sequence[Mesh], elevation_deg: float, background: Float[Tensor, " 3"] | None = None
) -> TrueViews:
    """Renders of the builds of one object to match with.

    Args:
        builds: one or more meshes with vertex colours, of which the one that fits best counts at each azimuth.
        background: RGB of the pictures that will be matched; white by default.
    """
    white = torch.ones(3) if background is None else background
    ring = turntable(SIDES, elevation_deg)
    views = [render_mesh(m, ring, (_SIZE, _SIZE), torch.zeros(SIDES, 3), samples=3) for m in builds]
    paint, alpha = (torch.cat([v[name] for v in views]) for name in ("rgb", "alpha"))
    return TrueViews(paint, alpha, white, ring.azimuth_deg.repeat(len(views)))


def unlikeness(shown: Float[Tensor, "n 3 h w"], truth: TrueViews) -> Float[Tensor, "n m"]:
    """How far each picture is from each true view, in [0, 1]: the mean over the pixels of their distance.

    Args:
        shown: square pictures in [0, 1] from the truth's elevation, on its background.

    Raises:
        ValueError: pictures smaller than the matching size.
    """
    if shown.shape[-1] != shown.shape[-2] or shown.shape[-1] < _SIZE:
        raise ValueError(f"needs square pictures of {_SIZE} pixels or more, got {tuple(shown.shape[-2:])}")
    small = F.interpolate(shown, size=(_SIZE, _SIZE), mode="area")
    behind = (1.0 - truth.alpha) * truth.background[:, None, None]
    power = truth.paint.square().sum(1, keepdim=True).clamp_min(1e-9)
    rows = []
    for picture in small:
        lit = picture - behind
        shade = ((lit * truth.paint).sum(1, keepdim=True) / power).clamp(*_SHADES)
        off = (lit - shade * truth.paint).square().sum(1).sqrt()
        rows.append((off / _FULL).clamp(max=1.0).mean((1, 2)))
    return torch.stack(rows)


def azimuths_seen(shown: Float[Tensor, "n 3 h w"], truth: TrueViews) -> Float[Tensor, " n"]:
    """Azimuth in degrees, in [0, 360), of the true view that is nearest to each picture."""
    return truth.azimuth_deg[unlikeness(shown, truth).argmin(1)]
