"""What is in a picture: the captions of the bundled scorer, ranked."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..assetio.cutout import Cutout
from .captions import candidates

_SIDE = 64
_BEHIND = ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.85, 0.9, 1.0))
"""Backgrounds that the object is shown over: what is said of it should not hang on one of them."""


@dataclass(frozen=True)
class Read:
    """A caption and its probability among all candidates."""

    caption: str
    probability: float


@torch.no_grad()
def read_captions(cutout: Cutout, most: int = 5) -> list[Read]:
    """The likeliest of the candidate captions, the best first.

    The object is shown over several backgrounds, as it is and mirrored, and the cosines are averaged before they become
    probabilities.
    """
    from ..priors.scorer import load_scorer

    scorer, captions = load_scorer(), candidates()
    shown = cutout.at(_SIDE).over(torch.tensor(_BEHIND))
    scores = scorer.score(torch.cat([shown, shown.flip(-1)]), captions).mean(0)
    found = (scores * scorer.temperature).softmax(0)
    best = found.topk(most)
    return [Read(captions[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
