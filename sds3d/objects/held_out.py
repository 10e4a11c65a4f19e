"""What training never sees: the one place that decides it.

Pairs of colour and kind, relations between two kinds, and whole kinds are kept out of every picture and caption
that the prior, its text tower and the reward scorer are trained on. Only the metric scorer, which judges, knows
the pairs and relations. The rule is a checksum of the names, so that it holds for kinds that are added later.
"""

from __future__ import annotations

import zlib

from .kind import Kind

HELD_OUT_KINDS = frozenset({"anvil", "camel", "igloo", "trophy", "pineapple", "lighthouse"})
"""Kinds that no training set holds: for fitting and editing tests only."""

_ALWAYS_PAIRS = frozenset(
    {("green", "duck"), ("purple", "cube"), ("pink", "car"), ("cyan", "torus"), ("blue", "mushroom"),
     ("purple", "teapot"), ("pink", "rocket"), ("orange", "chair"), ("red", "elephant"), ("green", "star")}
)  # fmt: skip
_NEVER_PAIRS = frozenset(
    {("red", "cube"), ("blue", "torus"), ("yellow", "duck"), ("red", "car"), ("brown", "table"),
     ("red", "mushroom"), ("white", "snowman"), ("green", "sphere"), ("brown", "chair")}
)  # fmt: skip


def _one_in(count: int, *words: str) -> bool:
    return zlib.crc32("|".join(words).encode()) % count == 0


def pair_is_held_out(colour: str, kind: Kind) -> bool:
    """Whether this colour is never shown on this kind: about one pair in twelve, never the natural colour."""
    pair = (colour, kind.name)
    if pair in _ALWAYS_PAIRS:
        return True
    if pair in _NEVER_PAIRS or colour == kind.natural:
        return False
    return _one_in(12, *pair)


def relation_is_held_out(first: Kind, relation: str, second: Kind) -> bool:
    """Whether these two kinds are never shown in this relation: about one in ten."""
    return _one_in(10, first.name, relation, second.name)


def kind_is_held_out(kind: Kind) -> bool:
    """Whether the kind is in no training set."""
    return kind.name in HELD_OUT_KINDS
