"""Options of a picture that a run follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..config.options import Options, Scalar, Unit
from ..core import schedules
from ..core.cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG


class ReferenceOptions(Options):
    """A picture of the object: from one camera, the object is to look like it. See docs/image-prompts.md."""

    image: Annotated[str, Field(min_length=1)]
    """The picture, a PNG, JPEG or WebP file; relative to the YAML file that names it, or to the folder that you are in.
    A run keeps a copy."""
    sha256: str | None = None
    """Of the file's bytes when the run was made, so that no other picture takes its place."""
    captions: tuple[str, ...] = ()
    """What the bundled judge read in it, the best first, where no prompt was given."""
    azimuth_deg: float = Field(default=0.0, ge=-360, le=360)
    """From where it shows the object, in degrees; 0 looks at the front, 90 stands on the object's left."""
    elevation_deg: float = Field(default=15.0, ge=-90, le=90)
    """From how high, in degrees; 0 is the horizon."""
    distance: float = Field(default=DEFAULT_DISTANCE, gt=0.0, le=1000)
    """From how far, in world units, from the centre."""
    fov_y_deg: float = Field(default=DEFAULT_FOV_Y_DEG, ge=1, le=170)
    """Vertical field of view in degrees."""
    weight: Scalar = schedules.constant(1.0)
    """Weight of half the squared difference in colour, summed over pixels and channels."""
    mask_weight: Scalar = schedules.constant(1.0)
    """Weight of half the squared difference in coverage (alpha), summed over pixels."""
    every: int = Field(default=1, ge=1)
    """Compare every so many steps."""
    background: Literal["auto"] | tuple[Unit, Unit, Unit] = "auto"
    """What is behind the object in the picture: a colour, RGB in [0, 1]; auto: what is transparent, or else the colour
    of the border, if it has one."""
    fit: bool = True
    """Centre the object and scale it so that it fills the frame as in the training of the built-in prior, unless it
    does so already; false: the picture is what the camera sees."""
