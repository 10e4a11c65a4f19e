"""Slot 2, noise: who is noised, with what."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .base import Moment, Views
from .calls import Calls
from .extra import source_of
from .states import Noisy, noised
from .times import from_scale, to_scale

LAST = 1.0 - 1e-3
"""The last but one time of a model with a thousand steps; the last may hold no signal."""


class NoiseSource:
    """Makes the states that a rule's symbols are read at.

    `states` names them, "t" being the main one; `asks` names the branches that making them asks the prior about;
    `source` says that the views of an edited object's original are needed, `media` which outputs of the
    representation. A source with a memory (a texture of noise that drifts) keeps it in the guidance's state: `init`,
    and `advance` after each step.
    """

    states: frozenset[str] = frozenset({"t"})
    asks: frozenset[str] = frozenset()
    source: bool = False
    media: frozenset[str] = frozenset()

    def init(self, shape: tuple[int, ...], streams: Streams) -> Tree:
        """The memory at step 0; `shape` is (C, h, w) of z."""
        return {}

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """The named states of one draw; `t` in the prior's own time, on the views' device."""
        raise TypeError(f"{type(self).__name__} makes no states")

    def advance(self, memory: Tree, now: Moment) -> Tree:
        """The memory of the next step."""
        return memory


def fresh(views: Views, draw: int, now: Moment, *key: str) -> Tensor:
    """(B, C, h, w) standard normal noise, keyed by (seed, step, view id, draw)."""
    shape = tuple(views.z.shape[1:])
    return now.streams.normal(shape, "guidance-noise", draw, *key, step=now.step, ids=now.ids).to(views.z)


@dataclass(frozen=True)
class Iid(NoiseSource):
    """Fresh standard normal noise."""

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t}."""
        return {"t": noised(views.z, fresh(views, draw, now), t, calls.schedule)}


@dataclass(frozen=True)
class Fixed(NoiseSource):
    """One noise for the whole run: of each view slot, or `shared` by all views."""

    shared: bool = False

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t}."""
        shape, count = tuple(views.z.shape[1:]), len(views.z)
        ids = [0] * count if self.shared else range(count)
        eps = now.streams.normal(shape, "guidance-noise", draw, ids=ids).to(views.z)
        return {"t": noised(views.z, eps, t, calls.schedule)}


@dataclass(frozen=True)
class Later(NoiseSource):
    """The same noise at t and at a later time t' = t + U p (t - low): ScaleDreamer's shift.

    Args:
        share: p. random: U uniform in (0, 1), one a view; else U = 1. floor: t below which nothing is shifted.
        scale: scale of these times, so that a shift means the same noise for every prior.
    """

    share: float
    random: bool = True
    floor: float = 0.0
    scale: str = "sd"
    states: frozenset[str] = frozenset({"t", "p"})

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t, "p": at t'}."""
        eps = fresh(views, draw, now)
        u = now.streams.uniform((), "guidance-shift", draw, step=now.step, ids=now.ids).to(t)
        top = to_scale(t, calls.schedule, self.scale)
        gap = self.share * (top - self.floor).clamp(min=0.0) * (u if self.random else 1.0)
        later = from_scale((top + gap).clamp(max=LAST), calls.schedule, self.scale).maximum(t)
        return {
            "t": noised(views.z, eps, t, calls.schedule),
            "p": noised(views.z, eps, later, calls.schedule),
        }


@dataclass(frozen=True)
class Paired(NoiseSource):
    """The same noise on the render and on the unedited source: states "t" and "src"."""

    states: frozenset[str] = frozenset({"t", "src"})
    source: bool = True

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t, "src": the source's views at t}."""
        eps = fresh(views, draw, now)
        return {
            "t": noised(views.z, eps, t, calls.schedule),
            "src": noised(source_of(views).z, eps, t, calls.schedule),
        }
