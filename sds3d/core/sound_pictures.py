"""A sound as a picture: the spectrogram, low notes at the bottom, and the waveform below it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .spectra import mel_bank, stft

RANGE_DB = 70.0
"""Decibels from the darkest to the brightest."""
_WINDOW, _HOP, _BANDS = 1024, 128, 96
_WAVE_SHARE = 0.24
_HEAT = (
    (0.0, 0.0, 0.02),
    (0.23, 0.06, 0.35),
    (0.55, 0.15, 0.42),
    (0.87, 0.32, 0.25),
    (0.98, 0.65, 0.15),
    (0.99, 1.0, 0.75),
)
"""Colours from silence to full scale: dark, violet, red, orange, pale yellow."""


@torch.no_grad()
def sound_picture(samples: Float[Tensor, "c t"], rate: int, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Mel spectrogram above, waveform below; channels are averaged.

    Args:
        samples: in [-1, 1]. rate: samples a second. size: (height, width) in pixels.
    """
    mono = samples.detach().float().cpu().mean(0)
    height, width = size
    below = max(4, round(_WAVE_SHARE * height))
    return torch.cat(
        [_spectrogram(mono, rate, (height - below, width)), _waveform(mono, (below, width))], dim=1
    )


def _spectrogram(mono: Float[Tensor, " t"], rate: int, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    padded = F.pad(mono, (0, -len(mono) % _HOP))
    power = stft(padded, _WINDOW, _HOP).abs().square() * (4 / _WINDOW) ** 2
    bank = mel_bank(rate, _WINDOW, _BANDS, 40.0, 0.49 * rate)
    db = 10 * torch.log10(bank @ power + 1e-10)
    level = ((db + RANGE_DB) / RANGE_DB).clamp(0, 1).flip(0)
    shown = F.interpolate(level[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    colours = torch.tensor(_HEAT)
    place = shown * (len(colours) - 1)
    low = place.floor().long().clamp(max=len(colours) - 2)
    mixed = torch.lerp(colours[low], colours[low + 1], (place - low)[..., None])
    return mixed.permute(2, 0, 1)


def _waveform(mono: Float[Tensor, " t"], size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Highest and lowest sample of each column, blue on white, the full height being full scale."""
    height, width = size
    padded = F.pad(mono, (0, -len(mono) % width)).reshape(width, -1)
    top, bottom = padded.amax(1), padded.amin(1)
    y = 1 - 2 * (torch.arange(height) + 0.5) / height
    slack = 1.0 / height
    inside = (y[:, None] <= top + slack) & (y[:, None] >= bottom - slack)
    blue, white = torch.tensor([0.23, 0.43, 0.66]), torch.ones(3)
    return torch.where(inside[None], blue[:, None, None], white[:, None, None])
