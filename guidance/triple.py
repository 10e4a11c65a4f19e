"""Guidance by words and by a picture at once: InstructPix2Pix's triple."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sds3d.core.schedules import Schedule
from sds3d.priors.base import Prediction

from .guiders import combined
from .states import Noisy


@dataclass(frozen=True)
class Triple:
    """eps = u + s (ti - i) + s_img (i - u): words and picture guide by scales of their own.

    Brooks et al., "InstructPix2Pix", 2022, arXiv 2211.09800, §3.2.1 (the section number was not checked).

    ti is the branch y, i the branch src, u the branch null. A prior that sees a source's picture has it in y and in
    src, and neither picture nor words in null; on one that reads words alone, src is what the source's prompt says
    (as DreamCatalyst does there). The coefficients s, s_img - s and 1 - s_img add up to 1, so that all forms of a
    prediction are combined alike; a branch whose coefficient is 0 is not asked.
    """

    scale: Schedule
    image_scale: Schedule
    positive: str = "y"
    image: str = "src"
    nothing: str = "null"

    def coefficients(self, progress: float) -> dict[str, float]:
        """Branch -> coefficient at that point of the run; zeros left out."""
        s, s_img = self.scale(progress), self.image_scale(progress)
        told = {self.positive: s, self.image: s_img - s, self.nothing: 1.0 - s_img}
        return {branch: value for branch, value in told.items() if value != 0.0}

    def conditions(self, progress: float) -> tuple[str, ...]:
        """Three branches, fewer where scales are 0, 1 or equal."""
        return tuple(self.coefficients(progress))

    def branches(self) -> frozenset[str]:
        """Every branch that may be asked in a run."""
        still = all(s.kind == "constant" and not s.warmup for s in (self.scale, self.image_scale))
        return frozenset(self.conditions(0.0) if still else (self.positive, self.image, self.nothing))

    def combine(
        self, answers: Mapping[str, Prediction], progress: float, state: Noisy | None = None
    ) -> Prediction:
        """The guided prediction."""
        (base, _), *parts = self.coefficients(progress).items()
        return combined(answers[base], [(answers[branch], value) for branch, value in parts])
