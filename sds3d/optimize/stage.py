"""A stage: what is optimised, by whom it is judged, from where it is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds3d.guidance.base import Guidance
from sds3d.representations.base import Representation

from ..core.backgrounds import random_backgrounds
from ..core.cameras import Cameras, Sampler, Still, of_objects, orbit
from ..core.look import Look
from ..core.schedules import Schedule, constant
from ..core.streams import Streams
from ..priors.base import Embedded, Prior
from .needs import DRAWN, check_medium, check_needs, check_sees
from .options import OptimizeOptions
from .reference import Reference
from .terms import Mix, Term, active, check_terms

CPU = torch.device("cpu")

NOTHING = constant(0.0)
"""A weight that leaves a loss out."""


@dataclass(frozen=True)
class Original:
    """What an edit starts from and is compared with.

    Args:
        representation: the asset as it was. prompt: the words for it; the stage's prompts hold them as source.
        fidelity: weight of half the squared difference between the training views and the original's, summed over a
            view and averaged over views.
    """

    representation: Representation
    prompt: str
    fidelity: Schedule = NOTHING


@dataclass(frozen=True)
class Stage:
    """Everything that stays fixed during a stage; the representation's tensors are what moves.

    Args:
        prior, representation, guidance: the three that never know each other.
        sampler: where the training views of an object stand. embedded: the prompts, encoded once by the prior.
        options: the loop. streams: the run's random numbers. config_hash: hash of the resolved config.
        index: number of the stage in the run. prompt: the words, for rewards.
        device: where the scene lies: the representation, its optimizer, the looks.
        particles: objects that are optimised together; each has `options.views` views a step.
        backdrop: RGB of the one background of all views, for flat media; None where each view has its own.
        terms: several guidances in the place of the one; prior, guidance, sampler and embedded are then those of the
            first. mix: how they become one; see terms.
        part: which part of the scene is judged, where it has several; see Look.part.
        original: of an edit, what there was before: rendered from where the scene is rendered, never changed.
        reference: a picture that the scene is to look like from one camera.
    """

    prior: Prior
    representation: Representation
    guidance: Guidance
    sampler: Sampler
    embedded: Embedded
    options: OptimizeOptions
    streams: Streams
    config_hash: str
    index: int = 0
    prompt: str = ""
    device: torch.device = CPU
    particles: int = 1
    backdrop: tuple[float, float, float] | None = None
    terms: tuple[Term, ...] = ()
    mix: Mix = "sum"
    original: Original | None = None
    part: int = 0
    reference: Reference | None = None

    def __post_init__(self):
        if self.terms:
            check_terms(self.terms)
        else:
            cameras = self.sampler.sample(self.streams, 0, 1) is not None
            check_medium(self.prior.info.media, self.representation)
            check_needs(self.guidance.needs, self.representation, cameras, self.original is not None)
            check_sees(self.prior.info, self.representation, cameras, self.original is not None)

    @property
    def wants(self) -> frozenset[str]:
        """Outputs that the training renders have to hold."""
        return frozenset({"rgb", "alpha"}) | self.guidance.needs.media | (self.prior.info.maps & DRAWN)

    def fidelity(self, step: int) -> float:
        """Weight of the pull to the original's pictures at that step; 0 where there is none."""
        return 0.0 if self.original is None else self.original.fidelity(self.progress(step))

    def compares(self, step: int) -> bool:
        """Whether the original is rendered at that step."""
        wanted = self.guidance.needs.source or "source" in self.prior.info.maps
        return self.original is not None and (wanted or self.fidelity(step) > 0.0)

    @property
    def judges(self) -> tuple[Term, ...]:
        """The terms; a stage without any is its own, with the name ""."""
        return self.terms or (Term("", self),)

    def active(self, step: int) -> tuple[tuple[Term, float], ...]:
        """The terms that judge a step, with their factors: a pure function of (seed, step)."""
        return active(self.judges, self.mix, step, self.progress(step), self.streams)

    def sight(self, step: int) -> tuple[object, ...]:
        """What decides the look of a step: stages of the same sight see the same pictures."""
        options, streams = self.options, self.streams
        shown = (self.sampler, self.size(step), options.views, options.jitter, options.white_background)
        return (*shown, streams.seed, streams.key, self.particles, self.backdrop, self.part)

    @property
    def judge(self) -> torch.device:
        """Where the guidance's state lies: with the latents, which a prior may keep on a device of its own."""
        own = getattr(self.prior, "device", None)
        return self.device if own is None else torch.device(own)

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
        views = self.options.views
        cameras = of_objects(self.sampler, self.streams, step, views, self.particles)
        ids, (height, width) = list(range(views * self.particles)), self.size(step)
        jitter, offset = self._ray_offsets(step, (height, width), ids)
        return Look(
            cameras,
            (height, width),
            self._backgrounds(step, ids),
            want=self.wants,
            jitter=jitter,
            ray_offset=offset,
            group=self._objects(views),
            part=self.part,
        )

    def reference_look(self, step: int) -> Look:
        """The request for the reference's view of each particle, square: as pure a function as `look`, whose numbers
        it leaves alone."""
        assert self.reference is not None, "there is a reference"
        side, first = self.size(step)[0], self.options.views * self.particles
        ids = list(range(first, first + self.particles))
        jitter, offset = self._ray_offsets(step, (side, side), ids)
        look = self.reference.look(side, self._backgrounds(step, ids))
        return replace(look, jitter=jitter, ray_offset=offset)

    def _ray_offsets(
        self, step: int, size: tuple[int, int], ids: list[int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """(jitter, ray_offset) of training views, see Look."""
        if not self.options.jitter or self.backdrop is not None:
            return None, None
        u = self.streams.uniform((*size, 3), "rays", step=step, ids=ids).float()
        return u[..., :2] - 0.5, u[..., 2]

    def _backgrounds(self, step: int, ids: list[int]) -> Tensor:
        if self.backdrop is not None:
            return torch.tensor(self.backdrop).expand(len(ids), 3)
        return random_backgrounds(self.streams, step, ids, self.options.white_background)

    def _objects(self, views: int) -> Tensor:
        """(particles * views,) int64: `views` of each object, one object after another."""
        return torch.arange(self.particles).repeat_interleave(views)

    def preview_look(self, step: int) -> Look:
        """A view of each particle on white for the preview of that step, orbiting: a turn in 160 steps."""
        side, count, group = self.options.preview_size, self.particles, self._objects(1)
        cameras: Cameras | None = None
        if not isinstance(self.sampler, Still):
            cameras = orbit([step * 2.25] * count, 15.0, group=group)
        return Look(cameras, (side, side), torch.ones(count, 3), group=group)
