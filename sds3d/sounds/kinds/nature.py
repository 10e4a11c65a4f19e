"""Water, air, fire and weather."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, clock, dying, placed, turns


def _drop(hz: float, long: float) -> Signal:
    """A bubble that closes: a sine that rises as it dies."""
    count = 4096
    t = clock(count)
    return np.sin(turns(hz * (1 + 1.2 * np.minimum(t / long, 1.0)), count)) * dying(2.0 * long, count)


@sound("drop", "pitch", words=("water drop",))
def drop(play: Play) -> Signal:
    """One drop into still water."""
    return placed([(0.05, 1.0, _drop(play.pitch(350, 2000), play.vary(0.05, 0.09)))])


@sound("stream", "pace pitch", words=("brook",))
def stream(play: Play) -> Signal:
    """Running water: drops without number over a soft hiss."""
    hz, at = play.pitch(350, 1400), play.onsets(play.pace(14, 70), 0.5)
    drops = [(t, play.vary(0.2, 1.0), _drop(hz * play.vary(0.6, 1.9), play.vary(0.02, 0.05))) for t in at]
    return placed(drops) + 0.08 * band(play.noise(), 600, 2500)


@sound("rain", "pace colour")
def rain(play: Play) -> Signal:
    """A hiss of small drops on leaves."""
    hiss = band(play.noise(), play.colour(900, 3500), play.colour(3000, 7000), 1)
    gates = play.noise() * (np.abs(play.noise()) > 3.6 - play.pace(0.3, 1.3))
    return 0.5 * hiss + 1.5 * band(gates, 1500, 6000, 2)


@sound("wind", "pitch pace")
def wind(play: Play) -> Signal:
    """Noise around a frequency that wanders: gusts."""
    t, hz = clock(), play.pitch(180, 1300)
    gusts = 0.6 + 0.4 * np.sin(2 * np.pi * (play.pace(0.5, 3.0) * t + play.vary(0, 1)))
    low, high = band(play.noise(), 0.8 * hz, hz, 3), band(play.noise(), 1.2 * hz, 1.6 * hz, 3)
    return low * gusts**2 + high * gusts**4


@sound("waves", "pace colour", words=("surf",))
def waves(play: Play) -> Signal:
    """Surf: a broad hiss that swells and breaks."""
    swell = (0.5 - 0.5 * np.cos(2 * np.pi * (play.pace(0.8, 2.6) * clock() + play.vary(0, 0.3)))) ** 2
    return band(play.noise(), 250, play.colour(900, 5000), 2) * (0.08 + swell)


@sound("thunder", "length colour")
def thunder(play: Play) -> Signal:
    """A crack, then a low roll that comes and goes."""
    roll = band(play.noise(), 40, play.colour(100, 420), 3) * dying(play.seconds(0.5, 3.5))
    rumble = 0.6 + 0.4 * band(play.noise(), 2, 9, 2)
    return roll * rumble + 0.6 * band(play.noise(), 300, 2500, 1) * dying(0.12)


@sound("fire", "pace colour", words=("campfire",))
def fire(play: Play) -> Signal:
    """Crackles over a soft roar."""

    def crackle() -> Signal:
        return band(play.noise(512), play.colour(900, 3200), 7000, 2) * dying(0.02, 512)

    pops = [(at, play.vary(0.1, 1.0) ** 2, crackle()) for at in play.onsets(play.pace(5, 32), 0.8)]
    return placed(pops) + 0.06 * band(play.noise(), 100, 500, 2)
