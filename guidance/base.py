"""What goes into a guidance and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree
from sds3d.priors.base import Conditioning

from .post import ImagePost

State = Tree
"""A guidance's memory (critics and the like); {} for methods without one. Saved with the run."""

Cotangents = dict[str, Tensor]
"""Name of a judged tensor ("z", or a name in Views.media) -> d loss / d that tensor, same shape."""

Log = dict[str, float | Tensor]
"""Numbers for the metrics, and pictures: tensor "x0" (B, C, h, w), "t", "residual", "gradient", and the step's cost:
"nfe" (predictions of the network a view: guided, along inversions and rollouts, of the critic, and the forwards of its
training), "nfe_train" (those of training among them; each has a backward beside), "rows" (nfe times views)."""


@dataclass(frozen=True)
class Views:
    """The renders of one step as a guidance sees them; nothing in here is attached to a graph.

    Args:
        look: what was asked of the representation; B views.
        media: the representation's outputs, detached.
        z: (B, C, h, w) encoded media: what the prior would call a clean sample.
        cond: the prior's conditions for these views, by branch name (y, null, neg …).
        source: the views of the object that is being edited, for methods that need one.
        prompt: the words behind the branch y, for rewards; "" where nobody told.
    """

    look: Look
    media: Render
    z: Tensor
    cond: Conditioning
    source: Views | None = None
    prompt: str = ""


def places_of(views: Views) -> Float[Tensor, "b 4"]:
    """Where each view stands: azimuth, elevation, distance, field of view; zeros without cameras."""
    cameras = views.look.cameras
    if cameras is None:
        return torch.zeros(len(views.z), 4, device=views.z.device)
    told = (cameras.azimuth_deg, cameras.elevation_deg, cameras.distance, cameras.fov_y_deg)
    return torch.stack(told, dim=1)


@dataclass(frozen=True)
class Needs:
    """What a guidance asks of the stage; checked before step 0.

    Args:
        branches: names of the conditions that it may query, such as {"y", "null"}.
        source: the views of an edited object's original.
        media: outputs of the representation where views have cameras, such as "depth"; "audio" always.
        pixels: the rendered picture itself on the graph, beside its latents.
    """

    branches: frozenset[str]
    source: bool = False
    media: frozenset[str] = frozenset()
    pixels: bool = False

    @property
    def edits(self) -> bool:
        """Whether there has to be an original: its views, or its words alone."""
        return self.source or "src" in self.branches


class Guidance(Protocol):
    """Turns what a prior says about some views into a gradient; knows no representation."""

    needs: Needs
    image_post: tuple[ImagePost, ...]
    """Changes of the gradient that arrives at the rendered picture."""

    def init(self, streams: Streams) -> State:
        """The memory at step 0."""
        ...

    def guide(self, views: Views, step: int, streams: Streams, state: State) -> tuple[Cotangents, State, Log]:
        """Pure in its arguments: the same call gives the same bits."""
        ...

    def learn(self, views: Views, step: int, streams: Streams, state: State) -> State:
        """Train the critics after the representation's step; returns the memory of the next one."""
        ...


@dataclass(frozen=True)
class Moment:
    """Where in a run a random draw belongs.

    Args:
        step: optimisation step. progress: step / total steps, in [0, 1). streams: the run's random streams.
        ids: a stream id a view. groups: a number a view; views of one object carry the same.
    """

    step: int
    progress: float
    streams: Streams
    ids: tuple[int, ...]
    groups: tuple[int, ...]

    def attempt(self, number: int) -> Moment:
        """The same moment with the random numbers of a further try; try 0 is the moment itself."""
        if number == 0:
            return self
        streams = Streams(self.streams.seed, *self.streams.key, "attempt", number)
        return replace(self, streams=streams)


def moment(views: Views, step: int, steps: int, streams: Streams) -> Moment:
    """The moment of these views; media without cameras count as one object with ids 0 … B-1."""
    cameras, count = views.look.cameras, len(views.z)
    ids = range(count) if cameras is None else cameras.ids.tolist()
    groups = [0] * count if cameras is None else cameras.group.tolist()
    return Moment(step, step / steps, streams, tuple(ids), tuple(groups))
