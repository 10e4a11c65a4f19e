"""How a sound is made: the words high, low, short, long, bright, dull, fast, slow, and what they turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.streams import Streams
from ..objects.vary import Vary
from .wave import SAMPLES, Signal

MODIFIERS: dict[str, tuple[str, float]] = {
    "high": ("pitch", 1.0),
    "low": ("pitch", 0.0),
    "long": ("length", 1.0),
    "short": ("length", 0.0),
    "bright": ("colour", 1.0),
    "dull": ("colour", 0.0),
    "fast": ("pace", 1.0),
    "slow": ("pace", 0.0),
}
"""Word -> (axis, end of it): the four axes run from 0 to 1."""

AXES = ("pitch", "length", "colour", "pace")
_PLAIN = (0.3, 0.7)
_EDGE = 0.15


def words_of(axes: Sequence[str]) -> list[str]:
    """The modifiers of these axes."""
    return [word for word, (axis, _) in MODIFIERS.items() if axis in axes]


class Play:
    """One playing of a kind of sound: where it stands on the axes, and its chance numbers.

    Without a word an axis stands somewhere in its middle, with one in the outer sixth at the word's end.

    Args:
        streams: the random streams, or None for the typical sound (noise is then that of seed 0).
        name: the kind's. number: of the playing. said: modifiers that it shall follow.
    """

    def __init__(self, streams: Streams | None, name: str = "", number: int = 0, said: Sequence[str] = ()):
        self._streams, self._name, self._number, self._noises = streams or Streams(0), name, number, 0
        self.vary = Vary(streams, f"sound {name}", number)
        self.at = dict.fromkeys(AXES, 0.0)
        ends = {MODIFIERS[word][0]: MODIFIERS[word][1] for word in said}
        for axis in AXES:
            drawn = self.vary(0.0, 1.0)
            if axis in ends:
                self.at[axis] = 1 - _EDGE * drawn if ends[axis] == 1.0 else _EDGE * drawn
            else:
                self.at[axis] = _PLAIN[0] + (_PLAIN[1] - _PLAIN[0]) * drawn

    def _between(self, axis: str, low: float, high: float) -> float:
        return float(low * (high / low) ** self.at[axis])

    def pitch(self, low: float, high: float) -> float:
        """Hertz, from low to high on a logarithmic axis."""
        return self._between("pitch", low, high)

    def seconds(self, low: float, high: float) -> float:
        """A duration, from short to long."""
        return self._between("length", low, high)

    def colour(self, low: float, high: float) -> float:
        """Any number that grows (or falls, where high < low) as a sound gets brighter."""
        return self._between("colour", low, high)

    def pace(self, low: float, high: float) -> float:
        """Events or cycles a second, from slow to fast."""
        return self._between("pace", low, high)

    def noise(self, count: int = SAMPLES) -> Signal:
        """White noise, other numbers at each call."""
        self._noises += 1
        row = self._streams.normal((count,), "sound noise", self._name, self._noises, ids=(self._number,))
        return row[0].double().numpy()

    def spread(self, amount: float, count: int) -> np.ndarray:
        """Factors around 1, off by up to `amount`."""
        return np.array([self.vary(1 - amount, 1 + amount) for _ in range(count)])

    def onsets(self, per_second: float, jitter: float = 0.1, first: float = 0.02) -> list[float]:
        """Times of events at a steady pace, each off by up to `jitter` of the gap."""
        gap, out, at = 1.0 / per_second, [], first
        while at < 1.0:
            out.append(max(0.0, at + gap * self.vary(-jitter, jitter)))
            at += gap
        return out
