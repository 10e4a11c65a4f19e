"""Birds, insects, frogs, dogs, cats and cows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, clock, falling, formed, harmonics, held, placed, turns


@sound("bird", "pitch pace")
def bird(play: Play) -> Signal:
    """Tweets: short whistles that bend upwards and down again."""
    hz, count = play.pitch(1900, 4600), 1800
    bend = np.sin(np.pi * np.linspace(0, 1, count))

    def tweet() -> Signal:
        course = hz * (1 + play.vary(0.15, 0.4) * bend + play.vary(-0.15, 0.15) * np.linspace(0, 1, count))
        return np.sin(turns(course, count)) * np.hanning(count)

    return placed([(at, play.vary(0.5, 1.0), tweet()) for at in play.onsets(play.pace(2.5, 9), 0.15)])


@sound("cricket", "pitch pace")
def cricket(play: Play) -> Signal:
    """A high tone chopped into groups of three."""
    pulse = np.sin(turns(play.pitch(3000, 6200), 240)) * np.hanning(240)
    group = [(i * 0.021, 1.0) for i in range(3)]
    starts = play.onsets(play.pace(2.5, 9), 0.03)
    return placed([(at + after, gain, pulse) for at in starts for after, gain in group])


@sound("bee", "pitch pace", words=("fly",))
def bee(play: Play) -> Signal:
    """Wings: a buzz whose pitch wavers as it comes and goes."""
    t = clock()
    near = 0.6 + 0.4 * np.sin(2 * np.pi * (play.pace(0.6, 4.0) * t + play.vary(0, 1)))
    return harmonics(play.pitch(110, 420) * (1 + 0.05 * near), falling(24, 0.9)) * near * held(1.03)


@sound("frog", "pitch pace")
def frog(play: Play) -> Signal:
    """Croaks: a throat that is pulsed."""

    def croak() -> Signal:
        t = clock(3600)
        pulses = (np.sin(2 * np.pi * 42 * play.vary(0.9, 1.1) * t) > 0.2).astype(float)
        return (
            np.sin(turns(hz, 3600)) * pulses * np.hanning(3600) + 0.4 * np.sin(turns(2.4 * hz, 3600)) * pulses
        )

    hz = play.pitch(180, 900)
    return placed([(at, 1.0, croak() * np.hanning(3600)) for at in play.onsets(play.pace(1.6, 5), 0.1)])


def _voice(play: Play, hz: Signal, mouth: Sequence[tuple[float, float, float]], rough: float = 0.0) -> Signal:
    """A throat's saw and some breath through a mouth."""
    return formed(harmonics(hz, falling(30, 0.8)) + rough * play.noise(), mouth)


@sound("dog", "pitch pace", words=("bark",))
def dog(play: Play) -> Signal:
    """Barks."""
    hz, t = play.pitch(140, 650), clock()
    course = hz * (1 + 0.5 * np.exp(-(((t - 0.05) / 0.05) ** 2)))
    mouth = [(2.6 * hz, 250, 1.0), (5.2 * hz, 400, 0.6), (2800, 500, 0.2)]
    bark = (_voice(play, course, mouth, 0.5) * held(0.17, 0.02, 0.1))[:3200]
    return placed([(at, 1.0, bark) for at in play.onsets(play.pace(1.6, 4.5), 0.1)])


@sound("cat", "pitch length", words=("meow",))
def cat(play: Play) -> Signal:
    """A meow: the mouth opens and closes, the pitch goes with it."""
    long, hz = play.seconds(0.3, 1.0), play.pitch(320, 950)
    x = np.clip(clock() / long, 0, 1)
    course = hz * (0.85 + 0.5 * np.sin(np.pi * x**0.7))
    closed = _voice(play, course, [(700, 200, 1.0), (2400, 500, 0.3)])
    opened = _voice(play, course, [(1200, 300, 1.0), (3000, 600, 0.6)])
    mix = np.sin(np.pi * x) ** 2
    return (closed * (1 - mix) + opened * mix) * held(long, 0.06, 0.12)


@sound("cow", "pitch length", words=("moo",))
def cow(play: Play) -> Signal:
    """A moo: low, long, through a wide mouth."""
    long, hz = play.seconds(0.4, 1.02), play.pitch(75, 240)
    x = np.clip(clock() / long, 0, 1)
    return _voice(play, hz * (0.9 + 0.2 * np.sin(np.pi * x)), [(350, 140, 1), (800, 250, 0.5)], 0.05) * held(
        long, 0.1, 0.15
    )


@sound("snake", "length colour", words=("hiss",))
def snake(play: Play) -> Signal:
    """A hiss."""
    return band(play.noise(), play.colour(2600, 5200), 7600, 3) * held(play.seconds(0.2, 1.02), 0.05, 0.2)
