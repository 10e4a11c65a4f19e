"""Scalar schedules: any number in a config may change over a run.

Written in YAML as a number, or as a mapping with one of the keys below (progress p = step / steps in [0, 1]):

    0.01                                       constant
    {linear: [0.98, 0.5]}                      first + (last - first) p
    {sqrt: [0.98, 0.5]}                        first + (last - first) sqrt(p)
    {cosine: [1.0, 0.1]}                       last + (first - last) (1 + cos(pi p)) / 2
    {exponential: [1e-2, 1e-4]}                first (last / first)^p
    {piecewise: [[0, 1.0], [0.5, 1.0], [1, 0.1]]}   linear between (p, value) knots, constant outside
    any of them with `warmup: 0.05`            times p / 0.05 over the first 5 % of the run
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

KINDS = ("constant", "linear", "sqrt", "cosine", "exponential", "piecewise")


@dataclass(frozen=True)
class Schedule:
    """A number as a function of progress.

    Args:
        kind: one of KINDS.
        values: (value,) for constant; (first, last) for the two-ended kinds; ((p, value), ...) for piecewise.
        warmup: fraction of the run over which the value grows linearly from 0; 0 switches it off.
    """

    kind: str
    values: tuple
    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """Value at progress in [0, 1] (clamped)."""
        p = min(max(progress, 0.0), 1.0)
        value = self._shape(p)
        return value * min(1.0, p / self.warmup) if self.warmup > 0 else value

    def _shape(self, p: float) -> float:
        if self.kind == "constant":
            return self.values[0]
        if self.kind == "piecewise":
            return _interpolate(self.values, p)
        first, last = self.values
        if self.kind == "linear":
            return first + (last - first) * p
        if self.kind == "sqrt":
            return first + (last - first) * math.sqrt(p)
        if self.kind == "cosine":
            return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * p))
        return first * (last / first) ** p

    def to_config(self) -> Any:
        """The YAML value that `parse` reads back to the same schedule."""
        if self.kind == "constant":
            body: Any = self.values[0]
            return body if not self.warmup else {"constant": body, "warmup": self.warmup}
        values = [list(v) for v in self.values] if self.kind == "piecewise" else list(self.values)
        return {self.kind: values} | ({"warmup": self.warmup} if self.warmup else {})


def _interpolate(knots: tuple, p: float) -> float:
    """Linear interpolation between (p, value) knots, constant outside them."""
    if p <= knots[0][0]:
        return knots[0][1]
    for (p0, v0), (p1, v1) in pairwise(knots):
        if p <= p1:
            return v0 + (v1 - v0) * (p - p0) / (p1 - p0)  # p0 < p here: an earlier knot would have caught it
    return knots[-1][1]


def constant(value: float) -> Schedule:
    """A schedule that never changes."""
    return Schedule("constant", (float(value),))


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value!r}")
    return float(value)


def parse(value: Any) -> Schedule:
    """Read a schedule from its YAML form (see the module docstring).

    Raises:
        ValueError: the value is not a number or one of the mappings.
    """
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, dict):
        return constant(_number(value, "a schedule"))
    body = dict(value)
    warmup = _number(body.pop("warmup", 0.0), "warmup")
    if not 0.0 <= warmup <= 1.0:
        raise ValueError(f"warmup is a fraction of the run in [0, 1], got {warmup}")
    if len(body) != 1 or next(iter(body)) not in KINDS:
        raise ValueError(f"expected a number or one of {', '.join(KINDS)}, got the keys {sorted(value)}")
    kind, raw = next(iter(body.items()))
    return Schedule(kind, _values(kind, raw), warmup)


def _values(kind: str, raw: Any) -> tuple:
    if kind == "constant":
        return (_number(raw, "constant"),)
    if not isinstance(raw, (list, tuple)):
        raise ValueError(f"{kind} takes a list, got {raw!r}")
    if kind == "piecewise":
        return _knots(raw)
    if len(raw) != 2:
        raise ValueError(f"{kind} takes [first, last], got {len(raw)} values")
    first, last = (_number(v, kind) for v in raw)
    if kind == "exponential" and (first <= 0 or last <= 0):
        raise ValueError("exponential needs two positive values")
    return (first, last)


def _knots(raw: Any) -> tuple:
    if len(raw) < 1 or any(not isinstance(k, (list, tuple)) or len(k) != 2 for k in raw):
        raise ValueError("piecewise takes a list of [progress, value] pairs")
    knots = tuple((_number(p, "progress"), _number(v, "value")) for p, v in raw)
    if any(b[0] < a[0] for a, b in pairwise(knots)):
        raise ValueError("piecewise knots must be sorted by progress")
    return knots
