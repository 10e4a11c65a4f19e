"""How near an asset's shape is to what a sentence may mean: outlines and surfaces against several true builds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh
from ..core.streams import Streams
from .chamfer import around, chamfer, visible_points
from .mesh_render import render_mesh
from .silhouette import silhouette_iou
from .views import outline_cameras

_POINTS = 20_000
"""Spread over each surface before the hidden ones are left out; see chamfer.mesh_chamfer for their floor."""


@dataclass(frozen=True)
class Likeness:
    """Scores against the true builds, the mean over them and the best one.

    Args:
        iou, iou_best: of silhouettes over the eight outline cameras, in [0, 1].
        chamfer, chamfer_best: of the surfaces that can be seen, in percent of the true bounding box's diagonal.
        turn_deg: the turn of the whole asset, in steps of 45°, at which the mean IoU is greatest.
        iou_turned, chamfer_turned: the means when it is so turned: what is wrong with the shape beside its heading.
    """

    iou: float
    iou_best: float
    chamfer: float
    chamfer_best: float
    turn_deg: float
    iou_turned: float
    chamfer_turned: float


def likeness(alpha: Float[Tensor, "8 1 s s"], mesh: Mesh, builds: Sequence[Mesh]) -> Likeness:
    """Scores of one asset.

    Args:
        alpha: the asset from views.outline_cameras, in [0, 1]; mesh: its surface. builds: one or more true meshes.
    """
    size = (alpha.shape[-2], alpha.shape[-1])
    expected = [render_mesh(b, outline_cameras(), size)["alpha"] for b in builds]
    turns = torch.tensor(
        [[float(silhouette_iou(alpha.roll(k, 0), e).mean()) for e in expected] for k in range(len(alpha))]
    )
    best = int(turns.mean(1).argmax())
    turn_deg = best * 360.0 / len(alpha)
    seen = _seen(mesh, "judged")
    true = [(_seen(b, "truth"), b.bounds().diagonal) for b in builds]
    straight, turned = (
        [_percent(turned_points(seen, degrees), *each) for each in true] for degrees in (0.0, turn_deg)
    )
    return Likeness(
        iou=float(turns[0].mean()),
        iou_best=float(turns[0].max()),
        chamfer=fmean(straight),
        chamfer_best=min(straight),
        turn_deg=turn_deg,
        iou_turned=float(turns[best].mean()),
        chamfer_turned=fmean(turned),
    )


def _seen(mesh: Mesh, tag: str) -> Float[Tensor, "n 3"]:
    return visible_points(mesh, around(), _POINTS, Streams(0), tag)


def _percent(points: Float[Tensor, "n 3"], truth: Float[Tensor, "m 3"], diagonal: float) -> float:
    """An asset of which nothing can be seen is as far off as the object is large."""
    return 100.0 * chamfer(points, truth).mean / diagonal if len(points) else 100.0


def turned_points(points: Float[Tensor, "n 3"], degrees: float) -> Float[Tensor, "n 3"]:
    """The points turned about +Y: what the camera saw at azimuth a, it sees at a + degrees."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ points.new_tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]).T
