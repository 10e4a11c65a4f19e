"""Options of a waveform."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..audio import SoundOptions


class Options(SoundOptions):
    """A sound as plain samples: no instrument, anything can be heard, noise first of all."""

    kind: Literal["waveform"] = "waveform"
    """Name of the representation."""
    init: str = "noise"
    """noise, or the path of a WAV or FLAC file."""
    initial_noise: float = Field(default=0.02, ge=0.0)
    """Standard deviation of the initial noise; full scale is 1."""
    lr: Scalar = schedules.parse({"linear": [0.004, 0.001]})
    """Learning rate of Adam; full scale is 1."""

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {} if self.init == "noise" else {"init": self.init}
