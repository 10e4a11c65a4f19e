"""The catalogue: every kind that the package holds, found by scanning, with the words for it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from ..core.errors import Sds3dError
from ..core.plugins import scan
from .kind import Kind


class ObjectError(Sds3dError):
    """A kind, a colour or a relation that the catalogue does not hold."""


@cache
def catalogue() -> Mapping[str, Kind]:
    """Name -> kind, by shelf and then in the order of the files.

    Raises:
        ObjectError: two kinds share a name or a word.
    """
    kinds: dict[str, Kind] = {}
    taken: dict[str, str] = {}
    for module_name in scan("sds3d.objects.kinds").values():
        module = importlib.import_module(module_name)
        for found in vars(module).values():
            if not isinstance(found, Kind):
                continue
            for word in (found.name, *found.words):
                if word in taken:
                    raise ObjectError(f"{found.name!r} and {taken[word]!r} both answer to {word!r}.")
                taken[word] = found.name
            kinds[found.name] = found
    return MappingProxyType(kinds)


def find(word: str) -> Kind:
    """The kind with this name or synonym.

    Raises:
        ObjectError: there is none; the message suggests the nearest.
    """
    from difflib import get_close_matches

    known = {w: k for k in catalogue().values() for w in (k.name, *k.words)}
    if word not in known:
        near = get_close_matches(word, known, 3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise ObjectError(f"There is no kind of object called {word!r}.{hint}")
    return known[word]
