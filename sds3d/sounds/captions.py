"""Sentences about sounds: drawn for training, and read back to the kind and manner that they speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..objects.captions import Dice
from .catalogue import catalogue
from .held_out import pair_is_held_out
from .kind import SoundKind
from .manner import MODIFIERS

PREFIXES = ("the sound of ", "a recording of ")
OTHER_WORDS = ("a", "an", "the", "sound", "recording", "of")
NUMBERS_NEEDED = 10
"""How many numbers one caption uses at most."""
_SHARES = (0.3, 0.85)


@dataclass(frozen=True)
class SoundCaption:
    """A sentence, and the kind and the modifiers that it names."""

    text: str
    kind: SoundKind
    said: tuple[str, ...] = ()


def with_article(words: str) -> str:
    """ "a" or "an" before the words; names that stand for many, or for no single thing, have none."""
    last = words.split()[-1]
    if last in ("footsteps", "steps", "waves", "rain", "wind", "thunder", "fire", "static", "surf"):
        return words
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def plain_caption(kind: SoundKind, said: Sequence[str] = ()) -> str:
    """ "a short high bell"."""
    return with_article(" ".join([*said, kind.name]))


def allowed(kind: SoundKind, every_pair: bool = False) -> list[str]:
    """Modifiers that training may say of a kind; all with `every_pair`."""
    return [m for m in kind.modifiers if every_pair or not pair_is_held_out(m, kind)]


def draw_caption(kind: SoundKind, numbers: Sequence[float], every_pair: bool = False) -> SoundCaption:
    """A sentence about a kind: 30 % plain, 55 % with one modifier, 15 % with two of different axes.

    Args:
        numbers: NUMBERS_NEEDED of them in (0, 1). every_pair: also pairs that are held out.
    """
    dice, free, said = Dice(numbers[1:]), allowed(kind, every_pair), list[str]()
    for _ in range(sum(numbers[0] >= share for share in _SHARES)):
        if free:
            word = dice.pick(free)
            said.append(word)
            free = [m for m in free if MODIFIERS[m][0] != MODIFIERS[word][0]]
    name = dice.pick([kind.name, *kind.words]) if dice.chance(0.3) else kind.name
    prefix = dice.pick(PREFIXES) if dice.chance(0.25) else ""
    return SoundCaption(prefix + with_article(" ".join([*said, name])), kind, tuple(said))


def vocabulary() -> list[str]:
    """Every word that captions may hold, sorted."""
    names = [w for k in catalogue().values() for name in (k.name, *k.words) for w in split(name)]
    return sorted({*names, *MODIFIERS, *OTHER_WORDS})


def split(text: str) -> list[str]:
    """Words as the tokenizer sees them: hyphens stand alone."""
    return text.lower().replace("-", " - ").split()


def every_caption(every_pair: bool = True) -> list[str]:
    """Each kind alone and with each of its modifiers: the field that retrieval is judged in."""
    out = []
    for kind in catalogue().values():
        out += [plain_caption(kind), *(plain_caption(kind, (m,)) for m in allowed(kind, every_pair))]
    return out
