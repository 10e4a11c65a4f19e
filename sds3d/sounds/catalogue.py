"""The catalogue of sounds: every kind that the package holds, found by scanning."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

from ..core.errors import Sds3dError
from ..core.plugins import scan
from .kind import SoundKind


class SoundError(Sds3dError):
    """A kind of sound that the catalogue does not hold."""


@cache
def catalogue() -> Mapping[str, SoundKind]:
    """Name -> kind, by file and then in its order.

    Raises:
        SoundError: two kinds share a name or a word.
    """
    kinds: dict[str, SoundKind] = {}
    taken: dict[str, str] = {}
    for module_name in scan("sds3d.sounds.kinds").values():
        module = importlib.import_module(module_name)
        for found in vars(module).values():
            if not isinstance(found, SoundKind):
                continue
            for word in (found.name, *found.words):
                if word in taken:
                    raise SoundError(f"{found.name!r} and {taken[word]!r} both answer to {word!r}.")
                taken[word] = found.name
            kinds[found.name] = found
    return MappingProxyType(kinds)


def find(word: str) -> SoundKind:
    """The kind with this name or synonym.

    Raises:
        SoundError: there is none; the message suggests the nearest.
    """
    known = {w: k for k in catalogue().values() for w in (k.name, *k.words)}
    if word not in known:
        near = get_close_matches(word, known, 3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise SoundError(f"There is no kind of sound called {word!r}.{hint}")
    return known[word]
