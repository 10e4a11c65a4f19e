"""The true shape behind a prompt, where one is known: the procedural object that the sentence speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.assets import Mesh
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


def truth_of(prompt: str) -> Truth | None:
    """The typical build of the object, in the colours of the sentence; None where the sentence is not understood."""
    try:
        subject, named = read_caption(prompt)
    except ObjectError:
        return None
    return _of(subject, named, prompt)


def _of(subject: Subject, named: dict[str, str], prompt: str) -> Truth:
    first = subject.kinds[0]
    usual = {MAIN: FIXED[first.natural or "gray"], SECOND: FIXED[first.second_natural]}
    usual["third"] = NAMED[named["main"]] if "main" in named else usual[MAIN]
    colours = usual | {paint: NAMED[word] for paint, word in named.items()}
    if subject.relation is None:
        shape = build(first)
    else:
        shape = scene_of_two(first, subject.relation, subject.kinds[1])
    fronted = len(subject.kinds) == 1 and first.fronted
    return Truth(shape.mesh(colours, prompt), fronted, "main" in named or first.natural is not None)
