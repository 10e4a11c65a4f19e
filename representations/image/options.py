"""Options of a picture."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules
from sds3d.core.cameras import Sampler, Still

from ..base import RepresentationOptions

FRONT_DEG, ABOVE_DEG = 0.0, 15.0
"""Azimuth and elevation of a camera that is given by half."""


class Options(RepresentationOptions):
    """A picture: pixels, or latents of the prior. No camera goes around it, and nothing of it is 3D."""

    forms: ClassVar[frozenset[str]] = frozenset({"picture"})

    kind: Literal["image"] = "image"
    """Name of the representation."""
    space: Literal["pixels", "latents"] = "pixels"
    """What is optimised: pixels in [0, 1], or what the prior's decoder makes a picture of."""
    size: int | None = Field(default=None, ge=1, le=4096)
    """Side in pixels of a square picture. Default: the prior's own size; latents always have that."""
    init: str = "noise"
    """noise, grey, or the path of a PNG or JPEG file, of which the middle is taken."""
    initial_noise: float = Field(default=0.3, ge=0.0)
    """Standard deviation of the initial noise around grey, in units of the prior's z (pixels span 2)."""
    clamp: bool = True
    """Keep pixels in [0, 1] after each step; off lets them leave it, as a sampler's states do."""
    azimuth_deg: float | None = Field(default=None, ge=-360.0, le=360.0)
    """Camera that the prior is told, 0 = front. Default: none is told; prior64 then guesses it from the picture."""
    elevation_deg: float | None = Field(default=None, ge=-90.0, le=90.0)
    """Its elevation; 15 where only the azimuth is given."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour (RGB in [0, 1]) of which the prior is told that it lies behind the object."""
    lr: Scalar = schedules.parse({"linear": [0.02, 0.005]})
    """Learning rate of Adam; pixels span 1, latents a few times that."""

    def sampler(self, orbit: Sampler) -> Sampler:
        """No camera, or the one that is given."""
        if self.azimuth_deg is None and self.elevation_deg is None:
            return Still()
        azimuth = FRONT_DEG if self.azimuth_deg is None else self.azimuth_deg
        return Still(azimuth, ABOVE_DEG if self.elevation_deg is None else self.elevation_deg)

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {} if self.init in ("noise", "grey") else {"init": self.init}

    def backdrop(self) -> tuple[float, float, float] | None:
        """The given one."""
        return self.background
