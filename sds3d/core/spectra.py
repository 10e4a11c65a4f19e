"""Short-time Fourier transforms: plain, differentiable, invertible.

Frames are `window` samples long, `hop` apart and centred: a signal of T samples has exactly T / hop of them, the ends
padded with silence. The window is Hann's (periodic). Inversion is the least-squares one of Griffin and Lim, "Signal
estimation from modified short-time Fourier transform", 1984, eq. 6, which is exact for an unchanged transform.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

_TINY = 1e-8


def _check(samples: int, window: int, hop: int) -> None:
    if window % 2 or hop < 1 or (window - hop) % 2 or hop > window // 2 or samples % hop:
        raise ValueError(
            f"needs an even window ({window}), a hop ({hop}) of at most half of it and of its parity, and a number of "
            f"samples ({samples}) that the hop divides"
        )


def stft(x: Float[Tensor, "*b t"], window: int, hop: int) -> Complex[Tensor, "*b f n"]:
    """The transform of signals (..., T): (..., window / 2 + 1, T / hop) complex.

    Raises:
        ValueError: sizes that do not go together.
    """
    _check(x.shape[-1], window, hop)
    pad = (window - hop) // 2
    frames = F.pad(x, (pad, pad)).unfold(-1, window, hop)
    shape = torch.hann_window(window, dtype=x.dtype, device=x.device)
    return torch.fft.rfft(frames * shape).transpose(-1, -2)


def istft(spectrum: Complex[Tensor, "*b f n"], window: int, hop: int) -> Float[Tensor, "*b t"]:
    """The signals (..., N · hop) whose transform is nearest to `spectrum`."""
    count = spectrum.shape[-1]
    _check(count * hop, window, hop)
    frames = torch.fft.irfft(spectrum.transpose(-1, -2), n=window)
    shape = torch.hann_window(window, dtype=frames.dtype, device=frames.device)
    summed = _overlapped((frames * shape).reshape(-1, count, window), hop)
    weight = _overlapped((shape**2).expand(1, count, window), hop)
    pad = (window - hop) // 2
    whole = (summed / weight.clamp(min=_TINY))[:, pad : pad + count * hop]
    return whole.reshape(*spectrum.shape[:-2], count * hop)


def _overlapped(frames: Float[Tensor, "b n w"], hop: int) -> Float[Tensor, "b t"]:
    """Frames laid `hop` apart and added."""
    count, window = frames.shape[1:]
    length = (count - 1) * hop + window
    return F.fold(frames.transpose(1, 2), (1, length), (1, window), stride=(1, hop))[:, 0, 0]


def magnitudes(
    x: Float[Tensor, "*b t"], window: int, hop: int, floor: float = 1e-4
) -> Float[Tensor, "*b f n"]:
    """√(|X|² + floor²), whose gradient is finite where the signal is silent."""
    spectrum = stft(x, window, hop)
    return (spectrum.real**2 + spectrum.imag**2 + floor**2).sqrt()


def mel_bank(rate: int, window: int, bands: int, low_hz: float, high_hz: float) -> Float[Tensor, "bands f"]:
    """Triangular filters, evenly spaced on the mel scale m = 2595 log10(1 + f / 700); each has the peak 1.

    Bands that fall between two bins of the transform are widened to a bin, so that none is empty.
    """

    def mel(hz: Tensor) -> Tensor:
        return 2595 * torch.log10(1 + hz / 700)

    low, high = mel(torch.tensor([low_hz, high_hz], dtype=torch.float64))
    spaced = torch.linspace(float(low), float(high), bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (spaced / 2595) - 1)
    bins = torch.arange(window // 2 + 1, dtype=torch.float64) * rate / window
    left, centre, right = (edges[i : i + bands, None] for i in range(3))
    step = rate / window
    rise = (bins - left.minimum(centre - step)) / (centre - left.minimum(centre - step))
    fall = (right.maximum(centre + step) - bins) / (right.maximum(centre + step) - centre)
    return rise.minimum(fall).clamp(min=0).float()
