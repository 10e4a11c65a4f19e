"""Strings: plucked, bowed, hammered."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, clock, falling, formed, harmonics, held, placed, struck


def _plucked(play: Play, hz: float, place: float, long: float, damp: float, stiff: float = 0.0) -> Signal:
    """A string plucked at `place` of its length: partial k dies in long / (1 + damp k²), stretched by stiffness."""
    k = np.arange(1, 31)
    loud = np.abs(np.sin(np.pi * k * place)) / k
    return struck(hz * k * np.sqrt(1 + stiff * k**2), loud, long / (1 + damp * k**2))


@sound("guitar", "pitch length colour", words=("plucked string",))
def guitar(play: Play) -> Signal:
    """A steel string near the bridge or above the hole."""
    return _plucked(
        play, play.pitch(82, 500), play.colour(0.4, 0.1), play.seconds(0.4, 3.0), play.colour(0.06, 0.004)
    )


@sound("bass", "pitch length", words=("bass string",))
def bass(play: Play) -> Signal:
    """A thick string, few partials."""
    return _plucked(play, play.pitch(38, 105), 0.27, play.seconds(0.4, 2.5), 0.08)


@sound("banjo", "pitch length")
def banjo(play: Play) -> Signal:
    """A short bright string on a skin that resonates."""
    string = _plucked(play, play.pitch(140, 620), 0.08, play.seconds(0.18, 0.8), 0.008)
    return formed(string, [(700, 300, 1.0), (1500, 500, 0.9), (3200, 900, 0.7)])


@sound("piano", "pitch length")
def piano(play: Play) -> Signal:
    """Three strings of a choir a little apart, stiff, hit an eighth along."""
    hz, long = play.pitch(65, 1300), play.seconds(0.4, 4.0)
    choir = [_plucked(play, hz * play.vary(0.9985, 1.0015), 0.125, long, 0.02, 0.0004) for _ in range(3)]
    return np.sum(choir, axis=0)


@sound("violin", "pitch length colour")
def violin(play: Play) -> Signal:
    """A bowed string: a saw with vibrato through a wooden body."""
    t, hz = clock(), play.pitch(200, 1200)
    vibrato = 1 + 0.012 * np.sin(2 * np.pi * play.vary(5, 6.5) * t) * np.minimum(1, t / 0.25)
    bowed = harmonics(hz * vibrato, falling(24, play.colour(1.7, 0.8)))
    body = [(300, 200, 0.6), (480, 250, 0.8), (1000, 500, 0.7), (2600, 1200, 0.9)]
    return formed(bowed, body) * held(play.seconds(0.25, 1.02), 0.09, 0.1)


@sound("zither", "pitch pace", words=("harp",))
def zither(play: Play) -> Signal:
    """A run over strings of a pentatonic scale."""
    hz, steps = play.pitch(170, 700), (1, 9 / 8, 5 / 4, 3 / 2, 5 / 3, 2, 9 / 4, 5 / 2)
    onsets = play.onsets(play.pace(4, 14), 0.03)[: len(steps)]
    notes = [_plucked(play, hz * step, 0.3, 0.9, 0.03) for step in steps[: len(onsets)]]
    return placed([(at, 1.0, note) for at, note in zip(onsets, notes, strict=True)])
