"""A kind of sound: a small function that makes it, with the words for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..core.streams import Streams
from .manner import AXES, Play, words_of
from .wave import Signal, unit


@dataclass(frozen=True)
class SoundKind:
    """A kind of sound.

    Args:
        name: what it is called. words: other names that mean the same.
        make: playing -> signal of any level. axes: those of manner.AXES that its sound follows.
    """

    name: str
    make: Callable[[Play], Signal]
    axes: tuple[str, ...] = AXES
    words: tuple[str, ...] = ()

    @property
    def modifiers(self) -> list[str]:
        """The words that may stand before its name."""
        return words_of(self.axes)

    def sound(self, streams: Streams | None = None, number: int = 0, said: Sequence[str] = ()) -> Signal:
        """One playing at a peak of 1, (SAMPLES,) at 16 kHz; without streams the typical one.

        Args:
            number: of the playing. said: modifiers, each from `modifiers`.

        Raises:
            ValueError: a word that this kind does not follow.
        """
        strange = [word for word in said if word not in self.modifiers]
        if strange:
            raise ValueError(
                f"a {self.name} cannot be {' or '.join(strange)}; {', '.join(self.modifiers)} it can be"
            )
        return unit(self.make(Play(streams, self.name, number, said)))


def sound(
    name: str, axes: str, *, words: Sequence[str] = ()
) -> Callable[[Callable[[Play], Signal]], SoundKind]:
    """Make a function a `SoundKind`; `axes` are names between blanks."""

    def named(make: Callable[[Play], Signal]) -> SoundKind:
        return SoundKind(name, make, tuple(axes.split()), tuple(words))

    return named
