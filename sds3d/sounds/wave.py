"""The building blocks of the sounds: tones, struck modes, coloured noise, envelopes, bursts placed in time.

Everything is one second and a bit at 16 kHz: (SAMPLES,) float64, of any level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RATE = 16_000
"""Samples a second."""
SAMPLES = 16_384
"""Samples of a sound: 1.024 s."""
TOP_HZ = 7_600.0
"""Partials above this are left out: they would fold back at half the rate."""

Signal = np.ndarray
"""(SAMPLES,) float64."""


def clock(count: int = SAMPLES) -> Signal:
    """Seconds since the start."""
    return np.arange(count) / RATE


def dying(t60: float, count: int = SAMPLES) -> Signal:
    """An exponential that falls by 60 dB in `t60` seconds, behind an onset of 2 ms without a click."""
    t = clock(count)
    return np.exp(-np.log(1000.0) * t / t60) * np.minimum(1.0, t / 0.002)


def held(seconds: float, attack: float = 0.03, release: float = 0.06) -> Signal:
    """Rises in `attack` seconds, stays, and is gone at `seconds`; raised cosines at both ends."""
    t = clock()
    up, down = np.clip(t / attack, 0, 1), np.clip((seconds - t) / release, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * up)) * (0.5 - 0.5 * np.cos(np.pi * down))


def turns(hz: float | Signal, count: int = SAMPLES) -> Signal:
    """Phase in radians of an oscillator whose frequency is a number or a course over time."""
    return 2 * np.pi * np.cumsum(np.broadcast_to(np.asarray(hz, dtype=np.float64), (count,))) / RATE


def harmonics(hz: float | Signal, amplitudes: Sequence[float] | np.ndarray) -> Signal:
    """Sines at 1, 2, 3 … times a frequency with these amplitudes, those above TOP_HZ left out."""
    phase, top = turns(hz), float(np.max(hz))
    out = np.zeros(SAMPLES)
    for number, amplitude in enumerate(amplitudes, 1):
        if number * top < TOP_HZ:
            out += amplitude * np.sin(number * phase)
    return out


def falling(count: int, power: float) -> np.ndarray:
    """Amplitudes 1, 2^-power, 3^-power …: 1 is a saw, 2 is soft."""
    return np.arange(1, count + 1) ** -power


def struck(
    hz: Sequence[float] | Signal, amplitudes: Sequence[float] | Signal, t60: Sequence[float] | Signal
) -> Signal:
    """Damped sines that start together: a thing that was hit."""
    out = np.zeros(SAMPLES)
    for f, a, seconds in zip(hz, amplitudes, t60, strict=True):
        if f < TOP_HZ:
            out += a * np.sin(turns(f)) * dying(seconds)
    return out


def band(noise: Signal, low: float, high: float, slope: float = 3.0) -> Signal:
    """Noise between two frequencies, falling by about `slope` · 6 dB an octave outside; root mean square 1."""
    spectrum = np.fft.rfft(noise)
    f = np.maximum(np.fft.rfftfreq(len(noise), 1 / RATE), 1.0)
    gain = np.minimum(1.0, f / low) ** slope * np.minimum(1.0, high / f) ** slope
    out = np.fft.irfft(spectrum * gain, len(noise))
    return out / np.sqrt(np.mean(out**2) + 1e-12)


def formed(signal: Signal, peaks: Sequence[tuple[float, float, float]]) -> Signal:
    """A signal through resonances, each (hertz, width in hertz, gain): a mouth, a body, a box."""
    f = np.fft.rfftfreq(len(signal), 1 / RATE)
    gain = sum((g / (1 + ((f - c) / w) ** 2) for c, w, g in peaks), start=np.zeros_like(f))
    return np.fft.irfft(np.fft.rfft(signal) * gain, len(signal))


def placed(bursts: Sequence[tuple[float, float, Signal]]) -> Signal:
    """The sum of bursts, each (start in seconds, gain, signal); what runs over the end is cut."""
    out = np.zeros(SAMPLES)
    for start, gain, signal in bursts:
        first = round(start * RATE)
        room = min(len(signal), SAMPLES - first)
        if room > 0:
            out[first : first + room] += gain * signal[:room]
    return out


def unit(signal: Signal) -> Signal:
    """At a peak of 1; silence stays silence."""
    peak = np.max(np.abs(signal))
    return signal / peak if peak > 0 else signal
