"""The audio–text scorers: a scorer of pictures that looks at spectrograms.

How well a sound fits a caption is the cosine of two unit vectors (contrastive training as in Elizalde et al., "CLAP:
learning audio concepts from natural language supervision", 2022, arXiv 2206.04769); the towers are those of
priors.scorer, the picture is the grey spectrogram of priors.spectrogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .kinds.embedded import assets_folder
from .scorer import Scorer, load_scorer
from .spectrogram import Codec


def as_pictures(z: Float[Tensor, "b 1 m n"], size: int) -> Float[Tensor, "b 3 s s"]:
    """Spectrograms as square grey pictures in [0, 1]: time to the right, low bands first."""
    grey = ((z + 1) / 2).clamp(0, 1)
    if size <= min(z.shape[-2:]):
        grey = F.interpolate(grey, size=(size, size), mode="area")
    else:
        grey = F.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False)
    return grey.expand(-1, 3, -1, -1)


class SoundScorer:
    """Scores sounds against captions.

    Args:
        scorer: towers that were trained on `as_pictures`. codec: how sounds become spectrograms.
    """

    def __init__(self, scorer: Scorer, codec: Codec):
        self.scorer, self.codec = scorer, codec

    def embed_sounds(self, audio: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b d"]:
        """Unit vectors of mono sounds; differentiable."""
        return self.scorer.embed_images(as_pictures(self.codec.encode(audio), self.scorer.image_size))

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit vectors of captions.

        Raises:
            PromptError: words that it has never met.
        """
        return self.scorer.embed_texts(texts)

    def ranks(self, audio: Float[Tensor, "b 1 t"], asked: Sequence[str], field: Sequence[str]) -> list[int]:
        """1 + the number of captions of `field` that score higher than the asked one, for each sound."""
        images, texts = self.embed_sounds(audio), self.embed_texts(field)
        own = (images * self.embed_texts(asked)).sum(1, keepdim=True)
        return ((images @ texts.T > own + 1e-6).sum(1) + 1).tolist()


def load_sound_scorer(folder: Path | None = None) -> SoundScorer:
    """The scorer of a folder; by default the shipped one of assets/audio-scorer."""
    return SoundScorer(load_scorer(assets_folder() / "audio-scorer" if folder is None else folder), Codec())
