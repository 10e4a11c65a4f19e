"""Pipes, reeds, brass and whistles: tones that are held."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, clock, falling, harmonics, held


@sound("flute", "pitch length")
def flute(play: Play) -> Signal:
    """Nearly a sine, with breath around it and slow vibrato."""
    hz, t = play.pitch(260, 1700), clock()
    tone = harmonics(hz * (1 + 0.006 * np.sin(2 * np.pi * play.vary(4.5, 5.5) * t)), [1, 0.25, 0.12, 0.03])
    breath = band(play.noise(), 0.9 * hz, 2.2 * hz, 2)
    return (tone + 0.06 * breath) * held(play.seconds(0.2, 1.02), 0.06, 0.07)


@sound("organ", "pitch length")
def organ(play: Play) -> Signal:
    """Pipes in octaves and a fifth, steady from the first moment."""
    hz = play.pitch(70, 560)
    return harmonics(hz, [1, 0.8, 0.45, 0.6, 0, 0.3, 0, 0.4, 0, 0, 0, 0.1, 0, 0, 0, 0.2]) * held(
        play.seconds(0.2, 1.02), 0.012, 0.03
    )


@sound("trumpet", "pitch length")
def trumpet(play: Play) -> Signal:
    """Brass: the louder, the more partials, so that the attack opens up."""
    hz, shape = play.pitch(180, 900), held(play.seconds(0.2, 1.02), 0.05, 0.08)
    soft, hard = (
        harmonics(hz, falling(12, 1.6)),
        harmonics(hz, [0.6, 0.9, 1, 0.9, 0.7, 0.55, 0.4, 0.3, 0.2, 0.15]),
    )
    return soft * shape * (1 - shape) + hard * shape**2


@sound("clarinet", "pitch length")
def clarinet(play: Play) -> Signal:
    """A closed pipe: odd partials only."""
    amplitudes = falling(15, 1.1) * (np.arange(15) % 2 == 0)
    return harmonics(play.pitch(130, 900), amplitudes) * held(play.seconds(0.2, 1.02), 0.04, 0.05)


@sound("whistle", "pitch length")
def whistle(play: Play) -> Signal:
    """A referee's: a high tone that a pea makes flutter."""
    t, hz = clock(), play.pitch(1500, 3600)
    flutter = 1 + 0.03 * np.sin(2 * np.pi * play.vary(24, 34) * t)
    air = band(play.noise(), hz, 1.5 * hz, 2)
    return (harmonics(hz * flutter, [1, 0.1]) + 0.1 * air) * held(play.seconds(0.15, 1.0), 0.02, 0.03)


@sound("horn", "pitch length", words=("car horn",))
def horn(play: Play) -> Signal:
    """A car's: two buzzing tones a third apart."""
    hz = play.pitch(220, 620)
    tones = harmonics(hz, falling(16, 0.7)) + harmonics(1.26 * hz, falling(16, 0.7))
    return tones * held(play.seconds(0.15, 1.0), 0.01, 0.03)
