"""What is in a picture: the captions of the bundled judge, ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..assetio.cutout import Cutout
from .captions import candidates

_SIDE = 64


@dataclass(frozen=True)
class Read:
    """A caption and its probability among all candidates."""

    caption: str
    probability: float


@torch.no_grad()
def read_captions(
    cutout: Cutout, most: int = 5, serves: Callable[[str], bool] = lambda caption: True
) -> list[Read]:
    """The likeliest of the candidate captions that `serves` agrees to, the best first; perhaps none.

    The object is shown over white. Of the judge's 117 kinds in one colour each, seen from elevation 15, kind and colour
    were read right of 109 from the front and of 110 from 40° beside it, the colour of all; cut out of grey of 106.
    """
    from ..priors.scorer import load_judge

    scorer, captions = load_judge(), [caption for caption in candidates() if serves(caption)]
    if not captions:
        return []
    scores = scorer.score(cutout.at(_SIDE).over(torch.ones(1, 3)), captions)[0]
    found = (scores * scorer.temperature).softmax(0)
    best = found.topk(min(most, len(captions)))
    return [Read(captions[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
