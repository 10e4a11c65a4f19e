"""Combiners beyond plain classifier-free guidance: Perp-Neg, and the guiders of diffusers.

A guider of the library is a small strategy object; only its arithmetic is used here, on our predictions. Which of them
make sense in score distillation:

| name | class | note |
|---|---|---|
| apg | AdaptiveProjectedGuidance | Sadat et al. 2024, arXiv 2410.02416; on x0; no momentum: our times do not descend |
| cfg_zero_star | ClassifierFreeZeroStarGuidance | Fan et al. 2025, arXiv 2503.18886; no zeroed first steps |
| tcfg | TangentialClassifierFreeGuidance | arXiv 2503.18137 |
| mambo | MagnitudeAwareGuidance | MAMBO-G, arXiv 2508.03442 |
| slg | SkipLayerGuidance | a third answer of the network with layers skipped: needs prior.perturb |

PAG and SEG change attention inside the network in the same place as slg: prior.perturb with `skip: scores` is PAG's
change (Ahn et al. 2024, arXiv 2403.17377). Not offered: AutoGuidance (needs a second, worse model), frequency
decoupled guidance (needs kornia), the guiders for video. Parameters keep the library's names.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sds3d.config.suggest import listing, nearest
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.priors.base import Prediction

from .predictions import rebuild
from .states import Noisy

GUIDERS = {
    "apg": ("AdaptiveProjectedGuidance", "x0"),
    "cfg_zero_star": ("ClassifierFreeZeroStarGuidance", "velocity"),
    "tcfg": ("TangentialClassifierFreeGuidance", "eps"),
    "mambo": ("MagnitudeAwareGuidance", "velocity"),
    "slg": ("SkipLayerGuidance", "eps"),
}
"""Name -> (class in diffusers, the form of a prediction that its paper works on)."""

_TIMED = frozenset(
    {"guidance_scale", "start", "stop", "enabled", "use_original_formulation", "zero_init_steps"}
    | {"adaptive_projected_guidance_momentum", "skip_layer_config", "skip_layer_guidance_layers"}
    | {"skip_layer_guidance_start", "skip_layer_guidance_stop"}
)
"""Parameters that speak of sampling steps or are set from elsewhere."""

_FIXED: Mapping[str, dict[str, Any]] = {
    "cfg_zero_star": {"zero_init_steps": 0},
    # the layers are the prior's affair; the class wants to hear of one
    "slg": {
        "skip_layer_guidance_layers": [0],
        "skip_layer_guidance_start": 0.0,
        "skip_layer_guidance_stop": 1.0,
    },
}


@dataclass(frozen=True)
class PerpNeg:
    """Perp-Neg between view prompts (Armandpour et al. 2023, arXiv 2304.04968; guidance card §1.6).

        e_pos = eps_mix - eps_null,   e_i = eps_neg_i - eps_null
        eps = eps_null + s ( e_pos + sum_i w_i (e_i - <e_i, e_pos> / max(|e_pos|^2, 1e-6) e_pos) )

    Inner products run over all but the batch dimension; weights w_i <= 0 come with the negatives' conditions, one a
    view. All differences at one state are multiples of each other between the forms, so the coefficients found for
    eps serve all four.
    """

    scale: Schedule
    positive: str = "mix"
    null: str = "null"
    negatives: tuple[str, ...] = ("neg0", "neg1")

    def conditions(self, progress: float) -> tuple[str, ...]:
        """The mixed prompt, no prompt, both negatives: four predictions a view."""
        return (self.positive, self.null, *self.negatives)

    def branches(self) -> frozenset[str]:
        """The same at every point of the run."""
        return frozenset(self.conditions(0.0))

    def combine(
        self, answers: Mapping[str, Prediction], progress: float, state: Noisy | None = None
    ) -> Prediction:
        """The guided prediction."""
        s, null = self.scale(progress), answers[self.null]
        e_pos = answers[self.positive].eps - null.eps
        length = _dot(e_pos, e_pos).clamp(min=1e-6)
        along = torch.full_like(length, s)
        pushes: list[tuple[Prediction, Tensor]] = []
        for name in self.negatives:
            said = answers[name]
            assert said.weight is not None, "the prior's answers carry the weight of their condition"
            w = s * said.weight.to(length).reshape(length.shape)
            along = along - w * _dot(said.eps - null.eps, e_pos) / length
            pushes.append((said, w))
        return combined(null, [(answers[self.positive], along), *pushes])


@dataclass(frozen=True)
class Guider:
    """A guider of diffusers on our predictions.

    Args:
        name: one of GUIDERS. scale: guidance scale s, as in CFG. space: the form that it works on, "" for its paper's.
        parameters: its other arguments as (name, value), with the library's names.

    Raises:
        ConfigError: unknown guider or parameter.
    """

    name: str
    scale: Schedule
    space: str = ""
    parameters: tuple[tuple[str, float], ...] = ()
    positive: str = "y"
    negative: str = "null"

    def __post_init__(self):
        if self.name not in GUIDERS:
            raise ConfigError(f"unknown guider {self.name!r}; there are {', '.join(GUIDERS)}.", key="combine")
        known = [p for p in inspect.signature(self._kind.__init__).parameters if p not in _TIMED | {"self"}]
        for parameter, _ in self.parameters:
            if parameter not in known:
                close = nearest(parameter, known)
                raise ConfigError(
                    f"the guider {self.name} has no parameter {parameter!r}; it has {listing(known)}.",
                    key="combine.parameters",
                    hint=f"Did you mean {close}?" if close else "",
                )

    @cached_property
    def _kind(self) -> Any:
        import diffusers.guiders

        return getattr(diffusers.guiders, GUIDERS[self.name][0])

    @cached_property
    def _guider(self) -> Any:
        guider = self._kind(**_FIXED.get(self.name, {}), **dict(self.parameters))
        # its counter of sampling steps, which there are none of
        guider._step = 0
        return guider

    def conditions(self, progress: float) -> tuple[str, ...]:
        """Prompt and no prompt; slg also the prompt with layers skipped."""
        return (self.positive, self.negative, *(("skip",) if self.name == "slg" else ()))

    def branches(self) -> frozenset[str]:
        """The same at every point of the run."""
        return frozenset(self.conditions(0.0))

    def combine(
        self, answers: Mapping[str, Prediction], progress: float, state: Noisy | None = None
    ) -> Prediction:
        """The guided prediction."""
        assert state is not None, "a guider works in one form; the others follow from the state"
        space = self.space or GUIDERS[self.name][1]
        guider = self._guider
        guider.guidance_scale = self.scale(progress)
        given = [getattr(answers[branch], space) for branch in self.conditions(progress)]
        # as one row a sample: norms over all but the batch fail in some of them on pictures
        pred = guider.forward(*(g.flatten(1)[:, None] for g in given)).pred
        return rebuild(space, pred.reshape(given[0].shape), state)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each sample, broadcastable to it."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))


def combined(null: Prediction, parts: Sequence[tuple[Prediction, Tensor | float]]) -> Prediction:
    """null + sum_i c_i (p_i - null), in every form: any predictions whose coefficients add up to 1."""

    def mixed(form: str) -> Tensor:
        base = getattr(null, form)
        return sum((c * (getattr(p, form) - base) for p, c in parts), base)

    return Prediction(mixed)
