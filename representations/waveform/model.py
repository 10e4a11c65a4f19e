"""A waveform: the samples are the parameters."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..audio import SoundCanvas, SoundModel
from ..sound_files import fitted
from .options import Options


class Waveform(SoundModel):
    """See representations.audio."""

    options: Options

    def first_values(self) -> dict[str, Tensor]:
        """Noise, or a file's samples."""
        count, rate = self.form
        if self.options.init != "noise":
            return {"samples": fitted(self.options.init, count, rate, "representation.init")}
        return {"samples": self.options.initial_noise * self.streams.normal((count,), "waveform-init")[0]}

    def waveform(self, part: int = 0) -> Float[Tensor, " t"]:
        """The samples; a copy, since what a guidance has seen must not change with the step that it asked for."""
        return self.values["samples"].clone()


def create(options: Options, streams: Streams, canvas: Callable[[], SoundCanvas]) -> Waveform:
    """A fresh waveform."""
    return Waveform(options, canvas, streams)
