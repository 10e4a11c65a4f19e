"""Slot 3, guided predictions: what is asked of the prior, and how its answers are combined.

A `Plain` is the answer under one condition. A `Guided` puts several answers together with a combiner (here
classifier-free guidance) and then applies transforms in order. Combiners and transforms work on whole
`Prediction`s, in which eps, x0, v and velocity always describe the same point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.priors.base import Prediction

from .states import Noisy

SPACES = ("x0", "eps")


@dataclass(frozen=True)
class Epsilon:
    """The noise that made the state named `at`."""

    at: str = "t"


@dataclass(frozen=True)
class Plain:
    """The prior's prediction under one condition (a branch name) at a state."""

    condition: str
    at: str = "t"


class Combiner(Protocol):
    """Several predictions at one state -> one. `positive` names the branch of the prompt itself."""

    @property
    def positive(self) -> str:
        """Branch of the prompt itself."""
        ...

    def conditions(self, progress: float) -> tuple[str, ...]:
        """The branches that have to be asked at that point of the run."""
        ...

    def branches(self) -> frozenset[str]:
        """Every branch that may be asked in a run."""
        ...

    def combine(
        self, answers: Mapping[str, Prediction], progress: float, state: Noisy | None = None
    ) -> Prediction:
        """The guided prediction, at the state that the answers are for."""
        ...


@dataclass(frozen=True)
class CFG:
    """Classifier-free guidance: eps_null + s (eps_y - eps_null); s = 1 is plain conditional.

    Being affine with coefficients that sum to 1, it commutes with every conversion between predictions
    (guidance card §1.6, O0.7), so it is applied to whichever form is read and nothing is divided by alpha.
    A branch whose coefficient is 0 is not asked.
    """

    scale: Schedule
    positive: str = "y"
    negative: str = "null"

    def conditions(self, progress: float) -> tuple[str, ...]:
        """Both branches, or one where s is 0 or 1."""
        s = self.scale(progress)
        return ((self.positive,) if s != 0.0 else ()) + ((self.negative,) if s != 1.0 else ())

    def branches(self) -> frozenset[str]:
        """Both branches, or one where s is always 0 or always 1."""
        constant = self.scale.kind == "constant" and not self.scale.warmup
        return frozenset(self.conditions(0.0) if constant else (self.positive, self.negative))

    def combine(
        self, answers: Mapping[str, Prediction], progress: float, state: Noisy | None = None
    ) -> Prediction:
        """The guided prediction."""
        s = self.scale(progress)
        if s in (0.0, 1.0):
            return answers[self.positive if s == 1.0 else self.negative]
        y, null = answers[self.positive], answers[self.negative]
        return Prediction(lambda form: torch.lerp(getattr(null, form), getattr(y, form), s))


class Transform(Protocol):
    """A change of a guided prediction; `needs_positive` if it compares with the prompt's own answer."""

    @property
    def needs_positive(self) -> bool:
        """Whether the prompt's own answer is compared with."""
        ...

    def __call__(self, guided: Prediction, positive: Prediction | None, state: Noisy) -> Prediction:
        """The changed prediction at the same state."""
        ...


@dataclass(frozen=True)
class Rescale:
    """CFG rescale (Lin et al. 2023, arXiv 2305.08891, §3.4): give each sample back the conditional answer's spread.

    x <- phi x std(positive) / std(x) + (1 - phi) x, the standard deviation over all non-batch dimensions of each
    sample. It does not commute with the conversions, hence the space is part of it: the paper rescales the
    network's own output, MVDream x0.

    Args:
        phi: 0 = off, 1 = exactly the conditional spread. space: one of SPACES.
    """

    phi: float
    space: str
    needs_positive: bool = True

    def __post_init__(self):
        if self.space not in SPACES:
            raise ConfigError(
                f"rescale works in one of the spaces {', '.join(SPACES)}, not {self.space!r}.",
                key="transforms",
            )
        if not 0.0 <= self.phi <= 1.0:
            raise ConfigError(f"rescale mixes with a factor in [0, 1], got {self.phi:g}.", key="transforms")

    def __call__(self, guided: Prediction, positive: Prediction | None, state: Noisy) -> Prediction:
        ours, theirs = getattr(guided, self.space), getattr(positive, self.space)
        wanted, found = _spread(torch.cat([theirs, ours])).chunk(2)
        ratio = wanted / found
        return rebuild(self.space, ours * (self.phi * ratio + (1.0 - self.phi)), state)


@dataclass(frozen=True)
class ClampX0:
    """x0 into [-limit, limit]: pixels that no image has cannot pull."""

    limit: float = 1.0
    needs_positive: bool = False

    def __post_init__(self):
        if not self.limit > 0.0:
            raise ConfigError(f"clamp_x0 needs a limit above 0, got {self.limit:g}.", key="transforms")

    def __call__(self, guided: Prediction, positive: Prediction | None, state: Noisy) -> Prediction:
        return rebuild("x0", guided.x0.clamp(-self.limit, self.limit), state)


@dataclass(frozen=True)
class Guided:
    """One guided prediction: a combiner's answer, then the transforms in order."""

    combiner: Combiner
    transforms: tuple[Transform, ...] = ()
    at: str = "t"

    @cached_property
    def _hash(self) -> int:
        return hash((self.combiner, self.transforms, self.at))

    def __hash__(self) -> int:
        # schedules make it deep, and a step looks symbols up a dozen times
        return self._hash

    def conditions(self, progress: float) -> tuple[str, ...]:
        """The branches that have to be asked."""
        asked = self.combiner.conditions(progress)
        extra = any(f.needs_positive for f in self.transforms) and self.combiner.positive not in asked
        return (*asked, self.combiner.positive) if extra else asked

    def branches(self) -> frozenset[str]:
        """Every branch that may be asked in a run."""
        extra = {self.combiner.positive} if any(f.needs_positive for f in self.transforms) else set()
        return self.combiner.branches() | extra

    def evaluate(self, answers: Mapping[str, Prediction], state: Noisy, progress: float) -> Prediction:
        """The guided prediction at a state, from the answers to `conditions`."""
        out = self.combiner.combine(answers, progress, state)
        for transform in self.transforms:
            out = transform(out, answers.get(self.combiner.positive), state)
        return out


@dataclass(frozen=True)
class Learned:
    """The prediction of the recipe's trained critic under the prompt; `told` whether it hears of the camera."""

    told: bool = True
    at: str = "t"


Symbol = Epsilon | Plain | Guided | Learned


def _spread(x: Tensor) -> Tensor:
    """Standard deviation of each sample, broadcastable to it; by a norm, which is several times faster than std."""
    rows = x.flatten(1)
    away = rows - rows.mean(dim=1, keepdim=True)
    return (away.norm(dim=1) / (rows.shape[1] - 1) ** 0.5).reshape(-1, *[1] * (x.ndim - 1))


def rebuild(space: str, value: Tensor, state: Noisy) -> Prediction:
    """The whole prediction from one changed form at that state."""
    form = "epsilon" if space == "eps" else space
    return Prediction.of(value, state.z_t, *state.levels, form)
