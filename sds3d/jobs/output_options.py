"""Options of what a run leaves behind beside its assets, and of the mesh among them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..config.options import Options


class PictureOptions(Options):
    """The pictures and the film of the finished asset."""

    turntable_frames: int = Field(default=48, ge=0, le=2000)
    """Frames of turntable.mp4, a full turn; 0 for no film."""
    turntable_size: int = Field(default=192, ge=32, le=4096, multiple_of=2)
    """Side of the film in pixels."""
    turntable_fps: int = Field(default=24, ge=1, le=120)
    """Frames a second."""
    contact_views: int = Field(default=8, ge=0, le=64)
    """Views on contact.png; 0 for no contact sheet."""
    contact_size: int = Field(default=192, ge=16, le=2048)
    """Side of each of those views in pixels."""
    elevation_deg: float = Field(default=15.0, ge=-90, le=90)
    """Elevation of these cameras in degrees."""


class BakingOptions(Options):
    """The mesh that is written."""

    texture: int = Field(default=0, ge=0, le=4096)
    """Side in texels of a texture with the field's colours, such as 1024; 0 keeps colours at the vertices."""
    faces: int | None = Field(default=None, ge=4)
    """Most triangles. Default: as many as the representation makes."""
    shading: Literal["auto", "unlit", "lit"] = "auto"
    """auto: unlit where the colours hold their light already, lit where there is a material; unlit: viewers show the
    colours as they are (KHR_materials_unlit in GLB, glow in USD); lit: they shade them as a matte surface."""


class DebugOptions(Options):
    """A closer look at a run; results stay the same."""

    gradients: bool = False
    """Save maps of the gradient's parts with every preview, and their norms with every step."""
