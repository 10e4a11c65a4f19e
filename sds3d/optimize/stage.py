"""A stage: what is optimised, by whom it is judged, from where it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sds3d.guidance.base import Guidance
from sds3d.representations.base import Representation

from ..core.backgrounds import random_backgrounds
from ..core.cameras import OrbitSampler
from ..core.look import Look
from ..core.streams import Streams
from ..priors.base import Embedded, Prior
from .options import OptimizeOptions


@dataclass(frozen=True)
class Stage:
    """Everything that stays fixed during a stage; the representation's tensors are what moves.

    Args:
        prior, representation, guidance: the three that never know each other.
        sampler: training cameras. embedded: the prompts, encoded once by the prior.
        options: the loop. streams: the run's random numbers. config_hash: hash of the resolved config.
        index: number of the stage in the run. prompt: the words, for rewards.
    """

    prior: Prior
    representation: Representation
    guidance: Guidance
    sampler: OrbitSampler
    embedded: Embedded
    options: OptimizeOptions
    streams: Streams
    config_hash: str
    index: int = 0
    prompt: str = ""

    def progress(self, step: int) -> float:
        """Share of the stage done before that step, in [0, 1)."""
        return step / self.options.steps

    def size(self, step: int) -> tuple[int, int]:
        """(height, width) of the training renders at that step."""
        if self.options.size is None:
            return self.prior.info.size
        side = max(1, round(self.options.size(self.progress(step))))
        return side, side

    def look(self, step: int) -> Look:
        """The training request of a step: a pure function of (seed, step)."""
        cameras = self.sampler.sample(self.streams, step, self.options.views)
        ids, (height, width) = cameras.ids.tolist(), self.size(step)
        jitter = offset = None
        if self.options.jitter:
            u = self.streams.uniform((height, width, 3), "rays", step=step, ids=ids).float()
            jitter, offset = u[..., :2] - 0.5, u[..., 2]
        return Look(
            cameras,
            (height, width),
            random_backgrounds(self.streams, step, ids, self.options.white_background),
            want=frozenset({"rgb", "alpha"}) | self.guidance.needs.media,
            jitter=jitter,
            ray_offset=offset,
        )

    def preview_look(self, step: int) -> Look:
        """One orbiting view on white for the preview of that step: a turn in 160 steps."""
        from ..core.cameras import orbit

        side = self.options.preview_size
        return Look(orbit([step * 2.25], 15.0), (side, side), torch.ones(1, 3))
