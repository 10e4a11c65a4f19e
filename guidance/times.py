"""Slot 1, times: how noisy a state each view is shown in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule, parse
from sds3d.priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule

from .base import Moment

SCALES = ("sd", "native")
_CHECKED = 200


def _falling(schedule: Schedule) -> dict[str, Schedule]:
    """One deterministic time."""
    return {"low": schedule, "high": schedule}


LAWS: Mapping[str, Mapping[str, Schedule]] = MappingProxyType(
    {
        "two_stage": {"high": parse({"piecewise": [[0.2, 0.98], [0.2, 0.5]]})},
        "linear": {
            "low": parse({"piecewise": [[0, 0.98], [0.8, 0.02]]}),
            "high": parse({"piecewise": [[0, 0.98], [0.8, 0.5]]}),
        },
        "hifa": _falling(parse({"sqrt": [0.98, 0.3]})),
        "ism": {"high": parse({"piecewise": [[0, 0.98], [0.3, 0.5]]})},
        "cfd": _falling(parse({"piecewise": [[0, 0.98], [0.1, 0.692], [0.5, 0.404], [1, 0.212]]})),
    }
)
"""Bounds of published laws, in Stable Diffusion's t, over the share of the run at which they were published:
ProlificDreamer (5 000 of 25 000 steps), MVDream (8 000 of 10 000), HiFA, LucidDreamer (1 500 of 5 000) and consistent
flow distillation with Stable Diffusion alone (25 000 steps)."""


@dataclass(frozen=True)
class Times:
    """Uniform between two bounds that may move over the run.

    Equal bounds give a deterministic time. On scale "sd" the draw is a t of Stable Diffusion 1.x and is carried
    to the prior's schedule at equal kappa = sigma / alpha, so that a published range means the same amount of
    noise for every prior; on scale "native" it is the prior's own t.

    Args:
        low, high: bounds in [0, 1], 1 = pure noise. scale: one of SCALES.
        shared: one t for all views of a group instead of one a view; None until bound to a prior, which decides.
    """

    low: Schedule
    high: Schedule
    scale: str
    shared: bool | None

    def draw(self, now: Moment, schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        """(B,) float64 times in the prior's own t; a pure function of (seed, step, id)."""
        low, high = self.low(now.progress), self.high(now.progress)
        ids = now.groups if self.shared else now.ids
        u = now.streams.uniform((), "guidance-time", step=now.step, ids=ids)
        return self._native(low + (high - low) * u, schedule)

    def _native(self, t: Float[Tensor, " b"], schedule: NoiseSchedule) -> Float[Tensor, " b"]:
        return from_scale(t, schedule, self.scale)

    def check_order(self) -> None:
        """Refuse bounds that are out of range or crossed at any point of the run; needs no prior.

        Raises:
            ConfigError: says where in the run.
        """
        for k in range(_CHECKED + 1):
            p = k / _CHECKED
            low, high = self.low(p), self.high(p)
            if not 0.0 <= low <= high <= 1.0:
                raise ConfigError(
                    f"needs 0 <= low <= high <= 1, but at progress {p:g} low is {low:g} and high is {high:g}.",
                    key="guidance.times",
                )

    def check(self, schedule: NoiseSchedule, finite_kappa: bool) -> None:
        """Refuse bounds that are out of range, crossed, or without noise or signal at any point of the run.

        Args:
            schedule: the prior's. finite_kappa: whether the upper bound must leave some signal.

        Raises:
            ConfigError: says which bound, and where in the run.
        """
        if self.scale not in SCALES:
            raise ConfigError(
                f"unknown scale {self.scale!r}; it is one of {', '.join(SCALES)}.", key="guidance.times.scale"
            )
        self.check_order()
        progress = [k / _CHECKED for k in range(_CHECKED + 1)]
        lows, highs = (
            self._native(torch.tensor([f(p) for p in progress], dtype=torch.float64), schedule)
            for f in (self.low, self.high)
        )
        _refuse_first(
            schedule.sigma(lows) <= 0.0,
            lows,
            progress,
            "low",
            "adds no noise, so that no prediction of the noise exists",
            "Use a bound above 0, such as 0.02.",
        )
        if finite_kappa:
            _refuse_first(
                ~torch.isfinite(schedule.kappa(highs)),
                highs,
                progress,
                "high",
                "keeps no signal, so that the weight kappa = sigma / alpha is infinite",
                "Use a bound below it, or the weight sigma2.",
            )


def from_scale(t: Float[Tensor, " b"], schedule: NoiseSchedule, scale: str) -> Float[Tensor, " b"]:
    """Times of a scale ("sd" or "native") -> the prior's own t."""
    return t if scale == "native" else schedule.t_of_published(t)


def to_scale(t: Float[Tensor, " b"], schedule: NoiseSchedule, scale: str) -> Float[Tensor, " b"]:
    """The inverse of `from_scale`, to the nearest index of Stable Diffusion."""
    return t if scale == "native" else stable_diffusion_schedule().t_of_kappa(schedule.kappa(t))


def _refuse_first(
    bad: Bool[Tensor, " p"], t: Float[Tensor, " p"], progress: list[float], bound: str, why: str, hint: str
) -> None:
    """Raise for the first point of the run at which a bound is bad."""
    where = bad.nonzero().flatten().tolist()
    if where:
        raise ConfigError(
            f"at progress {progress[where[0]]:g} the bound `{bound}` is the prior's t = {float(t[where[0]]):g}, "
            f"where it {why}.",
            key=f"guidance.times.{bound}",
            hint=hint,
        )
