"""Second faces by the true shape: which side of the true object does each view show?

Views on a ring of azimuths are matched with renders of the true mesh from all around. As the camera goes round once,
the side that is seen must go round once (winding 1) and face the camera once (one front). Two fronts, the "Janus
problem" of score distillation (Poole et al. 2022, arXiv 2209.14988, §5), break both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_FRONT_DEG = 45.0
_CHANCE = 2
"""A front that one single view shows may be a mistaken match; one that two neighbours show is counted."""

_NEIGHBOURS_DEG, _LONE_DEG = 60.0, 90.0


@dataclass(frozen=True)
class Headings:
    """What the views show.

    Args:
        seen_deg: the true azimuth that each view looks like, in (-180, 180].
        error_deg: median distance to the azimuth of the camera, in [0, 180].
        turn_deg: how far the whole object is turned: the shift that makes the median error least.
        turned_error_deg: that least error: what is wrong beside the turn.
        winding: times that the seen side goes round while the camera goes round once; 1 where all is well.
        fronts: separate arcs of azimuth that show the front.
    """

    seen_deg: tuple[float, ...]
    error_deg: float
    turn_deg: float
    turned_error_deg: float
    winding: int
    fronts: int

    @property
    def second_face(self) -> bool:
        """Whether the front can be seen from more than one side."""
        return self.fronts > 1


def headings(camera_deg: Sequence[float], seen_deg: Sequence[float]) -> Headings:
    """What follows from matched azimuths.

    Args:
        camera_deg: azimuths of the views, once around in growing order. seen_deg: the matched ones.

    Raises:
        ValueError: fewer than four views, or two sequences of different length.
    """
    if len(camera_deg) != len(seen_deg) or len(camera_deg) < 4:
        raise ValueError(f"needs four views and a match each, got {len(camera_deg)} and {len(seen_deg)}")
    camera = torch.tensor(camera_deg, dtype=torch.float64)
    seen = torch.tensor(seen_deg, dtype=torch.float64)
    off = wrapped(seen - camera)
    turns = torch.unique(off)
    errors = torch.stack([_median(wrapped(off - turn).abs()) for turn in turns])
    best = int(errors.argmin())
    steps = wrapped(seen.roll(-1) - seen)
    return Headings(
        tuple(wrapped(seen).tolist()),
        float(_median(off.abs())),
        float(turns[best]),
        float(errors[best]),
        round(float(steps.sum()) / 360.0),
        _arcs(wrapped(seen).abs() <= _FRONT_DEG),
    )


def without_lone(seen_deg: Sequence[float]) -> list[float]:
    """Matched azimuths of a dense ring, each lone one put midway between its neighbours.

    Lone is a view that is taken for a side over 90° away from those that both its neighbours are taken for, where these
    are at most 60° apart: a front without a face that matches the back. A second face is seen from a wider arc.
    """
    seen = torch.tensor(seen_deg, dtype=torch.float64)
    before, after = seen.roll(1), seen.roll(-1)
    between = wrapped(after - before)
    away = torch.minimum(wrapped(seen - before).abs(), wrapped(seen - after).abs())
    lone = (between.abs() <= _NEIGHBOURS_DEG) & (away > _LONE_DEG)
    return wrapped(torch.where(lone, before + between / 2, seen)).tolist()


def wrapped(degrees: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Angles in (-180, 180]."""
    return -(torch.remainder(180.0 - degrees, 360.0) - 180.0) + 0.0


def _median(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    return torch.quantile(values, 0.5)


def _arcs(front: Tensor) -> int:
    """Runs of at least _CHANCE neighbours on the closed ring."""
    if bool(front.all()):
        return 1
    start = int((~front).nonzero()[0])
    count = run = 0
    for flag in [*front.roll(-start).tolist(), False]:
        if flag:
            run += 1
            continue
        count += run >= _CHANCE
        run = 0
    return count


def match(
    shown: dict[str, Tensor], truth: dict[str, Tensor], shape_only: bool = False
) -> Float[Tensor, "n m"]:
    """How unlike each shown view and each true view are, in [0, 1].

    The mean over the pixels of either silhouette of: 1 where only one of them is, else half the difference of depth
    (relative to the nearest-to-farthest span of the true object, at most 1) and half that of colour.

    Args:
        shown, truth: "rgb" (·, 3, H, W), "alpha" (·, 1, H, W), "depth" (·, 1, H, W) of n and m views, from equal
            distances and elevations. shape_only: leave colour out.
    """
    a, b = (views["alpha"][:, 0] > 0.5 for views in (shown, truth))
    depths = truth["depth"][:, 0][b]
    span = float(depths.max() - depths.min()) if depths.numel() else 1.0
    rows = []
    for k in range(len(a)):
        both, either = a[k] & b, a[k] | b
        depth = ((shown["depth"][k] - truth["depth"])[:, 0].abs() / max(span, 1e-6)).clamp(max=1.0)
        paint = (shown["rgb"][k] - truth["rgb"]).abs().mean(1).clamp(max=1.0)
        inside = depth if shape_only else 0.5 * (depth + paint)
        unlike = torch.where(both, inside, either.float()).flatten(1).sum(1)
        rows.append(unlike / either.flatten(1).sum(1).clamp_min(1))
    return torch.stack(rows)
