"""Sentences about objects: drawn for training, and read back to the shape that they speak of."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from .catalogue import ObjectError, catalogue
from .colours import NAMED, SYNONYMS
from .held_out import pair_is_held_out
from .kind import Kind
from .patterns import PATTERN_WORDS, PATTERNS
from .scenes import RELATIONS

PREFIXES = ("a 3d render of ", "a photo of ", "a 3d model of ")
GLOSS_WORDS = ("glossy", "shiny")
OTHER_WORDS = ("a", "an", "the", "and", "with", "next", "to", "toy", "small", "matte", ",",
               "front", "side", "back", "overhead", "view")  # fmt: skip


@dataclass(frozen=True)
class Caption:
    """A sentence and what it means.

    Args:
        text: the sentence. colours: named colour of "main", "second", "third" (those that the picture needs).
        glossy: whether it says that the object shines.
    """

    text: str
    colours: dict[str, str] = field(default_factory=dict)
    glossy: bool = False


@dataclass(frozen=True)
class Subject:
    """What is in a picture, before its colours are chosen: one kind with or without a pattern, or several kinds.

    Args:
        kinds: one to three. relation: between the first two. pattern: of a single kind.
    """

    kinds: tuple[Kind, ...]
    relation: str | None = None
    pattern: str | None = None


class Dice:
    """Numbers in (0, 1) that are used up one by one."""

    def __init__(self, numbers: Sequence[float]):
        self._left = iter(numbers)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._left) < probability

    def pick(self, choices: Sequence):
        """One of the choices."""
        return choices[int(next(self._left) * len(choices))]


NUMBERS_NEEDED = 24
"""How many numbers one caption uses at most."""


def colours_of(kind: Kind, every_pair: bool = False) -> list[str]:
    """The named colours that training may show on a kind; all with `every_pair`."""
    return [c for c in NAMED if every_pair or not pair_is_held_out(c, kind)]


def with_article(words: str) -> str:
    """ "a" or "an" before the words."""
    return f"{'an' if words[0] in 'aeio' or words.startswith('umb') else 'a'} {words}"


def _say_colour(colour: str, dice: Dice) -> str:
    names = [colour, *(word for word, meant in SYNONYMS.items() if meant == colour)]
    return dice.pick(names) if dice.chance(0.3) else colour


def _say_kind(kind: Kind, dice: Dice) -> str:
    return dice.pick((kind.name, *kind.words)) if dice.chance(0.3) else kind.name


def _single(subject: Subject, dice: Dice, every_pair: bool) -> Caption:
    """One object: natural, in a colour, with a coloured part, or patterned."""
    kind = subject.kinds[0]
    colour, name = dice.pick(colours_of(kind, every_pair)), _say_kind(kind, dice)
    second = kind.second_natural
    kind_of_caption, glossy = dice.pick(range(100)), dice.chance(0.12)
    gloss = f"{dice.pick(GLOSS_WORDS)} " if glossy else ""
    other = dice.pick([c for c in NAMED if c != colour])
    said, said_other = _say_colour(colour, dice), _say_colour(other, dice)
    if subject.pattern and kind_of_caption < 85:
        word = dice.pick(PATTERN_WORDS[subject.pattern])
        text = with_article(f"{gloss}{said} and {said_other} {word} {name}")
        return Caption(text, {"main": colour, "second": second, "third": other}, glossy)
    plain = {"main": colour, "second": second, "third": colour}
    if kind.natural and kind_of_caption < 20:
        plain |= {"main": kind.natural, "third": kind.natural}
        return Caption(with_article(f"{gloss}{name}"), plain, glossy)
    if kind.second and kind_of_caption >= 65:
        part = dice.pick(list(NAMED))
        text = with_article(
            f"{gloss}{said} {name} with {with_article(f'{_say_colour(part, dice)} {kind.second}')}"
        )
        return Caption(text, plain | {"second": part}, glossy)
    return Caption(with_article(f"{gloss}{said} {name}"), plain, glossy)


def _scene(subject: Subject, dice: Dice, every_pair: bool) -> Caption:
    """Two or three objects, each in a colour."""
    paints = ("main", "second", "third")
    colours = {p: dice.pick(colours_of(k, every_pair)) for p, k in zip(paints, subject.kinds, strict=False)}
    said = [
        with_article(f"{_say_colour(colours[p], dice)} {_say_kind(k, dice)}")
        for p, k in zip(paints, subject.kinds, strict=False)
    ]
    relation = subject.relation or "on"
    words = RELATIONS[relation].words
    text = f"{said[0]} {dice.pick(words) if dice.chance(0.4) else words[0]} {said[1]}"
    if len(said) == 3:
        text += f" next to {said[2]}"
    return Caption(text, {"third": colours["main"]} | colours)


def draw_caption(subject: Subject, numbers: Sequence[float], every_pair: bool = False) -> Caption:
    """A caption for a picture, and the colours that it then has.

    Args:
        numbers: NUMBERS_NEEDED uniforms in (0, 1). every_pair: also the pairs that are held out (for judges).
    """
    dice = Dice(numbers)
    caption = (_single if len(subject.kinds) == 1 else _scene)(subject, dice, every_pair)
    text = caption.text
    if dice.chance(0.15):
        text = dice.pick(PREFIXES) + text
    elif dice.chance(0.06):
        text = text.split(" ", 1)[1]
    return Caption(text, caption.colours, caption.glossy)


@cache
def _all_names() -> Mapping[str, Kind]:
    return {word: kind for kind in catalogue().values() for word in (kind.name, *kind.words)}


def vocabulary(kinds: Sequence[Kind]) -> list[str]:
    """Every word that a caption of these kinds may hold, sorted."""
    phrases = [word for kind in kinds for word in (kind.name, *kind.words)]
    phrases += [*NAMED, *SYNONYMS, *PREFIXES, *GLOSS_WORDS, *OTHER_WORDS]
    phrases += [k.second for k in kinds if k.second]
    phrases += [w for r in RELATIONS.values() for w in r.words]
    phrases += [w for words in PATTERN_WORDS.values() for w in words]
    return sorted({word for phrase in phrases for word in phrase.split()})


def _read_noun(text: str) -> tuple[str | None, Kind]:
    """Colour and kind of "a red mushroom", with or without article and colour."""
    words = text.split()
    if words and words[0] in ("a", "an", "the"):
        words = words[1:]
    colour = SYNONYMS.get(words[0], words[0]) if words else None
    if colour in NAMED:
        words = words[1:]
    else:
        colour = None
    name = " ".join(words)
    names = _all_names()
    if name not in names:
        raise ObjectError(f"no kind of object is called {name!r} (in {text!r})")
    return colour, names[name]


def read_caption(text: str) -> tuple[Subject, dict[str, str]]:
    """What a plain caption speaks of, and the colours it names.

    Understands "a red mushroom", "a red mushroom with a white stem", "a red and white striped mug", and two kinds
    in a relation; glossy and matte are skipped.

    Raises:
        ObjectError: anything else.
    """
    plain = " ".join(w for w in text.lower().split() if w not in (*GLOSS_WORDS, "matte"))
    for relation, rule in RELATIONS.items():
        for words in sorted(rule.words, key=len, reverse=True):
            if f" {words} " in plain:
                return _read_scene(plain.split(f" {words} ", 1), relation)
    plain, _, part = plain.partition(" with ")
    pattern = next((p for p in PATTERNS for w in PATTERN_WORDS[p] if f" {w} " in plain), None)
    colours: dict[str, str] = {}
    if pattern:
        before, _, after = plain.partition(" and ")
        other, _, noun = [*after.split(" ", 2), "", ""][:3]
        colours["third"] = _named(other, text)
        plain = f"{before} {noun}"
    colour, kind = _read_noun(plain)
    if colour:
        colours["main"] = colour
    if part:
        colours["second"] = _named([*part.split(), "", ""][1], text)
    return Subject((kind,), pattern=pattern), colours


def _named(word: str, text: str) -> str:
    """A named colour under its usual name."""
    colour = SYNONYMS.get(word, word)
    if colour not in NAMED:
        raise ObjectError(f"{text!r} is no plain caption: {word!r} is no named colour")
    return colour


def _read_scene(halves: Sequence[str], relation: str) -> tuple[Subject, dict[str, str]]:
    """Two nouns in a relation."""
    (first, a), (second, b) = (_read_noun(half) for half in halves)
    said = {"main": first, "second": second}
    return Subject((a, b), relation), {paint: colour for paint, colour in said.items() if colour}


def plain(text: str) -> str:
    """A drawn caption without "a photo of" and the like before it and a side of view behind it."""
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    return text.partition(",")[0].strip()


def content_of(text: str) -> tuple[Hashable, ...]:
    """What a drawn caption says, however it says it: captions of one content may show the same picture.

    Synonyms, articles and "a photo of" make no difference, nor does a colour that the kind has anyhow.

    Raises:
        ObjectError: it is not as `draw_caption` makes them.
    """
    caption, side = plain(text), text.partition(",")[2].strip()
    glossy = not set(GLOSS_WORDS).isdisjoint(caption.split())
    said = {word: name for name, rule in RELATIONS.items() for word in rule.words}
    either = "|".join(sorted(said, key=len, reverse=True))
    first, *others = re.split(f" ({either}) ", caption)
    if others:
        nouns = [_read_noun(noun) for noun in (first, *others[1::2])]
        return (
            *((colour, kind.name) for colour, kind in nouns),
            *(said[w] for w in others[::2]),
            side,
        )
    subject, named = read_caption(first)
    kind = subject.kinds[0]
    usual = {"main": kind.natural, "second": kind.second_natural} | named
    if usual.pop("third", usual["main"]) == usual["main"]:
        return (kind.name, *sorted(usual.items()), glossy, side)  # a pattern of one colour does not show
    return (kind.name, subject.pattern, named["third"], *sorted(usual.items()), glossy, side)
