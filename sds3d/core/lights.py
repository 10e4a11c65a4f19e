"""Lights for shaded representations: one key light that may follow the camera, and an ambient term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .cameras import Cameras
from .streams import Streams


@dataclass(frozen=True)
class Lights:
    """Lambertian lighting of B views.

    Args:
        direction: (B, 3) unit vectors from the object to the key light, in world axes.
        key: (B, 3) key light RGB, linear. ambient: (B, 3) ambient RGB, linear.
    """

    direction: Float[Tensor, "b 3"]
    key: Float[Tensor, "b 3"]
    ambient: Float[Tensor, "b 3"]

    def shade(
        self, albedo: Float[Tensor, "b 3 h w"], normal: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Linear radiance albedo * (ambient + key * max(0, n.l)), (B, 3, H, W)."""
        cosine = torch.einsum("bchw,bc->bhw", normal, self.direction).clamp_min(0.0)[:, None]
        return albedo * (self.ambient[:, :, None, None] + self.key[:, :, None, None] * cosine)


def headlight(cameras: Cameras, ambient: float = 0.3) -> Lights:
    """A key light at the camera: what is seen is lit."""
    count, device = len(cameras), cameras.c2w.device
    direction = torch.nn.functional.normalize(cameras.position, dim=-1)
    return Lights(
        direction,
        torch.full((count, 3), 1.0 - ambient, device=device),
        torch.full((count, 3), ambient, device=device),
    )


def random_near_camera(
    cameras: Cameras, streams: Streams, step: int, spread: float = 0.6, ambient: float = 0.3
) -> Lights:
    """A key light around each camera (Poole et al., DreamFusion, 2022: a normal offset of the camera position)."""
    offset = streams.normal((3,), "light", step=step, ids=cameras.ids.tolist()).to(cameras.c2w)
    toward = torch.nn.functional.normalize(cameras.position, dim=-1) + spread * offset
    base = headlight(cameras, ambient)
    return Lights(torch.nn.functional.normalize(toward, dim=-1), base.key, base.ambient)
