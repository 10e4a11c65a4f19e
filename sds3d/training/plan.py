"""Which pictures there are: a list that follows from the options and the catalogue alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.streams import Streams
from ..objects.captions import Subject
from ..objects.catalogue import catalogue, find
from ..objects.held_out import kind_is_held_out, relation_is_held_out
from ..objects.kind import Kind
from ..objects.patterns import PATTERNS
from ..objects.scenes import RELATIONS, related
from .options import PictureOptions


@dataclass(frozen=True)
class Picture:
    """One picture of the set.

    Args:
        subject: what is in it. build: number of the build.
        azimuth_deg, elevation_deg: where the camera stands.
        held_out: whether its relation is kept from the prior.
    """

    subject: Subject
    build: int
    azimuth_deg: float
    elevation_deg: float
    held_out: bool = False


def plan(options: PictureOptions) -> list[Picture]:
    """Every picture, in order; kinds that are held out are in none."""
    streams = Streams(options.seed)
    subjects = _subjects(options, streams)
    low, high = options.elevation_deg
    numbers = streams.uniform((len(subjects), 2), "picture camera")[0]
    return [
        Picture(
            subject,
            index // options.views_per_build,
            float(360 * u),
            float(low + (high - low) * v),
            subject.relation is not None
            and relation_is_held_out(subject.kinds[0], subject.relation, subject.kinds[1]),
        )
        for index, (subject, (u, v)) in enumerate(zip(subjects, numbers.tolist(), strict=True))
    ]


def learned_kinds(options: PictureOptions) -> list[Kind]:
    """The kinds of the set: those named, or all, less those that are held out.

    Raises:
        ObjectError: a name is not in the catalogue.
    """
    named = [find(name) for name in options.kinds] or list(catalogue().values())
    return [k for k in named if not kind_is_held_out(k)]


def _subjects(options: PictureOptions, streams: Streams) -> list[Subject]:
    shown = learned_kinds(options)
    repeat = options.views_per_build
    out: list[Subject] = []
    for index, kind in enumerate(shown):
        drawn = streams.uniform((options.per_kind, 2), "picture pattern", ids=(index,))[0].tolist()
        for number in range(options.per_kind):
            share, which = drawn[number // repeat * repeat]
            pattern = list(PATTERNS)[int(which * len(PATTERNS))] if share < options.patterned else None
            out.append(Subject((kind,), pattern=pattern))
    names = {k.name for k in shown}
    for relation in RELATIONS:
        pairs = [p for p in related(relation) if p[0].name in names and p[1].name in names]
        picks = streams.integers(max(len(pairs), 1), (options.per_relation,), "picture pair", relation)[
            0
        ].tolist()
        if pairs:
            out += [
                Subject(pairs[picks[i // repeat * repeat]], relation) for i in range(options.per_relation)
            ]
    return out + _of_three(options, streams, shown)


def _of_three(options: PictureOptions, streams: Streams, shown: list[Kind]) -> list[Subject]:
    """The first on the second, next to the third."""
    names = {k.name for k in shown}
    pairs = [p for p in related("on") if p[0].name in names and p[1].name in names]
    besides = [k for k in shown if "top" in k.roles]
    if not pairs or not besides:
        return []
    drawn: torch.Tensor = streams.uniform((options.of_three, 2), "picture of three")[0]
    out = []
    for number in range(options.of_three):
        u, v = drawn[number // options.views_per_build * options.views_per_build].tolist()
        first, second = pairs[int(u * len(pairs))]
        out.append(Subject((first, second, besides[int(v * len(besides))]), "on"))
    return out
