"""Bells, bars, glasses, plates: things that are struck and ring."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, dying, struck


@sound("bell", "pitch length colour")
def bell(play: Play) -> Signal:
    """A church bell's partials: hum, prime, minor third, fifth, nominal and above."""
    hz = play.pitch(180, 1400)
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.67, 3.01, 4.1]) * play.spread(0.004, 8)
    loud = np.array([0.5, 0.8, 0.7, 0.4, 0.9, 0.5, 0.4, 0.3]) * ratios ** -play.colour(1.6, 0.1)
    long = play.seconds(0.35, 4.0) * np.minimum(1.0, ratios**-0.7)
    return struck(hz * ratios, loud, long)


@sound("gong", "pitch length colour")
def gong(play: Play) -> Signal:
    """A low cluster of partials, the upper ones swelling after the stroke."""
    hz = play.pitch(60, 220)
    ratios = np.array([1.0, 1.48, 1.93, 2.31, 2.83, 3.4, 4.13, 5.2, 6.4]) * play.spread(0.03, 9)
    loud = ratios ** -play.colour(1.5, 0.3)
    low = struck(hz * ratios, loud, play.seconds(0.5, 5.0) * ratios**-0.3)
    t = np.arange(len(low)) / 16_000
    shimmer = band(play.noise(), 6 * hz, play.colour(900, 4000)) * np.minimum(1, t / 0.12)
    return low / np.abs(low).max() + 0.15 * shimmer * dying(play.seconds(0.4, 2.5))


@sound("marimba", "pitch length")
def marimba(play: Play) -> Signal:
    """A wooden bar tuned to 1 : 4 : 9.2, short, with a soft knock."""
    hz, long = play.pitch(150, 900), play.seconds(0.12, 0.9)
    knock = band(play.noise(), 200, 700) * dying(0.05)
    bar = struck([hz, 3.98 * hz, 9.2 * hz], [1, 0.25, 0.06], [long, long * 0.35, long * 0.15])
    return bar + 0.12 * knock


@sound("glockenspiel", "pitch length", words=("chime",))
def glockenspiel(play: Play) -> Signal:
    """A small steel bar: 1 : 2.76 : 5.4, high and ringing."""
    hz, long = play.pitch(900, 2800), play.seconds(0.3, 2.5)
    return struck([hz, 2.76 * hz, 5.4 * hz], [1, 0.45, 0.2], [long, long * 0.5, long * 0.25])


@sound("glass", "pitch length")
def glass(play: Play) -> Signal:
    """A wine glass that is clinked: two close modes that beat, and higher ones."""
    hz, long = play.pitch(700, 2600), play.seconds(0.25, 1.8)
    beat = play.vary(1.004, 1.012)
    ratios = np.array([1, beat, 2.32, 4.25, 2.32 * beat])
    clink = band(play.noise(), 4000, 7000) * dying(0.02)
    return struck(hz * ratios, [1, 0.8, 0.6, 0.3, 0.4], long * ratios**-0.6) + 0.2 * clink


@sound("woodblock", "pitch")
def woodblock(play: Play) -> Signal:
    """A hollow wooden click: two modes, gone at once."""
    hz = play.pitch(450, 1900)
    click = band(play.noise(), 1000, 5000) * dying(0.012)
    return struck([hz, 1.52 * hz, 2.7 * hz], [1, 0.5, 0.2], [0.09, 0.06, 0.04]) + 0.2 * click


@sound("triangle", "length colour")
def triangle(play: Play) -> Signal:
    """A steel rod: many inharmonic partials above 2 kHz."""
    ratios = np.array([1.0, 1.34, 1.71, 2.07, 2.42, 2.76, 3.1]) * play.spread(0.02, 7)
    hz = 2100 * play.vary(0.94, 1.06)
    return struck(hz * ratios, ratios ** -play.colour(2.0, 0.01), play.seconds(0.3, 3.0) * ratios**-0.4)


@sound("cymbal", "length colour")
def cymbal(play: Play) -> Signal:
    """A crash: dense bright noise with a metallic edge."""
    low = play.colour(900, 3200)
    crash = band(play.noise(), low, 7000, 2) * dying(play.seconds(0.35, 3.0))
    edge = band(play.noise(), 300, 900) * dying(0.15)
    return crash + 0.25 * edge
