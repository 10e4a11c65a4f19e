"""Electronic and warning sounds."""

from __future__ import annotations

import numpy as np

from ..kind import sound
from ..manner import Play
from ..wave import SAMPLES, Signal, clock, falling, harmonics, held, placed, turns


@sound("beep", "pitch length")
def beep(play: Play) -> Signal:
    """A plain tone, on and off."""
    return np.sin(turns(play.pitch(300, 3200))) * held(play.seconds(0.06, 0.95), 0.004, 0.004)


@sound("chirp", "pitch length", words=("rising sweep",))
def chirp(play: Play) -> Signal:
    """A tone that rises by two octaves."""
    long, hz = play.seconds(0.12, 1.0), play.pitch(150, 1500)
    return np.sin(turns(hz * 4 ** np.minimum(clock() / long, 1.0))) * held(long, 0.01, 0.02)


@sound("laser", "pitch length", words=("falling sweep",))
def laser(play: Play) -> Signal:
    """A buzzing tone that falls by three octaves."""
    long, hz = play.seconds(0.12, 0.9), play.pitch(900, 3600)
    return harmonics(hz * 8 ** -np.minimum(clock() / long, 1.0), [1, 0.4, 0.3]) * held(long, 0.004, 0.03)


@sound("siren", "pitch pace")
def siren(play: Play) -> Signal:
    """A tone that wails up and down."""
    swing = np.sin(2 * np.pi * play.pace(1.0, 5.5) * clock() - np.pi / 2)
    return harmonics(play.pitch(420, 1500) * 1.45**swing, [1, 0.3, 0.25, 0.1]) * held(1.03)


@sound("alarm", "pitch pace")
def alarm(play: Play) -> Signal:
    """Two tones in turn."""
    second = (clock() * play.pace(2.0, 10.0)) % 1.0 > 0.5
    return harmonics(play.pitch(500, 2000) * np.where(second, 0.75, 1.0), [1, 0, 0.33, 0, 0.2]) * held(1.03)


@sound("buzzer", "pitch length")
def buzzer(play: Play) -> Signal:
    """A harsh saw: the answer was wrong."""
    return harmonics(play.pitch(70, 300), falling(60, 0.5)) * held(play.seconds(0.12, 1.0), 0.005, 0.01)


@sound("telephone", "pitch pace", words=("phone",))
def telephone(play: Play) -> Signal:
    """A ringing bell struck many times a second, in two bursts."""
    hz = play.pitch(900, 2400)
    hammer = 0.5 + 0.5 * np.sin(2 * np.pi * play.pace(11, 30) * clock())
    gate = (clock() % 0.56 < 0.4).astype(float)
    return harmonics(hz, [1, 0.2, 0.35]) * hammer**2 * gate


@sound("morse", "pitch pace", words=("telegraph",))
def morse(play: Play) -> Signal:
    """Dots and dashes of one tone."""
    unit, at, out = 0.35 / play.pace(3.0, 11.0), 0.02, []
    tone = np.sin(turns(play.pitch(400, 1600)))
    while at < 1.0:
        long = unit * (3 if play.vary.chance(0.5) else 1)
        out.append((at, 1.0, tone[: min(round(long * 16_000), SAMPLES)]))
        at += long + unit
    return placed(out)
