"""The catalogue: every kind that the package holds, found by scanning, with the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ..core.catalogue import collect, look_up
from ..core.errors import Sds3dError
from .kind import Kind


class ObjectError(Sds3dError):
    """A kind, a colour or a relation that the catalogue does not hold."""


@cache
def catalogue() -> Mapping[str, Kind]:
    """Name -> kind, by shelf and then in the order of the files.

    Raises:
        ObjectError: two kinds share a name or a word.
    """
    return collect("sds3d.objects.kinds", Kind, ObjectError)


def find(word: str) -> Kind:
    """The kind with this name or synonym.

    Raises:
        ObjectError: there is none; the message suggests the nearest.
    """
    return look_up(word, catalogue(), "kind of object", ObjectError)
