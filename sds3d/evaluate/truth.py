"""The true shape behind a prompt, where one is known: the procedural object that the sentence speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.assets import Mesh
from ..core.streams import Streams
from ..objects.captions import Subject, read_caption
from ..objects.catalogue import ObjectError
from ..objects.colours import FIXED, NAMED
from ..objects.kind import MAIN, SECOND
from ..objects.scenes import scene_of_two
from ..objects.shape import build


@dataclass(frozen=True)
class Truth:
    """What a prompt should look like.

    Args:
        mesh: with vertex colours, its front facing +Z. fronted: whether it has a front.
        painted: whether its colours are those that the prompt names.
    """

    mesh: Mesh
    fronted: bool
    painted: bool


def truth_of(prompt: str, build_number: int | None = None) -> Truth | None:
    """The object in the colours of the sentence; None where the sentence is not understood.

    Args:
        build_number: one of its varied builds; the typical one without it.
    """
    try:
        subject, named = read_caption(prompt)
    except ObjectError:
        return None
    return _of(subject, named, prompt, build_number)


def truths_of(prompt: str, varied: int) -> list[Truth]:
    """The typical build and the first varied ones: the range of what the sentence may mean; empty if not understood."""
    found = [truth_of(prompt, number) for number in (None, *range(varied))]
    return [truth for truth in found if truth is not None]


def _of(subject: Subject, named: dict[str, str], prompt: str, number: int | None) -> Truth:
    first = subject.kinds[0]
    usual = {MAIN: FIXED[first.natural or "gray"], SECOND: FIXED[first.second_natural]}
    usual["third"] = NAMED[named["main"]] if "main" in named else usual[MAIN]
    colours = usual | {paint: NAMED[word] for paint, word in named.items()}
    streams = None if number is None else Streams(0)
    if subject.relation is None:
        shape = build(first, streams, number or 0)
    else:
        shape = scene_of_two(first, subject.relation, subject.kinds[1], streams, number or 0)
    fronted = len(subject.kinds) == 1 and first.fronted
    return Truth(shape.mesh(colours, prompt), fronted, "main" in named or first.natural is not None)
