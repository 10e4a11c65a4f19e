"""Where an asset comes from, kept inside its file as names and values of text: prompt, method, model, seed, licence.

Each format has its own place: glTF asset.extras, comments of OBJ and PLY, USD customLayerData, text chunks of PNG.
No times and no paths, so that equal assets give equal files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..core.errors import AssetError

Provenance = Mapping[str, str]
"""Names ([a-z][a-z0-9_]*, at most 40 letters) to text (at most 4000 letters)."""

NOTHING: Provenance = MappingProxyType({})

MAX_TEXT, MAX_ENTRIES = 4000, 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE = re.compile(r"\s*sds3d\.([a-z][a-z0-9_]{0,39}) (\".*\")\s*")


def check_provenance(provenance: Provenance) -> None:
    """Raise AssetError for a name that is no identifier, or a value that is no short text."""
    for name, value in provenance.items():
        if not _NAME.fullmatch(name):
            raise AssetError(
                f"provenance: the name {name!r} is not lower-case letters, digits and _ (at most 40)."
            )
        if not isinstance(value, str) or len(value) > MAX_TEXT or _CONTROL.search(value):
            raise AssetError(
                f"provenance: {name} must be text of at most {MAX_TEXT} letters without control characters."
            )


def comments(provenance: Provenance) -> list[str]:
    """One line of ASCII an entry, as `sds3d.prompt "a red cube"`; what `from_comments` reads."""
    return [f"sds3d.{name} {json.dumps(value)}" for name, value in sorted(provenance.items())]


def from_comments(lines: Iterable[str]) -> dict[str, str]:
    """The entries among comment lines; others, broken ones included, are passed over."""
    found: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line) if len(line) < 8 * MAX_TEXT else None
        if match:
            try:
                value = json.loads(match[2])
            except ValueError:
                continue
            found |= foreign({match[1]: value})
    return dict(list(found.items())[:MAX_ENTRIES])


def foreign(values: object) -> dict[str, str]:
    """The entries of a mapping from someone's file that are ours: valid names with text, at most MAX_ENTRIES."""
    if not isinstance(values, Mapping):
        return {}
    kept = {
        k: v
        for k, v in values.items()
        if isinstance(k, str) and _NAME.fullmatch(k) and isinstance(v, str) and len(v) <= MAX_TEXT
    }
    return dict(list(kept.items())[:MAX_ENTRIES])
