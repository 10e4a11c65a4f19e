"""A sound file at the length and rate that a prior hears."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.assetio.sounds import load_sound
from sds3d.core.errors import AssetError

_LOBES = 16
_CHUNK = 1 << 15


def fitted(path: str, count: int, rate: int, key: str) -> Float[Tensor, " t"]:
    """A file as `count` mono samples at `rate`: channels averaged, resampled, cut or followed by silence.

    Raises:
        AssetError: the file cannot be read; the text names the option.
    """
    try:
        sound = load_sound(path)
    except AssetError as error:
        raise AssetError(f"{error} {key} is the path of a WAV or FLAC file.") from error
    mono = sound.samples.mean(0)
    needed = math.ceil(count * sound.rate / rate) + 2 * _LOBES * max(1, math.ceil(sound.rate / rate))
    mono = resample(mono[:needed], sound.rate, rate)
    return F.pad(mono, (0, max(0, count - len(mono))))[:count]


def resample(x: Float[Tensor, " t"], old: int, new: int) -> Float[Tensor, " s"]:
    """Band-limited resampling from `old` to `new` samples a second.

    out[m] = c sum_n x[n] h(c (m old / new - n)),  h a sinc under a raised cosine of 16 lobes a side,
    c = min(1, new / old) its cut-off: what the lower rate cannot hold is left out.
    """
    if old == new:
        return x.clone()
    cut = min(1.0, new / old)
    reach = math.ceil(_LOBES / cut)
    padded, taps = F.pad(x.double(), (reach, reach + 1)), torch.arange(-reach, reach + 1)
    out = []
    for first in range(0, math.floor(len(x) * new / old), _CHUNK):
        at = torch.arange(first, min(first + _CHUNK, math.floor(len(x) * new / old))).double() * old / new
        index = at.floor().long()[:, None] + taps
        away = (cut * (at[:, None] - index)).clamp(-_LOBES, _LOBES)
        weight = cut * torch.sinc(away) * torch.cos(math.pi / 2 * away / _LOBES) ** 2
        out.append((padded[(index + reach).clamp(max=len(padded) - 1)] * weight).sum(1))
    return torch.cat(out).to(x) if out else x[:0]
