"""Noise that is inferred from the render by running the prior's sampler backwards (DDIM inversion).

Times here are those of the recipe's scale: on "sd" a stride of 0.2 is 200 steps of Stable Diffusion and is carried to
other priors at equal noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.core.tree import Tree
from sds3d.priors.base import Prediction
from sds3d.priors.noise_schedule import NoiseSchedule, over

from .base import Moment, Views
from .calls import Calls
from .noise import NoiseSource, fresh
from .predictions import CFG, Combiner
from .states import Noisy, ddim, noised
from .times import from_scale, to_scale

FIRST = 1e-3
"""The least noisy time of a discrete model with a thousand steps."""


@dataclass(frozen=True)
class Inverted(NoiseSource):
    """Interval inversion (LucidDreamer, arXiv 2311.11284): z is followed without prompt to s = t - gap, then on to t.

    States "s", "t", and with `fraction` "mu" between them; "t" and "mu" are each one DDIM move from "s" with the
    same prediction at "s" (Dreamer-XL, arXiv 2405.11252).

    Args:
        gap: t - s. stride: longest move on the way to s. fraction: (mu - s) / (t - s), or None for no "mu".
        start_noise: z first gets the prior's least noise, fresh in every step, as the published code does; else the
            path starts at z itself.
        scale: scale of gap and stride. branch: whom the path asks.
    """

    gap: Schedule
    stride: float = 0.2
    fraction: float | None = None
    start_noise: bool = True
    scale: str = "sd"
    branch: str = "null"

    def __post_init__(self):
        if not self.stride > 0.0:
            raise ConfigError(f"the inversion needs a stride above 0, got {self.stride:g}.", key="stride")
        if self.fraction is not None and not 0.0 <= self.fraction <= 1.0:
            raise ConfigError(
                f"mu lies between s and t: a fraction in [0, 1], got {self.fraction:g}.", key="mu"
            )

    @property
    def states(self) -> frozenset[str]:  # type: ignore[override]
        """Names of the states."""
        return frozenset({"t", "s"} | ({"mu"} if self.fraction is not None else set()))

    @property
    def asks(self) -> frozenset[str]:  # type: ignore[override]
        """The branch of the path."""
        return frozenset({self.branch})

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"s": …, "t": …} and perhaps "mu"."""
        schedule = calls.schedule
        top = to_scale(t, schedule, self.scale)
        s = (top - self.gap(now.progress)).clamp(min=FIRST)
        s = torch.minimum(s, top)
        at_s = self._follow(views, s, draw, now, calls)
        told = calls.one(at_s, self.branch)

        def ahead(where: Tensor) -> Noisy:
            same = bool((where == s).all())
            return (
                at_s if same else ddim(at_s, told, from_scale(where, schedule, self.scale), schedule, views.z)
            )

        out = {"s": at_s, "t": ahead(top)}
        if self.fraction is not None:
            out["mu"] = out["t"] if self.fraction == 1.0 else ahead(s + self.fraction * (top - s))
        return out

    def _follow(self, views: Views, s: Tensor, draw: int, now: Moment, calls: Calls) -> Noisy:
        """From z to the state at s, in moves of at most `stride`; a row that has arrived waits."""
        schedule, here = calls.schedule, torch.full_like(s, FIRST).minimum(s)
        at = from_scale(here, schedule, self.scale)
        # without start noise the path begins at alpha z: the prior is asked at its least noise in any case
        eps = fresh(views, draw, now) if self.start_noise else torch.zeros_like(views.z)
        state = noised(views.z, eps, at, schedule)
        while bool((here < s).any()):
            here = torch.minimum(here + self.stride, s)
            told = calls.one(state, self.branch)
            state = ddim(state, told, from_scale(here, schedule, self.scale), schedule, views.z)
        return state


@dataclass(frozen=True)
class Conditional(NoiseSource):
    """The noise from which DDIM would make the render (SDI, arXiv 2405.15891).

    z is followed upwards through a grid of `steps` points with the prompt at a *negative* scale, and from the last
    point below t on to t; the noise that it then holds makes the state: z_t = alpha_t z + sigma_t kappa.

    Args:
        combiner: guidance on the way, published: CFG at -7.5. steps: grid points over [0, 1].
        eta: share of the DDPM posterior's deviation that is added at each move as fresh noise.
    """

    combiner: Combiner
    steps: int = 10
    eta: float = 0.3
    scale: str = "sd"

    @property
    def asks(self) -> frozenset[str]:  # type: ignore[override]
        """The branches of the way up."""
        return self.combiner.branches()

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t with the inferred noise}."""
        schedule = calls.schedule
        top = to_scale(t, schedule, self.scale)
        here = torch.full_like(top, FIRST).minimum(top)
        zeros = torch.zeros_like(views.z)
        state = noised(views.z, zeros, from_scale(here, schedule, self.scale), schedule)
        move = 0
        while bool((here < top).any()):
            following = torch.floor(here * self.steps + 1.0 + 1e-9) / self.steps
            here = torch.minimum(following, top)
            told = self._guided(state, calls, now)
            after = ddim(state, told, from_scale(here, schedule, self.scale), schedule, views.z)
            state = self._stirred(state, after, views, draw, move, now) if self.eta else after
            move += 1
        return {"t": noised(views.z, state.eps, t, schedule)}

    def _guided(self, state: Noisy, calls: Calls, now: Moment) -> Prediction:
        answers = calls.ask_all(state, self.combiner.conditions(now.progress))
        return self.combiner.combine(answers, now.progress, state)

    def _stirred(self, before: Noisy, after: Noisy, views: Views, draw: int, move: int, now: Moment) -> Noisy:
        """`after` with eta times the posterior's deviation of the opposite move, down from `after` to `before`.

        sigma_b / sigma_a sqrt(1 - a_a^2 / a_b^2) in the variance-preserving form of both levels, at the scale of
        `after`: the same on every prior at equal noise.
        """
        size = (after.alpha.square() + after.sigma.square()).sqrt()
        lower = (before.alpha.square() + before.sigma.square()).sqrt()
        ratio = (after.alpha / size / (before.alpha / lower)).square()
        spread = size * (before.sigma / lower) / (after.sigma / size) * (1.0 - ratio).clamp(min=0.0).sqrt()
        noise = fresh(views, draw, now, f"inversion{move}")
        z_t = after.z_t + self.eta * over(spread, views.z) * noise
        eps = (z_t - over(after.alpha, views.z) * views.z) / over(after.sigma, views.z)
        return Noisy(z_t, eps, after.t, after.alpha, after.sigma)


@dataclass(frozen=True)
class Neighbour(NoiseSource):
    """Two states on one path of the sampler (Consistent3D, arXiv 2401.09050): "t", and "p" one guided move below it.

    Args:
        gap: t - t'. combiner: guidance of the move.
    """

    gap: Schedule
    combiner: CFG
    scale: str = "sd"
    states: frozenset[str] = frozenset({"t", "p"})

    @property
    def asks(self) -> frozenset[str]:  # type: ignore[override]
        """The branches of the move."""
        return self.combiner.branches()

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": with noise that is fixed for the run and shared by the views, "p": below it}."""
        schedule: NoiseSchedule = calls.schedule
        shape, count = tuple(views.z.shape[1:]), len(views.z)
        eps = now.streams.normal(shape, "guidance-noise", draw, ids=[0] * count).to(views.z)
        state = noised(views.z, eps, t, schedule)
        asked = self.combiner.conditions(now.progress)
        told = self.combiner.combine(calls.ask_all(state, asked), now.progress, state)
        below = (to_scale(t, schedule, self.scale) - self.gap(now.progress)).clamp(min=FIRST)
        return {
            "t": state,
            "p": ddim(state, told, from_scale(below, schedule, self.scale), schedule, views.z),
        }
