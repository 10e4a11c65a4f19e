"""The codec of the small audio prior: a second of sound as a picture of levels, mel bands by time.

z = 1 + L / 30 with L = 10 log10(P + 1e-6) decibels, P the power in a band relative to a full-scale sine: -1 is silence,
1 is full scale. Levels are what ears judge, their picture is smooth where a waveform's phases look random, and the
transform is differentiable everywhere, so that a small network can learn them and gradients reach a synthesiser.
The phases are left out. They come back from a signal: `near` changes the levels of a given signal to those of z and
keeps its phases, which is exact where z is that signal's own; `decode` starts from noise and repeats it, which is the
iteration of Griffin and Lim (1984) for band levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.spectra import istft, mel_bank, stft
from ..core.streams import Streams

FLOOR = 1e-6
"""-60 dB: the power that counts as silence."""
RANGE_DB = 30.0
"""Decibels in one unit of z."""
LOUDEST = 2.0
"""Of z: 30 dB above full scale."""


@dataclass(frozen=True)
class Codec:
    """Sound to picture of levels and back.

    Args:
        rate: samples a second. samples: of a sound. window, hop: of the transform.
        bands: mel bands. pool: frames whose power is averaged to one column.
        rounds: repeats of `decode`.
    """

    rate: int = 16_000
    samples: int = 16_384
    window: int = 1024
    hop: int = 256
    bands: int = 64
    pool: int = 2
    low_hz: float = 40.0
    high_hz: float = 7_800.0
    rounds: int = 24

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, bands, columns) of a z."""
        return 1, self.bands, self.samples // (self.hop * self.pool)

    def encode(self, audio: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b 1 m n"]:
        """Levels of mono signals in [-1, 1]; differentiable.

        Raises:
            ValueError: not (B, 1, samples).
        """
        if audio.ndim != 3 or audio.shape[1:] != (1, self.samples):
            raise ValueError(f"sounds must be (B, 1, {self.samples}), got {tuple(audio.shape)}")
        return _z(self._power(stft(audio[:, 0], self.window, self.hop)))[:, None]

    def _power(self, spectrum: Tensor) -> Float[Tensor, "b m n"]:
        """Power of bands and columns, 1 for a full-scale sine."""
        power = spectrum.real**2 + spectrum.imag**2
        power = _bank(self).to(power) @ power * (4 / self.window) ** 2
        return F.avg_pool1d(power, self.pool)

    def near(self, z: Float[Tensor, "b 1 m n"], audio: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b 1 t"]:
        """The signal with the levels of `z` and the phases of `audio`.

        Each bin's power p becomes (p + e) g - e, kept at 0 or above: g is the ratio of the wanted to the present
        level, interpolated between bands and columns, e the silence's power spread over a band, so that a silent band
        can come to sound. Levels beyond LOUDEST are taken for it: a prediction may lie anywhere.
        """
        z = z.clamp(max=LOUDEST)
        spectrum = stft(audio[:, 0], self.window, self.hop)
        bank = _bank(self).to(z)
        share = bank / bank.sum(0, keepdim=True).clamp(min=1e-6)
        db = (z[:, 0] - _z(self._power(spectrum))) * RANGE_DB
        ratio = (10 ** (F.interpolate(share.T @ db, scale_factor=self.pool, mode="linear") / 10)).clamp(
            max=1e7
        )
        silence = FLOOR * (self.window / 4) ** 2 * (share / bank.sum(1, keepdim=True)).sum(0)[:, None]
        power = spectrum.real**2 + spectrum.imag**2
        wanted = ((power + silence) * ratio - silence).clamp(min=0)
        phase = spectrum / spectrum.abs().clamp(min=1e-12)
        return istft(wanted.sqrt() * phase, self.window, self.hop)[:, None]

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "b 1 m n"]) -> Float[Tensor, "b 1 t"]:
        """A signal with the levels of `z`, its phases found from the same noise at every call."""
        noise = Streams(0).normal((1, self.samples), "decode").to(z)
        audio = 0.05 * noise.expand(len(z), 1, -1)
        for _ in range(self.rounds):
            audio = self.near(z, audio)
        return audio


def _z(power: Tensor) -> Tensor:
    return 1 + 10 * torch.log10(power + FLOOR) / RANGE_DB


@cache
def _bank(codec: Codec) -> Float[Tensor, "bands f"]:
    return mel_bank(codec.rate, codec.window, codec.bands, codec.low_hz, codec.high_hz)
