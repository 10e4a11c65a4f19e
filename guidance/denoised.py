"""A clean picture by several moves of the sampler: as a residual of noise, and as a loss on the render itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.core.tree import Tree
from sds3d.priors.base import Prediction, Prior
from sds3d.priors.noise_schedule import over

from .base import Moment, Views
from .calls import Calls
from .inversion import FIRST
from .noise import NoiseSource, fresh
from .predictions import Guided
from .states import Noisy, ddim, noised
from .times import from_scale, to_scale


@dataclass(frozen=True)
class Denoised(NoiseSource):
    """Fresh noise, and what the sampler makes of it in `moves` guided DDIM moves from t towards 0 at equal strides.

    State "t" is the noised view; state "x0" holds the noise that would lead from it to the denoised picture at once,
    (z_t - alpha_t x0_hat) / sigma_t, so that eps(x0) - eps(t) = (z - x0_hat) / kappa_t. With one move that is the
    guided prediction.

    Args:
        guided: the prediction of every move. moves: predictions. scale: that of the strides, "sd" or "native".
    """

    guided: Guided
    moves: int = 4
    scale: str = "sd"
    states: frozenset[str] = frozenset({"t", "x0"})

    @property
    def asks(self) -> frozenset[str]:  # type: ignore[override]
        """The branches of the guided prediction."""
        return self.guided.branches()

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t, "x0": with the noise that leads to the denoised picture}."""
        start = state = noised(views.z, fresh(views, draw, now), t, calls.schedule)
        top = to_scale(t, calls.schedule, self.scale)
        for move in range(1, self.moves):
            below = (top * (1.0 - move / self.moves)).clamp(min=FIRST)
            at = from_scale(below, calls.schedule, self.scale)
            state = ddim(state, self._told(state, calls, now), at, calls.schedule, views.z)
        x0 = self._told(state, calls, now).x0
        calls.notes["x0"] = x0
        a, s = over(start.alpha, views.z), over(start.sigma, views.z)
        return {"t": start, "x0": replace(start, eps=(start.z_t - a * x0) / s)}

    def _told(self, state: Noisy, calls: Calls, now: Moment) -> Prediction:
        answers = calls.ask_all(state, self.guided.conditions(now.progress))
        return self.guided.evaluate(answers, state, now.progress)


class RenderLoss(Protocol):
    """A loss between the render and the decoded prediction; `media` names the outputs of the representation."""

    @property
    def media(self) -> frozenset[str]:
        """Outputs that it needs, "rgb" aside."""
        ...

    def __call__(self, views: Views, x0: Tensor | None, prior: Prior, now: Moment) -> dict[str, Tensor]:
        """The cotangents of renders, by name."""
        ...


@dataclass(frozen=True)
class ImageLoss:
    """1/2 factor |render - decoded x0_hat|^2: the same pull without the encoder's Jacobian (guidance card §1.9)."""

    factor: Schedule
    media: frozenset[str] = frozenset()

    def __call__(self, views: Views, x0: Tensor | None, prior: Prior, now: Moment) -> dict[str, Tensor]:
        """The cotangent of the render, {"rgb": (B, 3, H, W)}; {} while the factor is 0.

        Raises:
            ConfigError: there is no picture, or nothing that it could be compared with.
        """
        factor = self.factor(now.progress)
        if factor == 0.0:
            return {}
        if x0 is None or "rgb" not in views.media:
            raise ConfigError(
                "the loss on the picture needs a render and a predicted picture; this method or representation "
                "has none.",
                key="guidance.image_loss",
            )
        rgb = views.media["rgb"]
        seen = torch.nn.functional.interpolate(
            prior.decode(x0).to(rgb), size=rgb.shape[-2:], mode="bilinear", align_corners=False
        )
        return {"rgb": factor * (rgb - seen) / len(rgb)}
