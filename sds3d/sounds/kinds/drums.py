"""Skins, shells, hands and shakers."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import Signal, band, clock, dying, placed, turns


@sound("drum", "pitch length")
def drum(play: Play) -> Signal:
    """A tom: a pitch that drops at the stroke, a second mode, the slap of the stick."""
    hz, long = play.pitch(55, 240), play.seconds(0.15, 1.0)
    course = hz * (1 + 0.5 * np.exp(-clock() / 0.03))
    skin = np.sin(turns(course)) * dying(long) + 0.3 * np.sin(turns(1.59 * course)) * dying(0.6 * long)
    return skin + 0.1 * band(play.noise(), 300, 2000) * dying(0.03)


@sound("snare", "length colour", words=("snare drum",))
def snare(play: Play) -> Signal:
    """A shell tone under a burst of wires."""
    shell = np.sin(turns(play.vary(170, 220) * (1 + 0.3 * np.exp(-clock() / 0.02)))) * dying(0.18)
    wires = band(play.noise(), play.colour(700, 2500), play.colour(3500, 7500), 2) * dying(
        play.seconds(0.12, 0.6)
    )
    return 0.8 * shell + 0.5 * wires


@sound("hi-hat", "length")
def hi_hat(play: Play) -> Signal:
    """Two small plates: noise above 5 kHz, short when closed."""
    return band(play.noise(), 5200, 7600, 4) * dying(play.seconds(0.05, 0.9))


@sound("clap", "length", words=("hand clap",))
def clap(play: Play) -> Signal:
    """Several hands within 30 ms, then the room."""
    burst = band(play.noise(2048), 800, 2600) * dying(0.03, 2048)
    hands = [(0.01 + 0.011 * i * play.vary(0.8, 1.2), play.vary(0.6, 1.0), burst) for i in range(3)]
    tail = band(play.noise(), 700, 2200) * dying(play.seconds(0.08, 0.6))
    return placed([*hands, (0.035, 0.8, tail)])


@sound("tambourine", "length pace")
def tambourine(play: Play) -> Signal:
    """Shaken jingles: bright bursts in a steady rhythm."""

    def jingle() -> Signal:
        return band(play.noise(4096), 4200, 7400, 3) * dying(play.seconds(0.06, 0.3), 4096)

    return placed([(at, play.vary(0.5, 1.0), jingle()) for at in play.onsets(play.pace(3.5, 13))])


@sound("maraca", "pace colour", words=("shaker",))
def maraca(play: Play) -> Signal:
    """Seeds in a gourd: soft-edged puffs of noise."""
    puff = np.hanning(1400)
    centre = play.colour(2000, 5500)
    shakes = play.onsets(play.pace(3, 11), 0.05)
    return placed(
        [(at, play.vary(0.6, 1), puff * band(play.noise(1400), centre, 1.3 * centre)) for at in shakes]
    )
