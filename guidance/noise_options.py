"""Noise sources as they stand in a free recipe: `noise: paired`, or `noise: {kind: inverted, gap: 0.1}`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sds3d.config.options import Options, Scalar
from sds3d.core import schedules

from .inversion import Conditional, Inverted, Neighbour
from .noise import Fixed, Iid, Later, NoiseSource, Paired
from .predictions import CFG

MAKERS = {"s": "inverted", "mu": "inverted with mu", "p": "later or neighbour", "src": "paired"}
"""State -> the kinds of noise that make it."""


class IidOptions(Options):
    """Fresh noise for every view and step."""

    kind: Literal["iid"] = "iid"
    """Fresh noise."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Iid()


class FixedOptions(Options):
    """One noise for the whole run."""

    kind: Literal["fixed"] = "fixed"
    """The same noise all along."""
    shared: bool = False
    """One for all view slots."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Fixed(self.shared)


class LaterOptions(Options):
    """The same noise at t and at a later time: states t, p."""

    kind: Literal["later"] = "later"
    """Two times, one noise."""
    shift: float = Field(default=0.1, ge=0.0, le=1.0)
    """p: the later time is t + U p t."""
    random_shift: bool = True
    """Draw U; off takes 1."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Later(self.shift, self.random_shift, scale=scale)


class PairedOptions(Options):
    """The same noise on render and source: states t, src."""

    kind: Literal["paired"] = "paired"
    """Render and source."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Paired()


class InvertedOptions(Options):
    """Interval inversion without prompt: states t, s, and mu where it is given."""

    kind: Literal["inverted"] = "inverted"
    """The sampler run backwards, without prompt."""
    gap: Scalar = schedules.constant(0.1)
    """t - s."""
    stride: float = Field(default=0.2, gt=0.0, le=1.0)
    """Longest move."""
    mu: float | None = Field(default=None, ge=0.0, le=1.0)
    """Where between s and t the state mu lies."""
    start_noise: bool = True
    """Begin with the prior's least noise."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Inverted(self.gap, self.stride, self.mu, self.start_noise, scale)


class ConditionalOptions(Options):
    """The noise from which the sampler would have made the render."""

    kind: Literal["inverted_prompt"] = "inverted_prompt"
    """The sampler run backwards, with the prompt."""
    cfg_scale: Scalar = schedules.constant(-7.5)
    """Guidance scale on the way."""
    steps: int = Field(default=10, ge=1)
    """Points of the grid over [0, 1]."""
    eta: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the posterior's deviation added at each move."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Conditional(CFG(self.cfg_scale), self.steps, self.eta, scale)


class NeighbourOptions(Options):
    """Two states on one path of the sampler: t, and p one guided move below it."""

    kind: Literal["neighbour"] = "neighbour"
    """One path, two points."""
    gap: Scalar = schedules.constant(0.1)
    """t - t'."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale of the move."""

    def build(self, scale: str) -> NoiseSource:
        """The slot."""
        return Neighbour(self.gap, CFG(self.cfg_scale), scale)


def _word(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


NoiseOptions = Annotated[
    IidOptions
    | FixedOptions
    | LaterOptions
    | PairedOptions
    | InvertedOptions
    | ConditionalOptions
    | NeighbourOptions,
    Field(discriminator="kind"),
    BeforeValidator(_word),
]
"""One noise source."""
