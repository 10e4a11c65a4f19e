"""What a representation is asked to render, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cameras import Cameras
from .lights import Lights

Render = Mapping[str, Tensor]
"""audio (B, C, T) in [-1, 1] of sounds;
rgb (B, 3, H, W) display-referred in [0, 1], already over the background; alpha (B, 1, H, W);
depth (B, 1, H, W) along the view axis, expected value where alpha > 0; normal (B, 3, H, W) in [-1, 1] …"""


@dataclass(frozen=True)
class Look:
    """One request to render.

    Args:
        cameras: B cameras, or None for media without one (image, audio).
        size: (height, width) in pixels.
        background: (B, 3) RGB in [0, 1].
        lights: lights for shaded representations; None leaves the colours as they are.
        time: (B,) seconds for dynamic scenes, or None.
        want: names of the outputs needed; a representation may give more.
        jitter: (B, H, W, 2) pixel offsets for anti-aliased training rays, or None for pixel centres.
        ray_offset: (B, H, W) in [0, 1): where in its first interval each ray starts, or None for the middle.
        part: number of the part that is asked for, where there are several, as sources of a recording.
        group: (B,) int64, what Cameras.group is for views that have cameras; None: all views are of one object.
    """

    cameras: Cameras | None
    size: tuple[int, int]
    background: Float[Tensor, "b 3"]
    lights: Lights | None = None
    time: Float[Tensor, " b"] | None = None
    want: frozenset[str] = field(default_factory=lambda: frozenset({"rgb", "alpha"}))
    jitter: Float[Tensor, "b h w 2"] | None = None
    ray_offset: Float[Tensor, "b h w"] | None = None
    group: Int[Tensor, " b"] | None = None
    part: int = 0

    def __len__(self) -> int:
        return len(self.background)

    @property
    def objects(self) -> Int[Tensor, " b"]:
        """(B,) int64 on the CPU: the number of the object that each view shows."""
        found = self.group if self.cameras is None else self.cameras.group
        return torch.zeros(len(self), dtype=torch.int64) if found is None else found.cpu()

    def rows(self, index: Int[Tensor, " n"]) -> Look:
        """The views of an index, in its order."""
        every: dict[str, Any] = {n: getattr(self, n) for n in ("time", "jitter", "ray_offset", "group")}
        some: dict[str, Any] = {n: None if value is None else value[index] for n, value in every.items()}
        return replace(
            self,
            cameras=None if self.cameras is None else self.cameras[index],
            background=self.background[index],
            lights=None if self.lights is None else self.lights[index],
            **some,
        )
