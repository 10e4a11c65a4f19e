"""Cameras of an orbit: OpenGL convention, world +Y up, an object's front faces +Z.

`azimuth_deg` 0 stands on +Z and looks at the front; it grows counter-clockwise seen from above (90 = on +X).
`elevation_deg` 0 is the horizon, positive above. A camera looks down its own -Z, +X is right, +Y is up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .streams import Streams

DEFAULT_DISTANCE = 2.4
DEFAULT_FOV_Y_DEG = 45.0


@dataclass(frozen=True)
class Cameras:
    """A batch of B pinhole cameras, square or not; all tensors float32 on one device.

    Args:
        c2w: (B, 4, 4) camera-to-world, columns right, up, back, position.
        fov_y_deg: (B,) vertical field of view in degrees.
        azimuth_deg, elevation_deg: (B,) degrees. distance: (B,) world units to the look-at point.
        group: (B,) int64; views of one object that share a time carry the same number.
        ids: (B,) int64; the key of each view's random streams within a step.
    """

    c2w: Float[Tensor, "b 4 4"]
    fov_y_deg: Float[Tensor, " b"]
    azimuth_deg: Float[Tensor, " b"]
    elevation_deg: Float[Tensor, " b"]
    distance: Float[Tensor, " b"]
    group: Int[Tensor, " b"]
    ids: Int[Tensor, " b"]

    def __len__(self) -> int:
        return len(self.c2w)

    @property
    def position(self) -> Float[Tensor, "b 3"]:
        """(B, 3) world positions."""
        return self.c2w[:, :3, 3]

    def world_to_camera(self) -> Float[Tensor, "b 4 4"]:
        """(B, 4, 4) rigid inverse of c2w (OpenGL camera axes)."""
        rotation = self.c2w[:, :3, :3].transpose(1, 2)
        out = torch.eye(4, dtype=self.c2w.dtype, device=self.c2w.device).repeat(len(self), 1, 1)
        out[:, :3, :3] = rotation
        out[:, :3, 3] = -(rotation @ self.c2w[:, :3, 3:])[:, :, 0]
        return out

    def focal(self, height: int) -> Float[Tensor, " b"]:
        """(B,) focal length in pixels for an image of that height (same in x and y)."""
        return 0.5 * height / torch.tan(torch.deg2rad(self.fov_y_deg) / 2)

    def intrinsics(self, size: tuple[int, int]) -> Float[Tensor, "b 3 3"]:
        """(B, 3, 3) pinhole matrices in pixels; the principal point is the image centre (W/2, H/2)."""
        height, width = size
        k = torch.zeros(len(self), 3, 3, dtype=self.c2w.dtype, device=self.c2w.device)
        k[:, 0, 0] = k[:, 1, 1] = self.focal(height)
        k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = width / 2, height / 2, 1.0
        return k

    def __getitem__(self, index: slice | list[int] | Tensor) -> Cameras:
        """The cameras of an index that keeps the batch axis."""
        if isinstance(index, int):
            index = [index]
        return Cameras(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def to(self, device: torch.device | str) -> Cameras:
        """The same cameras on another device."""
        return Cameras(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def look_at(
    position: Float[Tensor, "b 3"],
    target: Float[Tensor, "b 3"],
    up: tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> Float[Tensor, "b 4 4"]:
    """(B, 4, 4) camera-to-world matrices that look from position to target.

    Straight up or down, where `up` gives no right vector, the camera's right is +X.
    """
    back = torch.nn.functional.normalize(position - target, dim=-1)
    up_vector = torch.tensor(up, dtype=position.dtype, device=position.device).expand_as(back)
    right = torch.linalg.cross(up_vector, back)
    length = right.norm(dim=-1, keepdim=True)
    plus_x = torch.tensor([1.0, 0.0, 0.0], dtype=position.dtype, device=position.device).expand_as(back)
    right = torch.where(length < 1e-6, plus_x, right / length.clamp_min(1e-12))
    true_up = torch.linalg.cross(back, right)
    out = torch.zeros(len(position), 4, 4, dtype=position.dtype, device=position.device)
    out[:, :3] = torch.stack([right, true_up, back, position], dim=-1)
    out[:, 3, 3] = 1.0
    return out


def orbit(
    azimuth_deg: Sequence[float] | Tensor,
    elevation_deg: Sequence[float] | Tensor | float,
    distance: Sequence[float] | Tensor | float = DEFAULT_DISTANCE,
    fov_y_deg: Sequence[float] | Tensor | float = DEFAULT_FOV_Y_DEG,
    *,
    group: Tensor | None = None,
    ids: Tensor | None = None,
) -> Cameras:
    """Cameras on spheres around the origin.

    Args:
        azimuth_deg: (B,) degrees. The others: (B,) or one number for all.
        group, ids: (B,) int64; one group and 0..B-1 by default.
    """
    azimuth = torch.as_tensor(azimuth_deg, dtype=torch.float64)
    elevation, dist, fov = (
        torch.as_tensor(v, dtype=torch.float64).expand_as(azimuth)
        for v in (elevation_deg, distance, fov_y_deg)
    )
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    direction = torch.stack([a.sin() * e.cos(), e.sin(), a.cos() * e.cos()], dim=-1)
    # the right vector follows from the azimuth alone, so that the poles need no special case
    right = torch.stack([a.cos(), torch.zeros_like(a), -a.sin()], dim=-1)
    c2w = torch.zeros(len(azimuth), 4, 4, dtype=torch.float64)
    c2w[:, :3] = torch.stack(
        [right, torch.linalg.cross(direction, right), direction, direction * dist[:, None]], dim=-1
    )
    c2w[:, 3, 3] = 1.0
    count = len(azimuth)
    return Cameras(
        c2w=c2w.float(),
        fov_y_deg=fov.float(),
        azimuth_deg=azimuth.float(),
        elevation_deg=elevation.float(),
        distance=dist.float(),
        group=torch.zeros(count, dtype=torch.int64) if group is None else group,
        ids=torch.arange(count) if ids is None else ids,
    )


def turntable(
    count: int,
    elevation_deg: float = 15.0,
    distance: float = DEFAULT_DISTANCE,
    fov_y_deg: float = DEFAULT_FOV_Y_DEG,
    start_deg: float = 0.0,
) -> Cameras:
    """`count` cameras at equal azimuth steps, starting in front."""
    return orbit([start_deg + 360.0 * k / count for k in range(count)], elevation_deg, distance, fov_y_deg)


class Sampler(Protocol):
    """Where the views of a step stand."""

    def sample(self, streams: Streams, step: int, views: int) -> Cameras | None:
        """`views` cameras of one object with ids 0 … views-1, or None: a pure function of (seed, step)."""
        ...


@dataclass(frozen=True)
class Still:
    """No camera, for media that have none; or one direction for every view, which only the prior hears of.

    Args:
        azimuth_deg, elevation_deg: degrees, both or none.
    """

    azimuth_deg: float | None = None
    elevation_deg: float | None = None

    def sample(self, streams: Streams, step: int, views: int) -> Cameras | None:
        """The same at every step."""
        if self.azimuth_deg is None or self.elevation_deg is None:
            return None
        return orbit([self.azimuth_deg] * views, self.elevation_deg)


@dataclass(frozen=True)
class OrbitSampler:
    """Random orbit cameras of a step, stratified in azimuth over the batch.

    Args:
        azimuth_deg, elevation_deg, distance, fov_y_deg: (low, high) ranges.
        azimuth_jitter: width of the jitter of each view in its stratum, as a share of it in [0, 1]; 1 is
            plain stratified sampling, 0 equal steps from a random start.
    """

    azimuth_deg: tuple[float, float] = (-180.0, 180.0)
    elevation_deg: tuple[float, float] = (-10.0, 60.0)
    distance: tuple[float, float] = (DEFAULT_DISTANCE, DEFAULT_DISTANCE)
    fov_y_deg: tuple[float, float] = (DEFAULT_FOV_Y_DEG, DEFAULT_FOV_Y_DEG)
    azimuth_jitter: float = 0.45

    def sample(self, streams: Streams, step: int, views: int) -> Cameras:
        """`views` cameras of that step: a pure function of (seed, step)."""
        ids = list(range(views))
        u = streams.uniform((4,), "camera", step=step, ids=ids)
        start = float(streams.uniform((), "camera-start", step=step)[0])
        low, high = self.azimuth_deg
        stratum = torch.arange(views, dtype=torch.float64) + self.azimuth_jitter * (u[:, 0] - 0.5)
        closed = math.isclose(high - low, 360.0)
        # on a full circle the strata start anywhere; on an arc they fill it from end to end
        share = torch.remainder((stratum + start * views) / views, 1.0) if closed else (stratum + 0.5) / views
        azimuth = low + (high - low) * share

        def spread(limits: tuple[float, float], column: int) -> Tensor:
            return limits[0] + (limits[1] - limits[0]) * u[:, column]

        return orbit(
            azimuth, spread(self.elevation_deg, 1), spread(self.distance, 2), spread(self.fov_y_deg, 3)
        )


def rays(
    cameras: Cameras, size: tuple[int, int], jitter: Float[Tensor, "b h w 2"] | None = None
) -> tuple[Float[Tensor, "b h w 3"], Float[Tensor, "b h w 3"]]:
    """World-space rays through pixel centres.

    Args:
        size: (height, width) in pixels. jitter: offsets in pixels in [-0.5, 0.5], (x, y).

    Returns:
        origins, unit directions: each (B, H, W, 3). Row 0 is the top of the image.
    """
    height, width = size
    device, dtype = cameras.c2w.device, cameras.c2w.dtype
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=dtype) + 0.5,
        torch.arange(width, device=device, dtype=dtype) + 0.5,
        indexing="ij",
    )
    pixel = torch.stack([x, y], dim=-1).expand(len(cameras), height, width, 2)
    if jitter is not None:
        pixel = pixel + jitter.to(pixel)
    focal = cameras.focal(height)[:, None, None]
    local = torch.stack(
        [
            (pixel[..., 0] - width / 2) / focal,
            (height / 2 - pixel[..., 1]) / focal,
            -torch.ones_like(pixel[..., 0]),
        ],
        dim=-1,
    )
    directions = torch.einsum("bij,bhwj->bhwi", cameras.c2w[:, :3, :3], local)
    origins = cameras.position[:, None, None].expand_as(directions)
    return origins, torch.nn.functional.normalize(directions, dim=-1)


def axis_cosine(cameras: Cameras, directions: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 1 h w"]:
    """Cosine between rays, unit vectors in world axes, and the viewing axis: times distance along a ray it is depth."""
    ahead = -cameras.c2w[:, None, None, :3, 2].to(directions)
    return (directions * ahead).sum(-1)[:, None]


def of_objects(sampler: Sampler, streams: Streams, step: int, views: int, objects: int) -> Cameras | None:
    """The cameras of a step that sees several objects, each from `views` places of its own.

    Returns:
        Cameras whose group is the object and whose ids are distinct, object by object; None as the sampler.
    """
    each = [sampler.sample(streams.particle(k), step, views) for k in range(objects)]
    if objects == 1:
        return each[0]
    kept = [cameras for cameras in each if cameras is not None]
    if not kept:
        return None
    apart = max(views, *(1 + int(c.ids.max()) for c in kept))
    numbered = [
        replace(c, group=torch.full_like(c.group, k), ids=c.ids + k * apart) for k, c in enumerate(kept)
    ]
    return Cameras(*(torch.cat([getattr(c, n) for c in numbered]) for n in Cameras.__dataclass_fields__))
