"""Where in a picture the words of an edit act: a UNet's attention, recorded while it answers.

Localised updates (LUSD, arXiv 2503.11054) read M = minmax(A_self A_cross[edited words]): the cross-attention of the
words that the target has and the source has not, spread over what belongs together by self-attention. Published for
Stable Diffusion 1.5 with A_self at a quarter and A_cross at a sixteenth of the latent's cells; here the layers nearest
to those shares are taken, so that a small UNet with attention at one scale serves too.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .base import Cond

SELF_SHARE, CROSS_SHARE = 4, 16
"""Cells of the latent for a token of self-attention, and of cross-attention, as published."""

Recorded = dict[int, list[Tensor]]
"""Number of tokens of a layer -> its attention, each (B, tokens, read), the mean over heads."""


class _Watched:
    """An attention processor that also keeps what its layer attends to."""

    def __init__(self, plain: Any, keep: Recorded):
        self._plain, self._keep = plain, keep

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "b n d"],
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **more: Any,
    ) -> Tensor:
        read = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k = (attn.head_to_batch_dim(made) for made in (attn.to_q(hidden_states), attn.to_k(read)))
        scores = attn.get_attention_scores(q, k, attention_mask)
        mean = scores.float().unflatten(0, (len(hidden_states), -1)).mean(1)
        self._keep.setdefault(mean.shape[1], []).append(mean)
        return self._plain(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **more)


@contextmanager
def recorded(unet: Any) -> Iterator[tuple[Recorded, Recorded]]:
    """(self-attention, cross-attention) of a UNet2DConditionModel's forwards within this block."""
    own, cross = Recorded(), Recorded()
    before = dict(unet.attn_processors)
    keep = {name: own if ".attn1." in name else cross for name in before}
    unet.set_attn_processor({name: _Watched(plain, keep[name]) for name, plain in before.items()})
    try:
        yield own, cross
    finally:
        unet.set_attn_processor(before)


def attention_maps(
    unet: Any, forward: Callable[[], object], edited: Float[Tensor, "b l"], size: tuple[int, int]
) -> Float[Tensor, "b 1 h w"]:
    """M in [0, 1] for each view.

    Args:
        forward: one answer of the network for B views. edited: 1 at the positions of edited words, else 0; where there
            are none the map is 1 everywhere.
        size: (h, w) of the latent, which the map is resized to.
    """
    with recorded(unet) as (own, cross):
        forward()
    cells = size[0] * size[1]
    spread, words = _nearest(own, cells // SELF_SHARE), _nearest(cross, cells // CROSS_SHARE)
    grid = _grid(spread.shape[1], size)
    said = (words * edited[:, None].to(words)).sum(-1).unflatten(1, _grid(words.shape[1], size))
    said = F.interpolate(said[:, None], grid, mode="bilinear", align_corners=False).flatten(2)
    map_ = torch.einsum("bij,bcj->bci", spread, said)
    low, high = map_.amin(-1, keepdim=True), map_.amax(-1, keepdim=True)
    flat = (map_ - low) / (high - low).clamp(min=1e-12)
    out = F.interpolate(flat.unflatten(2, grid), size, mode="bilinear", align_corners=False)
    return torch.where(edited.sum(1).reshape(-1, 1, 1, 1) > 0, out, torch.ones_like(out))


def _nearest(found: Recorded, tokens: int) -> Float[Tensor, "b n m"]:
    """The mean of the layers whose number of tokens is nearest."""
    return torch.stack(found[min(found, key=lambda count: abs(count - tokens))]).mean(0)


def _grid(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of that many tokens over a latent of that size."""
    side = round((size[0] * size[1] / tokens) ** 0.5)
    return size[0] // side, size[1] // side


EDITED = "edited"
"""The branch y with, under the same name, 1 at the words (B, L) that the source has not; in `Embedded` their row."""


def edited_branch(y: Cond, row: Float[Tensor, " l"]) -> Cond:
    """The branch "edited" of these views."""
    marks = row.to(y.weight.device).expand(len(y.weight), -1)
    return Cond({**y.tensors, EDITED: marks}, y.weight)


def edited_tokens(source: Sequence[int], target: Sequence[int], ends: frozenset[int]) -> Float[Tensor, " l"]:
    """1 at the tokens of `target` that `source` has not, else 0.

    Args:
        ends: tokens that open, close and pad a sentence, which never count.
    """
    out = torch.zeros(len(target))
    matcher = difflib.SequenceMatcher(None, list(source), list(target), autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind in ("replace", "insert"):
            out[start:end] = 1.0
    return out * torch.tensor([float(token not in ends) for token in target])
