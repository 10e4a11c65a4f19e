"""Where our world lies in the space of somebody else's asset.

An asset that is edited stays where it is, in its own units and with its own up axis; the cameras are moved to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .cameras import Cameras

Axis = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
Vector = tuple[float, float, float]

UNTURNED: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

_AXES: dict[Axis, tuple[Vector, Vector]] = {
    "+y": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "-y": ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    "+z": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "-z": ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "+x": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "-x": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
}
"""Up axis -> (up, front): +y is glTF, -y OpenCV and COLMAP (half a turn about x), +z Blender (front -y)."""


@dataclass(frozen=True)
class Frame:
    """asset point = centre + scale · turn · world point.

    Args:
        scale: units of the asset in one of ours, > 0. turn: rows of a rotation, world axes to the asset's.
        centre: where our origin lies in the asset's space.
    """

    scale: float = 1.0
    turn: tuple[Vector, Vector, Vector] = UNTURNED
    centre: Vector = (0.0, 0.0, 0.0)

    def matrix(self) -> Float[Tensor, "4 4"]:
        """The map as a float64 matrix of homogeneous points."""
        out = torch.eye(4, dtype=torch.float64)
        out[:3, :3] = self.scale * torch.tensor(self.turn, dtype=torch.float64)
        out[:3, 3] = torch.tensor(self.centre, dtype=torch.float64)
        return out

    def to_world(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """(N, 3) float64 world points of points of the asset."""
        turn = torch.tensor(self.turn, dtype=torch.float64)
        return (points.double() - torch.tensor(self.centre, dtype=torch.float64)) @ turn / self.scale

    def cameras(self, cameras: Cameras) -> Cameras:
        """The same cameras in the asset's space; azimuth and elevation still tell the prior what is seen."""
        turn = cameras.c2w.new_tensor(self.turn)
        c2w = cameras.c2w.clone()
        c2w[:, :3, :3] = turn @ cameras.c2w[:, :3, :3]
        c2w[:, :3, 3] = cameras.c2w.new_tensor(self.centre) + self.scale * cameras.position @ turn.T
        return replace(cameras, c2w=c2w, distance=cameras.distance * self.scale)

    def poses_in_world(self, c2w: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
        """(B, 4, 4) float64: the poses in our world of cameras that stand in the asset's space."""
        out = c2w.double().clone()
        out[:, :3, :3] = torch.tensor(self.turn, dtype=torch.float64).T @ c2w.double()[:, :3, :3]
        out[:, :3, 3] = self.to_world(c2w[:, :3, 3])
        return out


def upright(up: Axis, front_deg: float = 0.0) -> tuple[Vector, Vector, Vector]:
    """The turn for an asset of that up axis.

    Args:
        front_deg: azimuth, in degrees as our cameras count, from which the asset shows its front.
    """
    above, front = (torch.tensor(v, dtype=torch.float64) for v in _AXES[up])
    return about_up(torch.stack([torch.linalg.cross(above, front), above, front], dim=1), front_deg)


def nearest_axis(frame: Frame) -> Axis:
    """The axis of the asset that points up the most."""
    up = torch.tensor(frame.turn, dtype=torch.float64)[:, 1]
    return max(_AXES, key=lambda axis: float(torch.tensor(_AXES[axis][0], dtype=torch.float64) @ up))


def upright_along(up: Float[Tensor, " 3"], front_deg: float = 0.0) -> tuple[Vector, Vector, Vector]:
    """The turn for an asset whose up is any direction; its front is that of the nearest axis, made level.

    Args:
        up: float64, not zero. front_deg: as for `upright`.
    """
    above = torch.nn.functional.normalize(up, dim=0)
    axes = {name: torch.tensor(pair, dtype=torch.float64) for name, pair in _AXES.items()}
    front = max(axes.values(), key=lambda pair: float(pair[0] @ above))[1]
    front = torch.nn.functional.normalize(front - (front @ above) * above, dim=0)
    return about_up(torch.stack([torch.linalg.cross(above, front), above, front], dim=1), front_deg)


def about_up(base: Float[Tensor, "3 3"], front_deg: float) -> tuple[Vector, Vector, Vector]:
    """A turn for an asset that shows its front from an azimuth, in degrees, given the one for azimuth 0."""
    angle = math.radians(front_deg)
    c, s = math.cos(angle), math.sin(angle)
    about = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]], dtype=torch.float64)
    a, b, d = (base @ about).tolist()
    return (a[0], a[1], a[2]), (b[0], b[1], b[2]), (d[0], d[1], d[2])


def fitted_frame(
    points: Float[Tensor, "n 3"],
    turn: tuple[Vector, Vector, Vector],
    radius: float,
    share: float = 1.0,
    weights: Float[Tensor, " n"] | None = None,
) -> Frame:
    """The frame in which points are centred by their box and reach as far as `radius`.

    Args:
        points: at least one. radius: world units. share: of the points that count, the others (floaters of a
            capture) may lie outside: ends of the box and the reach are quantiles.
        weights: how much each point counts, >= 0 and not all 0; by default all the same.

    Raises:
        ValueError: the points have no extent.
    """
    p = points.double()
    cut = (1.0 - share) / 2
    w = torch.ones(len(p), dtype=p.dtype) if weights is None else weights.double()
    low, high = (torch.stack([_quantile(p[:, k], w, q) for k in range(3)]) for q in (cut, 1 - cut))
    centre = 0.5 * (low + high)
    far = float(_quantile((p - centre).norm(dim=1), w, share))
    if far <= 0.0:
        raise ValueError("all points lie at one place")
    x, y, z = centre.tolist()
    return Frame(far / radius, turn, (x, y, z))


def _quantile(values: Float[Tensor, " n"], weights: Float[Tensor, " n"], share: float) -> Float[Tensor, ""]:
    """The value below which that share of the weights lies; of equal weights the nearest rank."""
    ranked, order = values.sort()
    before = weights[order].cumsum(0) - weights[order]
    span = float(before[-1])
    place = int((before - share * span).abs().argmin()) if span > 0.0 else 0
    return ranked[place]
