"""Several guidances on one stage: which of them judge a step, and how their judgements become one.

    sum:        g = sum_i factor_i(progress) g_i
    alternate:  g = factor_k(progress) g_k,   k drawn with chance_i in every step

g_i is what term i alone would send to the picture that it judged, its own image steps included; factor multiplies
last. A term whose factor is 0 at a step is not rendered for, asks no network, and neither its state nor its critic
moves. All terms draw the same cameras, times and noise, unless a term has a stream of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ..core.errors import ConfigError
from ..core.schedules import Schedule, constant
from ..core.streams import Streams

if TYPE_CHECKING:
    from .stage import Stage

Mix = Literal["sum", "alternate"]

ONE = constant(1.0)
"""A factor that leaves a gradient as it is."""

_CHECKED = 200


class Named(Protocol):
    """What `check_terms` reads of a term, or of its options."""

    @property
    def name(self) -> str:
        """See Term."""
        ...

    @property
    def factor(self) -> Schedule:
        """See Term."""
        ...


@dataclass(frozen=True)
class Term:
    """One guidance among several.

    Args:
        name: unique on the stage; before its numbers in the metrics. Letters, digits, "_" and "-".
        stage: its own prior, guidance, cameras, size and streams, on the common representation; has no terms.
        factor: on its gradient. chance: of being the one that judges, relative to the others' (mix "alternate").
    """

    name: str
    stage: Stage
    factor: Schedule = ONE
    chance: float = 1.0


def streams_of(seed: int, stream: int) -> Streams:
    """The random numbers of a term: stream 0 is the run's own, terms of the same stream draw the same numbers."""
    return Streams(seed, "term", stream) if stream else Streams(seed)


def active(
    terms: Sequence[Term], mix: Mix, step: int, progress: float, streams: Streams
) -> tuple[tuple[Term, float], ...]:
    """The terms that judge a step, and their factors there: a pure function of (seed, step)."""
    able = [(term, term.factor(progress)) for term in terms]
    able = [(term, factor) for term, factor in able if factor != 0.0]
    if mix == "sum":
        return tuple(able)
    u = float(streams.uniform((), "term", step=step)[0]) * sum(term.chance for term, _ in able)
    for term, factor in able:
        u -= term.chance
        if u < 0.0:
            return ((term, factor),)
    return (able[-1],)


def check_terms(terms: Sequence[Named]) -> None:
    """Refuse names that stand twice, and a run in which nobody judges at some point.

    Raises:
        ConfigError: says which name, or where in the run.
    """
    names = [term.name for term in terms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"two terms are called {name!r}, but metrics and state are kept by name.",
                key="guidance.terms",
                hint=f"Give one of them a name: {{name: {name}2, guidance: …}}.",
            )
    for k in range(_CHECKED):
        p = k / _CHECKED
        if all(term.factor(p) == 0.0 for term in terms):
            raise ConfigError(
                f"at progress {p:g} the factor of every term is 0, so that nobody judges.",
                key="guidance.terms",
                hint="Let at least one term keep a factor; {linear: [1, 0]} reaches 0 only at the very end.",
            )
