"""Catalogues: things with a name and words for it, found by scanning a package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Protocol, TypeVar

from .errors import Sds3dError
from .plugins import scan


class Named(Protocol):
    """Something that a catalogue holds."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """Synonyms."""
        ...


N = TypeVar("N", bound=Named)


def collect(package: str, sort: type[N], error: type[Sds3dError]) -> Mapping[str, N]:
    """Name -> thing: every instance of `sort` in the package's modules, by file and then in its order.

    Raises:
        error: two share a name or a word.
    """
    found: dict[str, N] = {}
    taken: dict[str, str] = {}
    for module_name in scan(package).values():
        for one in vars(importlib.import_module(module_name)).values():
            if not isinstance(one, sort):
                continue
            for word in (one.name, *one.words):
                if word in taken:
                    raise error(f"{one.name!r} and {taken[word]!r} both answer to {word!r}.")
                taken[word] = one.name
            found[one.name] = one
    return MappingProxyType(found)


def look_up(word: str, things: Mapping[str, N], what: str, error: type[Sds3dError]) -> N:
    """The thing with this name or synonym; `what` says what sort it is, for the message.

    Raises:
        error: there is none; the message suggests the nearest.
    """
    known = {w: thing for thing in things.values() for w in (thing.name, *thing.words)}
    if word not in known:
        near = get_close_matches(word, known, 3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise error(f"There is no {what} called {word!r}.{hint}")
    return known[word]
