"""Options of a separation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..audio import SoundOptions


class Options(SoundOptions):
    """A recording taken apart into sources, each judged by words of its own; see `sds3d separate`."""

    kind: Literal["separation"] = "separation"
    """Name of the representation."""
    mixture: str = ""
    """Path of the recording, a WAV or FLAC file."""
    sources: int = Field(default=2, ge=2, le=8)
    """How many sounds it is taken into."""
    space: Literal["masks", "waveforms"] = "masks"
    """masks: shares of the recording's own transform, which always add up to it; waveforms: free samples, held to
    the recording by a loss."""
    window: int = Field(default=1024, ge=64, le=8192, multiple_of=4)
    """Samples of the transform's window; a quarter of it apart."""
    reconstruction: float = Field(default=1.0, ge=0.0)
    """waveforms: weight of the distance between the sources' sum and the recording, in magnitudes and samples."""
    windows: tuple[int, ...] = (512, 1024, 2048)
    """waveforms: windows of that distance's magnitudes."""
    lr: Scalar = schedules.parse({"linear": [0.1, 0.02]})
    """Learning rate of Adam, for masks."""
    samples_lr: Scalar = schedules.parse({"linear": [0.003, 0.0006]})
    """The same for waveforms."""

    def start_files(self) -> dict[str, str]:
        """As RepresentationOptions."""
        return {"mixture": self.mixture}
