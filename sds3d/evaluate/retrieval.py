"""R-precision: does a judge that sees the renders pick the right caption among fixed candidates?

Source: Park et al., "Benchmark for compositional text-to-image synthesis", NeurIPS Datasets 2021 (R-precision with a
contrastive image–text model); used for text-to-3D by Jain et al., "Dream Fields", 2022, arXiv 2112.01455. Here
the scores of several views are averaged before ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from .captions import candidates, caption_of


class ImageText(Protocol):
    """What a judge needs: unit vectors of pictures and of captions in one space."""

    def embed_images(self, rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Pictures in [0, 1] -> (B, D)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Captions -> (N, D)."""
        ...


@dataclass(frozen=True)
class Verdict:
    """A judge's answer for one object.

    Args:
        rank: 1 + number of candidates with a higher mean score than the asked caption.
        candidates: how many there were. best: the caption with the highest score. score: mean cosine of the asked one.
        view_hits: share of single views that rank the asked caption first.
    """

    rank: int
    candidates: int
    best: str
    score: float
    view_hits: float


class Judge:
    """Ranks captions for renders.

    Args:
        model: the image–text model. captions: the fixed candidates.
    """

    def __init__(self, model: ImageText, captions: Sequence[str]):
        self.model, self.captions = model, list(captions)
        self._texts = model.embed_texts(self.captions)

    @classmethod
    def bundled(cls) -> Judge:
        """The bundled judge over its fixed captions. It shares no weights with the scorer that rewards ask."""
        from ..priors.scorer import load_judge

        return cls(load_judge(), candidates())

    def serves(self, prompt: str) -> bool:
        """Whether the prompt is one of the candidates."""
        return self._candidate(prompt) in self.captions

    def _candidate(self, prompt: str) -> str:
        """The prompt as the candidates spell it, if they hold it."""
        return prompt if prompt in self.captions else caption_of(prompt) or prompt

    @torch.no_grad()
    def rank(self, rgb: Float[Tensor, "b 3 h w"], prompt: str) -> Verdict:
        """Pool the views (B, 3, H, W) in [0, 1] of one object and rank its caption; last where a view is not finite.

        Raises:
            ValueError: the prompt is not among the candidates.
        """
        caption = self._candidate(prompt)
        if caption not in self.captions:
            raise ValueError(
                f"{prompt!r} is none of the {len(self.captions)} candidate captions, so it has no rank; "
                "R-precision is for prompts such as 'a red car'"
            )
        asked = self.captions.index(caption)
        views = self.model.embed_images(rgb) @ self._texts.T
        pooled = views.mean(0)
        return Verdict(
            rank=int((pooled > pooled[asked]).sum()) + 1 if pooled.isfinite().all() else len(self.captions),
            candidates=len(self.captions),
            best=self.captions[int(pooled.argmax())],
            score=float(pooled[asked]),
            view_hits=float((views.argmax(1) == asked).float().mean()),
        )


def r_precision(verdicts: Sequence[Verdict], k: int = 1) -> float:
    """Share of objects whose caption ranks among the first k, in [0, 1]."""
    if not verdicts:
        raise ValueError("R-precision of no objects is not defined")
    return sum(verdict.rank <= k for verdict in verdicts) / len(verdicts)
