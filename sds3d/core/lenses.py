"""Lenses of photographs: where a ray falls on a picture, by the camera models of COLMAP and OpenCV.

A camera looks along +Z with x right and y down. A point (X, Y, Z) falls on (fx x' + cx, fy y' + cy), pixels from the
top left corner of the picture, where (x', y') is (X / Z, Y / Z) bent by the lens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

COLMAP: dict[str, int] = {
    "SIMPLE_PINHOLE": 3,
    "PINHOLE": 4,
    "SIMPLE_RADIAL": 4,
    "RADIAL": 5,
    "OPENCV": 8,
    "OPENCV_FISHEYE": 8,
    "FULL_OPENCV": 12,
    "FOV": 5,
    "SIMPLE_RADIAL_FISHEYE": 4,
    "RADIAL_FISHEYE": 5,
    "THIN_PRISM_FISHEYE": 12,
}
"""COLMAP's models in the order of their numbers -> count of their parameters."""

UNREAD = ("FOV", "THIN_PRISM_FISHEYE")
"""Models of COLMAP that have no formula here."""


@dataclass(frozen=True)
class Lens:
    """One camera's picture and lens.

    Args:
        width, height: of the picture, pixels. fx, fy: focal lengths in pixels. cx, cy: the principal point in pixels
            from the top left corner of the picture.
        kind: "brown" bends by the radius, "fisheye" by the angle to the axis.
        radial: brown (k1, k2, k3, k4, k5, k6): times (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶); fisheye
            (k1, k2, k3, k4): θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸) in the place of r. Shorter: the others are 0.
        tangential: brown (p1, p2).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    kind: Literal["brown", "fisheye"] = "brown"
    radial: tuple[float, ...] = ()
    tangential: tuple[float, float] = (0.0, 0.0)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Everything that has to be finite."""
        return (self.fx, self.fy, self.cx, self.cy, *self.radial, *self.tangential)

    @property
    def straight(self) -> bool:
        """Whether straight lines stay straight."""
        return self.kind == "brown" and not any((*self.radial, *self.tangential))

    def resized(self, width: int, height: int) -> Lens:
        """The same lens before a picture of another size."""
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * x,
            fy=self.fy * y,
            cx=self.cx * x,
            cy=self.cy * y,
        )

    def bent(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """(X / Z, Y / Z) through the lens."""
        if self.straight:
            return xy
        x, y = xy.unbind(-1)
        rr = x * x + y * y
        k = (*self.radial, *(0.0,) * (6 - len(self.radial)))
        if self.kind == "fisheye":
            r = rr.sqrt()
            theta = r.atan()
            tt = theta * theta
            along = theta * (1 + tt * (k[0] + tt * (k[1] + tt * (k[2] + tt * k[3]))))
            factor = torch.where(r > 1e-9, along / r.clamp_min(1e-9), torch.ones_like(r))
            return xy * factor[..., None]
        up = 1 + rr * (k[0] + rr * (k[1] + rr * k[2]))
        down = 1 + rr * (k[3] + rr * (k[4] + rr * k[5]))
        p1, p2 = self.tangential
        aside = torch.stack(
            [2 * p1 * x * y + p2 * (rr + 2 * x * x), 2 * p2 * x * y + p1 * (rr + 2 * y * y)], dim=-1
        )
        return xy * (up / down)[..., None] + aside

    def project(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Pixels of points before the camera, in its own axes (right, down, forward)."""
        bent = self.bent(points[..., :2] / points[..., 2:])
        return bent * bent.new_tensor([self.fx, self.fy]) + bent.new_tensor([self.cx, self.cy])


def of_colmap(model: str, width: int, height: int, values: Sequence[float]) -> Lens:
    """The lens of a COLMAP camera.

    Args:
        model: a name in COLMAP. values: its parameters in COLMAP's order.

    Raises:
        ValueError: there is no such model or its formula is not known here, or the parameters are more or fewer.
    """
    if model not in COLMAP or model in UNREAD:
        read = ", ".join(name for name in COLMAP if name not in UNREAD)
        raise ValueError(f"is of the model {model[:40]}; sds3d reads {read}")
    if len(values) != COLMAP[model]:
        raise ValueError(f"has {len(values)} parameters, and {model} has {COLMAP[model]}")
    one = model.startswith("SIMPLE") or model in ("RADIAL", "RADIAL_FISHEYE")
    fx, *rest = values
    fy, cx, cy, *bend = (fx, *rest) if one else rest
    if "FISHEYE" in model:
        return Lens(width, height, fx, fy, cx, cy, "fisheye", tuple(bend))
    if model in ("OPENCV", "FULL_OPENCV"):
        k1, k2, p1, p2, *more = bend
        return Lens(width, height, fx, fy, cx, cy, "brown", (k1, k2, *more), (p1, p2))
    return Lens(width, height, fx, fy, cx, cy, "brown", tuple(bend))
