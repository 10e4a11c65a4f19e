"""Engines, clocks, steps and knocks."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, clock, dying, falling, formed, harmonics, held, placed, struck


@sound("engine", "pitch colour")
def engine(play: Play) -> Signal:
    """Firing cylinders: a rough low saw with its own noise."""
    hz, t = play.pitch(24, 120), clock()
    uneven = 1 + 0.02 * np.sin(2 * np.pi * play.vary(2, 5) * t)
    firing = harmonics(hz * uneven, falling(40, play.colour(1.3, 0.5)))
    chop = 0.7 + 0.3 * np.sin(2 * np.pi * np.cumsum(hz * uneven / 2) / 16_000)
    return (firing / np.abs(firing).max() + 0.1 * band(play.noise(), 200, 1500, 2)) * chop


@sound("helicopter", "pace pitch")
def helicopter(play: Play) -> Signal:
    """Blades: thuds of low noise many times a second."""
    beats = (0.5 + 0.5 * np.sin(2 * np.pi * play.pace(7, 24) * clock())) ** 4
    return band(play.noise(), 60, play.pitch(180, 900), 2) * (0.1 + beats)


@sound("clock", "pace pitch")
def ticking(play: Play) -> Signal:
    """Tick, tock: two wooden clicks in turn."""
    hz = play.pitch(900, 3400)
    tick = struck([hz, 2.3 * hz], [1, 0.5], [0.03, 0.02])[:1200]
    tock = struck([0.75 * hz, 1.8 * hz], [1, 0.5], [0.03, 0.02])[:1200]
    starts = play.onsets(play.pace(2.2, 11), 0.01)
    return placed([(at, 1.0, tock if i % 2 else tick) for i, at in enumerate(starts)])


@sound("footsteps", "pace colour", words=("steps",))
def footsteps(play: Play) -> Signal:
    """Heel and sole on a floor."""
    top = play.colour(500, 3500)

    def step() -> Signal:
        heel = band(play.noise(2400), 70, 0.5 * top, 2) * dying(0.07, 2400)
        sole = band(play.noise(2400), 0.5 * top, top, 2) * dying(0.05, 2400)
        return placed([(0.0, 1.0, heel), (0.045, 0.6, sole)])[:4000]

    return placed([(at, play.vary(0.8, 1.0), step()) for at in play.onsets(play.pace(1.8, 5.5), 0.05)])


@sound("knock", "pace pitch", words=("knocking",))
def knock(play: Play) -> Signal:
    """Knuckles on a door."""
    hz = play.pitch(120, 520)
    door = struck([hz, 1.7 * hz, 2.9 * hz], [1, 0.6, 0.3], [0.14, 0.09, 0.06])[:3600]
    tap = placed([(0, 1.0, door), (0, 0.15, band(play.noise(800), 500, 2500) * dying(0.02, 800))])
    return placed([(at, play.vary(0.8, 1.0), tap) for at in play.onsets(play.pace(2.5, 8), 0.04)])


@sound("static", "colour")
def static(play: Play) -> Signal:
    """A detuned radio: steady noise."""
    return band(play.noise(), 60, play.colour(900, 7600), 2) * held(1.03, 0.005)


@sound("creak", "pitch length", words=("door",))
def creak(play: Play) -> Signal:
    """A hinge: clicks that crowd together and thin out again, through a wooden panel."""
    long, slow = play.seconds(0.3, 1.0), play.pitch(35, 140)
    x = np.clip(clock() / long, 0, 1)
    course = slow * (0.6 + 0.8 * np.sin(np.pi * x))
    clicks = harmonics(course, falling(50, 0.15))
    panel = [(12 * slow, 120, 1.0), (21 * slow, 180, 0.7), (34 * slow, 300, 0.4)]
    return formed(clicks, panel) * held(long, 0.05, 0.1)


@sound("drill", "pitch length")
def drill(play: Play) -> Signal:
    """A motor that whines, with gear teeth and grinding."""
    whine = play.pitch(260, 1100) * (1 - np.exp(-clock() / 0.08))
    teeth = harmonics(whine, [0.5, 1, 0.3, 0.8, 0.2, 0.5, 0.2, 0.3])
    return (teeth + 0.3 * band(play.noise(), 1500, 6000, 1)) * held(play.seconds(0.25, 1.02), 0.03, 0.08)
