"""Scenes of two or three objects: on, under, next to, inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from ..core.streams import Streams
from .catalogue import ObjectError, catalogue
from .kind import MAIN, SECOND, Kind
from .shape import Shape, build, join

THIRD = "third"
"""Paint of the third object of a scene."""
SCENE_RADIUS = 0.78
"""A scene fills a larger ball than an object: two things share it."""
GAP = 0.005


def _rest_on(top: Shape, base: Shape) -> Shape:
    """`top` set down on the middle of `base`."""
    return top.moved(y=base.bounds()[1][1] - top.bounds()[0][1] - GAP)


def _stand_beside(first: Shape, second: Shape) -> Shape:
    """`first` at the right (+x) of `second`, both on one ground."""
    low, high = first.bounds(), second.bounds()
    return first.moved(x=high[1][0] - low[0][0] + 0.04, y=high[0][1] - low[0][1])


def _on(first: Shape, second: Shape) -> Shape:
    return join(_rest_on(first.scaled(0.75), second), second)


def _next_to(first: Shape, second: Shape) -> Shape:
    return join(_stand_beside(first, second), second)


def _under(first: Shape, second: Shape) -> Shape:
    """`first` on the ground below `second`, small enough to fit between its legs."""
    room, size = (high - low for low, high in (second.bounds(), first.bounds()))
    small = first.scaled(min(0.42, 0.6 * room[1] / size[1], 0.6 * room[0] / size[0]))
    return join(small.moved(y=second.bounds()[0][1] - small.bounds()[0][1]), second)


def _inside(first: Shape, second: Shape) -> Shape:
    """`first` half sunk into the open top of `second`."""
    low, high = second.bounds()
    width = float(min(high[0] - low[0], high[2] - low[2]))
    size = first.bounds()[1] - first.bounds()[0]
    small = first.scaled(0.62 * width / float(max(size[0], size[2])))
    height = float((small.bounds()[1] - small.bounds()[0])[1])
    return join(small.moved(y=float(high[1]) - small.bounds()[0][1] - 0.45 * height), second)


@dataclass(frozen=True)
class Relation:
    """How two objects stand to each other.

    Args:
        words: the ways to say it, the usual one first. place: (first, second) -> scene.
        first_roles, second_roles: what the two kinds must be able to be (kind.Kind.roles).
    """

    words: tuple[str, ...]
    place: Callable[[Shape, Shape], Shape]
    first_roles: frozenset[str]
    second_roles: frozenset[str]


_TOP, _ANY = frozenset({"top"}), frozenset({"top", "base"})
RELATIONS: Mapping[str, Relation] = MappingProxyType(
    {
        "on": Relation(("on", "on top of"), _on, _TOP, frozenset({"base"})),
        "next to": Relation(("next to", "beside"), _next_to, _ANY, _ANY),
        "under": Relation(("under", "below"), _under, _TOP, frozenset({"cover"})),
        "inside": Relation(("inside", "in"), _inside, _TOP, frozenset({"holder"})),
    }
)
"""Name -> relation."""


@cache
def related(relation: str) -> tuple[tuple[Kind, Kind], ...]:
    """Every pair of different kinds that can stand in a relation."""
    rule = RELATIONS[relation]
    kinds = tuple(catalogue().values())
    return tuple(
        (a, b)
        for a in kinds if a.roles & rule.first_roles
        for b in kinds if b.roles & rule.second_roles and a.name != b.name
    )  # fmt: skip


def _in_one_colour(kind: Kind, paint: str, streams: Streams | None, number: int) -> Shape:
    """A build whose main parts take `paint`; its second parts keep their usual colour."""
    return build(kind, streams, number).repainted({MAIN: paint, SECOND: kind.second_natural})


def scene_of_two(
    first: Kind, relation: str, second: Kind, streams: Streams | None = None, number: int = 0
) -> Shape:
    """`first` in `relation` to `second`; the paints "main" and "second" are theirs.

    Raises:
        ObjectError: there is no such relation.
    """
    if relation not in RELATIONS:
        raise ObjectError(f"There is no relation {relation!r}; known: {', '.join(RELATIONS)}.")
    a = _in_one_colour(first, MAIN, streams, 2 * number)
    b = _in_one_colour(second, SECOND, streams, 2 * number + 1)
    return RELATIONS[relation].place(a, b).fitted(SCENE_RADIUS)


def scene_of_three(kinds: tuple[Kind, Kind, Kind], streams: Streams | None = None, number: int = 0) -> Shape:
    """The first on the second, next to the third; the paints "main", "second" and "third" are theirs."""
    a, b, c = (
        _in_one_colour(kind, paint, streams, 3 * number + i)
        for i, (kind, paint) in enumerate(zip(kinds, (MAIN, SECOND, THIRD), strict=True))
    )
    return _next_to(_on(a, b), c).fitted(SCENE_RADIUS)
