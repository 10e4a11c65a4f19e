"""Nearest names: what a typo was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name closest to a mistyped one, or None when none is close; case, - and _ do not count."""

    def plain(text: str) -> str:
        return text.lower().replace("-", "_").replace(" ", "_")

    by_plain = {plain(name): name for name in valid}
    match = difflib.get_close_matches(plain(word), by_plain, n=1, cutoff=0.6)
    if match:
        return by_plain[match[0]]
    holds = [name for key, name in by_plain.items() if len(plain(word)) >= 3 and plain(word) in key]
    return min(holds, key=len) if holds else None


def listing(names: Iterable[str], limit: int = 12) -> str:
    """`a, b, c`, cut after `limit` names."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
