"""A kind of object: a small function that builds it, with the words for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .solids import Solid
from .vary import Vary

MAIN = "main"
"""Paint of the parts that a caption's colour names."""
SECOND = "second"
"""Paint of the second part that a caption may colour: a mushroom's stem, a house's roof."""

Part = tuple[Solid, str]
"""A solid and its paint: MAIN, SECOND, or the name of a fixed colour (colours.FIXED)."""


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Args:
        name: what it is called; words: other names that mean the same.
        build: variation -> parts, y up, the front facing +z, of any size.
        group: shelf of the catalogue, such as "animals".
        natural: colour of MAIN where a caption names none, or None where it always names one.
        second: the word for the SECOND parts, or None; second_natural: their usual colour.
        fronted: whether it has a front, so that a heading can be right or wrong.
        roles: what it may be in a scene of two: "top" (small enough to stand on something), "base" (has a flat
            top), "cover" (something may be under it), "holder" (something may be inside it).
    """

    name: str
    build: Callable[[Vary], list[Part]]
    group: str
    words: tuple[str, ...] = ()
    natural: str | None = None
    second: str | None = None
    second_natural: str = "white"
    fronted: bool = True
    roles: frozenset[str] = field(default_factory=frozenset)


def kind(
    name: str,
    group: str,
    *,
    words: Sequence[str] = (),
    natural: str | None = None,
    second: str | None = None,
    second_natural: str = "white",
    fronted: bool = True,
    roles: Sequence[str] = (),
) -> Callable[[Callable[[Vary], list[Part]]], Kind]:
    """Make a building function a `Kind`; the arguments are Kind's own."""

    def named(build: Callable[[Vary], list[Part]]) -> Kind:
        return Kind(
            name, build, group, tuple(words), natural, second, second_natural, fronted, frozenset(roles)
        )

    return named


def both_sides(*parts: Part) -> list[Part]:
    """The parts and their mirror images (x negated): eyes, ears, wheels."""
    return [*parts, *((solid.mirrored(), paint) for solid, paint in parts)]
