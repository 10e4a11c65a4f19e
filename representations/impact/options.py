"""Options of an impact sound."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..audio import SoundOptions


class Options(SoundOptions):
    """Something struck: modes that ring and die, in a room of filtered noise; bells, drums, knocks, cymbals."""

    kind: Literal["impact"] = "impact"
    """Name of the representation."""
    modes: int = Field(default=64, ge=1, le=1024)
    """Damped sines, evenly spread on a logarithmic axis at the start."""
    low_hz: float = Field(default=50.0, gt=0)
    """Lowest mode at the start."""
    high_hz: float = Field(default=6500.0, gt=0)
    """Highest mode at the start."""
    bands: int = Field(default=24, ge=0, le=256)
    """Bands of decaying noise that the modes are convolved with, and that are heard by themselves; 0 for none."""
    initial_db: float = Field(default=-36.0, le=0)
    """Level of a mode at the start."""

    @model_validator(mode="after")
    def _range(self) -> Options:
        if self.high_hz < self.low_hz:
            raise ValueError(f"low_hz ({self.low_hz:g}) lies above high_hz ({self.high_hz:g})")
        return self
