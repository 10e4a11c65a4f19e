"""Options of the FM synthesiser."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..audio import SoundOptions


class Options(SoundOptions):
    """FM synthesis: voices of a few oscillators that modulate each other; tones, bells, brass, sirens."""

    kind: Literal["fm"] = "fm"
    """Name of the representation."""
    voices: int = Field(default=8, ge=1, le=64)
    """Groups of oscillators, their notes spread evenly over the range at the start."""
    operators: int = Field(default=4, ge=1, le=8)
    """Oscillators of a voice; each is modulated by those before it."""
    low_hz: float = Field(default=90.0, gt=0)
    """Note of the lowest voice at the start."""
    high_hz: float = Field(default=3000.0, gt=0)
    """Note of the highest voice at the start."""
    points: int = Field(default=32, ge=0, le=512)
    """Points of a voice's loudness over time, beside attack and decay; 0 for these alone."""
    initial_db: float = Field(default=-32.0, le=0)
    """Level of an oscillator at the start."""
    noise: bool = False
    """Add a band of noise to each voice, for breath and bow."""

    @model_validator(mode="after")
    def _range(self) -> Options:
        if self.high_hz < self.low_hz:
            raise ValueError(f"low_hz ({self.low_hz:g}) lies above high_hz ({self.high_hz:g})")
        return self
