"""Slot 4, rule: target minus reference, as algebra over predictions.

    guided(cfg) - EPS        C - U        omega1 * (C - U) + omega2 * (U - NEG)

Every symbol stands for its eps: the epsilon-residual is the only currency. Coefficients may change over the run;
a symbol whose coefficients add up to 0 at a step is not asked for, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule, constant
from sds3d.priors.noise_schedule import NoiseSchedule

from .predictions import Combiner, Epsilon, Guided, Learned, Plain, Symbol, Transform


class Rule(Protocol):
    """The residual as a function of what was predicted."""

    def symbols(self, progress: float) -> tuple[Symbol, ...]:
        """What has to be known at that point of the run."""
        ...

    def every_symbol(self) -> tuple[Symbol, ...]:
        """Everything that may have to be known in a run."""
        ...

    def here(self, progress: float, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> tuple[Symbol, ...]:
        """What has to be known for views at these times."""
        ...

    def residual(
        self,
        eps: Mapping[Symbol, Tensor],
        progress: float,
        like: Tensor,
        t: Float[Tensor, " b"],
        schedule: NoiseSchedule,
    ) -> Tensor:
        """(B, C, h, w), the shape of `like`, from the eps of each of `here(...)`."""
        ...


@dataclass(frozen=True)
class Term:
    """factor * schedule * symbol."""

    symbol: Symbol
    factor: float
    schedule: Schedule

    def __call__(self, progress: float) -> float:
        """The coefficient at that point of the run."""
        return self.factor * self.schedule(progress)


@dataclass(frozen=True)
class Linear:
    """A sum of symbols with scheduled coefficients; supports +, - and multiplication by a number or a Schedule."""

    terms: tuple[Term, ...]

    def coefficients(self, progress: float) -> dict[Symbol, float]:
        """Symbol -> coefficient at that point of the run; zeros left out."""
        out: dict[Symbol, float] = {}
        for term in self.terms:
            out[term.symbol] = out.get(term.symbol, 0.0) + term(progress)
        return {symbol: value for symbol, value in out.items() if value != 0.0}

    def symbols(self, progress: float) -> tuple[Symbol, ...]:
        """The symbols with a coefficient at that point of the run."""
        return tuple(self.coefficients(progress))

    def every_symbol(self) -> tuple[Symbol, ...]:
        """The symbols that no exact cancellation removes for the whole run."""
        totals: dict[Symbol, dict[Schedule, float]] = {}
        for term in self.terms:
            per_schedule = totals.setdefault(term.symbol, {})
            plain = term.schedule.kind == "constant" and not term.schedule.warmup
            key, value = (constant(1.0), term(0.0)) if plain else (term.schedule, term.factor)
            per_schedule[key] = per_schedule.get(key, 0.0) + value
        return tuple(symbol for symbol, sums in totals.items() if any(v != 0.0 for v in sums.values()))

    def here(self, progress: float, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> tuple[Symbol, ...]:
        """`symbols(progress)`: a sum is the same at every time."""
        return self.symbols(progress)

    def residual(
        self,
        eps: Mapping[Symbol, Tensor],
        progress: float,
        like: Tensor,
        t: Float[Tensor, " b"] | None = None,
        schedule: NoiseSchedule | None = None,
    ) -> Tensor:
        """sum_i c_i eps_i; zeros where every coefficient is 0, as at the start of a warm-up."""
        parts = [value * eps[symbol] for symbol, value in self.coefficients(progress).items()]
        return sum(parts[1:], parts[0]) if parts else torch.zeros_like(like)

    def __add__(self, other: Linear) -> Linear:
        return Linear(self.terms + other.terms)

    def __neg__(self) -> Linear:
        return Linear(tuple(Term(t.symbol, -t.factor, t.schedule) for t in self.terms))

    def __sub__(self, other: Linear) -> Linear:
        return self + (-other)

    def __rmul__(self, scale: float | Schedule) -> Linear:
        if isinstance(scale, Schedule):
            if any(t.schedule != constant(1.0) for t in self.terms):
                raise ConfigError(
                    "a rule's coefficient can follow one schedule only; multiply the schedules first."
                )
            return Linear(tuple(Term(t.symbol, t.factor, scale) for t in self.terms))
        return Linear(tuple(Term(t.symbol, scale * t.factor, t.schedule) for t in self.terms))


def of(symbol: Symbol) -> Linear:
    """The rule that is one symbol."""
    return Linear((Term(symbol, 1.0, constant(1.0)),))


def guided(combiner: Combiner, transforms: tuple[Transform, ...] = (), at: str = "t") -> Linear:
    """G: one guided prediction at a state."""
    return of(Guided(combiner, transforms, at))


def plain(condition: str, at: str = "t") -> Linear:
    """The prediction under one condition at a state."""
    return of(Plain(condition, at))


def learned(told: bool = True) -> Linear:
    """The critic's prediction."""
    return of(Learned(told))


EPS = of(Epsilon())
"""The noise that was added."""
C = of(Plain("y"))
"""The prediction under the prompt."""
U = of(Plain("null"))
"""The prediction under the empty prompt."""
NEG = of(Plain("neg"))
"""The prediction under the negative prompt."""


def branches_of(symbols: tuple[Symbol, ...]) -> frozenset[str]:
    """Every branch that these symbols may ask."""
    out: frozenset[str] = frozenset()
    for symbol in symbols:
        if isinstance(symbol, Guided):
            out |= symbol.branches()
        elif isinstance(symbol, Plain):
            out |= {symbol.condition}
    return out
