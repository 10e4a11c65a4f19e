"""The catalogue of sounds: every kind that the package holds, found by scanning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ..core.catalogue import collect, look_up
from ..core.errors import Sds3dError
from .kind import SoundKind


class SoundError(Sds3dError):
    """A kind of sound that the catalogue does not hold."""


@cache
def catalogue() -> Mapping[str, SoundKind]:
    """Name -> kind, by file and then in its order.

    Raises:
        SoundError: two kinds share a name or a word.
    """
    return collect("sds3d.sounds.kinds", SoundKind, SoundError)


def find(word: str) -> SoundKind:
    """The kind with this name or synonym.

    Raises:
        SoundError: there is none; the message suggests the nearest.
    """
    return look_up(word, catalogue(), "kind of sound", SoundError)
