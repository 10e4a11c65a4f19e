"""Sentences that are wrong about one thing: what a region in words is told apart by."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import ConfigError
from ..objects.captions import with_article
from ..objects.colours import NAMED, SYNONYMS

COLOURS = ("red", "green", "blue", "yellow", "purple", "white", "orange", "black")
"""What a thing might look like instead of what it does."""


@dataclass(frozen=True)
class Contrast:
    """A sentence that is right about an object, and at least one that is wrong about the part that is meant."""

    own: str
    others: tuple[str, ...]


def of_words(source: str, words: str) -> Contrast:
    """What tells the words' place: the sentence with the words' thing in other colours.

    Where the sentence does not speak of it, "with a … hat" is added.

    Args:
        source: what the object shows, such as "a snowman with a black hat". words: such as "hat" or "black hat".

    Raises:
        ConfigError: the sentence or the words are empty.
    """
    told, asked = source.split(), words.split()
    if not told or not asked:
        raise ConfigError(
            f"text:{words} is found by what the object shows now.",
            key="edit.prompt",
            hint='Say it: --from "a snowman with a black hat", or edit.prompt.',
        )
    while len(asked) > 1 and _plain(asked[0]) in ("a", "an", "the"):
        asked = asked[1:]
    place = _find(told, asked)
    if place is None:
        added = [c for c in COLOURS if not (_colour(asked[0]) and c == _plain(asked[0]))]
        noun = " ".join(asked[1:] if len(asked) > 1 and _colour(asked[0]) else asked)
        tail = [f"{c} {noun}" if noun.endswith("s") else with_article(f"{c} {noun}") for c in added]
        return Contrast(source, tuple(f"{source} with {t}" for t in tail))
    if _colour(told[place]) and len(asked) > 1:
        slot = place
    elif place and _colour(told[place - 1]):
        slot = place - 1
    else:
        return Contrast(source, tuple(_joined([*told[:place], c, *told[place:]]) for c in COLOURS))
    return Contrast(source, _recoloured(told, slot))


def of_edit(source: str, target: str) -> Contrast:
    """What tells the place that an edit speaks of: where the sentences differ in one colour, other colours as well.

    Raises:
        ConfigError: a sentence is empty, or they are one.
    """
    told, wanted = source.split(), target.split()
    if not told or told == wanted:
        raise ConfigError(
            "the region auto is what --from and --to disagree about"
            + (", and they are one." if told else ", and --from is missing."),
            key="edit.prompt",
            hint='Say what it shows now: --from "a red car".',
        )
    # an article that follows its colour, as in "an orange car", is no difference
    old, new = ([w for w in words if _plain(w) not in ("a", "an")] for words in (told, wanted))
    steps = [
        s for s in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes() if s[0] != "equal"
    ]
    if len(steps) == 1 and steps[0][0] == "replace":
        _, a, b, c, d = steps[0]
        if b - a == 1 and d - c == 1 and _colour(old[a]) and _colour(new[c]):
            slot = [k for k, w in enumerate(told) if _plain(w) not in ("a", "an")][a]
            others = [s for s in _recoloured(told, slot) if s != target]
            return Contrast(source, (target, *others))
    return Contrast(source, (target,))


def _recoloured(told: Sequence[str], slot: int) -> tuple[str, ...]:
    """The sentence with every other colour at that place."""
    is_now = SYNONYMS.get(_plain(told[slot]), _plain(told[slot]))
    return tuple(_joined([*told[:slot], c, *told[slot + 1 :]]) for c in COLOURS if c != is_now)


def _joined(words: Sequence[str]) -> str:
    """The sentence, with the articles that its words ask for."""
    out = list(words)
    for k, word in enumerate(out[:-1]):
        if _plain(word) in ("a", "an") and _colour(out[k + 1]):
            article = with_article(out[k + 1]).split()[0]
            out[k] = article.capitalize() if word[0].isupper() else article
    return " ".join(out)


def _find(told: Sequence[str], asked: Sequence[str]) -> int | None:
    """Where the words stand in the sentence, the first place of them."""
    sought = [_plain(w) for w in asked]
    have = [_plain(w) for w in told]
    places = range(len(have) - len(sought) + 1)
    return next((k for k in places if have[k : k + len(sought)] == sought), None)


def _plain(word: str) -> str:
    return word.strip(",.;:!?").lower()


def _colour(word: str) -> bool:
    return _plain(word) in NAMED or _plain(word) in SYNONYMS
