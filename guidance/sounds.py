"""The loss of decoder-space distillation: a sound against its decoded prediction, in magnitudes and in samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.core.spectra import magnitudes
from sds3d.priors.base import Prior

from .base import Moment, Views

OVERLAP = 4
"""Windows overlap so that a sample lies in four of them."""


@dataclass(frozen=True)
class SpectrogramLoss:
    """factor sum_m 1/2 |S_m(x) - S_m(x_hat)|^2 / m + time 1/2 |x - x_hat|^2, summed over a sound, averaged over views.

    S_m are magnitudes of a transform with a window of m samples. Divided by m each counts about as much as the samples
    do: the squared norm of a transform is 3/4 m times that of the signal. Magnitudes know nothing of sign and phase
    (x and -x are one to them), hence the part in the time domain (guidance card §11.2).

    Args:
        factor: of the whole. windows: m; a quarter of it apart. time: weight of the samples.
        floor: e in S = sqrt(|X|^2 + e^2), which keeps the gradient finite in silence.
    """

    factor: Schedule
    windows: tuple[int, ...] = (512, 1024, 2048)
    time: float = 0.1
    floor: float = 1e-3
    media: frozenset[str] = frozenset({"audio"})

    def __call__(self, views: Views, x0: Tensor | None, prior: Prior, now: Moment) -> dict[str, Tensor]:
        """The cotangent of the sound, {"audio": (B, C, T)}; {} while the factor is 0.

        Raises:
            ConfigError: there is no sound, or nothing that it could be compared with.
        """
        factor = self.factor(now.progress)
        if factor == 0.0:
            return {}
        if x0 is None or "audio" not in views.media:
            raise ConfigError(
                "compares a sound with its prediction; this representation makes none.",
                key="guidance.method",
                hint="It is for representation=fm, impact, waveform and separation.",
            )
        sound = views.media["audio"]
        return {"audio": factor * self.gradient(sound, decoded(prior, x0, sound)) / len(sound)}

    def gradient(
        self, sound: Float[Tensor, "b c t"], wanted: Float[Tensor, "b c t"]
    ) -> Float[Tensor, "b c t"]:
        """The gradient of the loss, summed over views, with respect to `sound`."""
        with torch.enable_grad():
            x = sound.detach().requires_grad_(True)
            loss = 0.5 * self.time * (x - wanted).square().sum()
            for window in self.windows:
                hop = window // OVERLAP
                away = magnitudes(x, window, hop, self.floor) - magnitudes(wanted, window, hop, self.floor)
                loss = loss + 0.5 * away.square().sum() / window
            return torch.autograd.grad(loss, x)[0]


def decoded(prior: Prior, x0: Tensor, sound: Float[Tensor, "b c t"]) -> Float[Tensor, "b c t"]:
    """The prediction as a sound, of the render's channels.

    A prior whose latents hold no phases offers `decode_near`, which takes them from the render.
    """
    near = getattr(prior, "decode_near", None)
    found = (prior.decode(x0) if near is None else near(x0, sound)).to(sound)
    return found if found.shape[1] == sound.shape[1] else found.mean(1, keepdim=True).expand_as(sound)
