"""Natural variation: the numbers by which two builds of one kind differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..core.streams import Streams

T = TypeVar("T")
_BLOCK = 64


class Vary:
    """Draws for one build, in the order in which the kind's function asks.

    Args:
        streams: the random streams, or None for the typical build: the middle of every range, the first of every
            choice. It is the shape that results are compared with.
        name: the kind's name; two kinds never share draws.
        build: number of the build.
    """

    def __init__(self, streams: Streams | None, name: str = "", build: int = 0):
        self._streams, self._name, self._build = streams, name, build
        self._drawn: list[float] = []
        self._used = 0

    def _next(self) -> float:
        if self._streams is None:
            return 0.5
        if self._used == len(self._drawn):
            block = self._used // _BLOCK
            row = self._streams.uniform((_BLOCK,), "object", self._name, block, ids=(self._build,))
            self._drawn += row[0].tolist()
        self._used += 1
        return self._drawn[self._used - 1]

    def __call__(self, low: float, high: float) -> float:
        """A number in [low, high]."""
        return low + (high - low) * self._next()

    def chance(self, probability: float) -> bool:
        """True with this probability; typically, where it is above one half."""
        return self._next() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices; typically the first."""
        drawn = self._next()
        return choices[0] if self._streams is None else choices[int(drawn * len(choices))]
