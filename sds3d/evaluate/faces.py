"""Second faces without a true shape: over azimuth, where does a judge see a front, and where a back?

The judge scores each view against the prompt with "front view" and with "back view"; their difference over azimuth,
less its own mean, is positive on the judge's front. One front gives one positive arc. How much this says depends on
the judge: `contrast` is the profile's size, to be read beside every answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .retrieval import ImageText

_NOTABLE = 1.0 / 3.0
"""Least share of the power that is taken for a pattern: noise spreads its own over all frequencies."""


@dataclass(frozen=True)
class Faces:
    """A judge's fronts.

    Args:
        profile: front minus back score of each view, less their mean. contrast: its root mean square, in cosines.
        share: power of the profile that one turn a turn explains, in [0, 1]: 1 for one front opposite one back.
        twofold: power that two turns a turn explain: what two fronts opposite each other leave.
    """

    profile: tuple[float, ...]
    contrast: float
    share: float
    twofold: float

    @property
    def second_face(self) -> bool:
        """Whether the profile repeats within a turn more than it changes once a turn, and not by chance alone."""
        return self.twofold > max(self.share, _NOTABLE)


@torch.no_grad()
def faces(
    model: ImageText,
    rgb: Float[Tensor, "n 3 h w"],
    prompt: str,
    words: Sequence[str] = ("front view", "back view"),
) -> Faces:
    """The fronts that a judge sees.

    Args:
        rgb: views in [0, 1] at equal steps of azimuth, once around.

    Raises:
        ValueError: fewer than six views, of which a profile's two turns cannot be told.
        PromptError: the judge does not know the words.
    """
    if len(rgb) < 6:
        raise ValueError(f"a profile needs six views or more, got {len(rgb)}")
    texts = model.embed_texts([f"{prompt}, {word}" for word in words])
    scores = model.embed_images(rgb).double() @ texts.double().T
    profile = scores[:, 0] - scores[:, 1]
    profile = profile - profile.mean()
    power = torch.fft.rfft(profile).abs().square()
    # one bin holds both signs of its frequency, but for the last one of an even count
    power[1:] *= 2.0
    if len(rgb) % 2 == 0:
        power[-1] /= 2.0
    total = float(power.sum())
    one, two = (float(power[k]) / total if total > 1e-18 else 0.0 for k in (1, 2))
    return Faces(tuple(profile.tolist()), float(profile.square().mean().sqrt()), one, two)
