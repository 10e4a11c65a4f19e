"""What steps the weights: AdamW, or Muon for inner matrices and kernels and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Literal

import torch
from torch import Tensor

from .muon import Muon

Which = Literal["adamw", "muon"]
BETAS = (0.9, 0.99)


def optimizers(
    which: Which,
    named: Iterable[tuple[str, Tensor]],
    outer: Callable[[str], bool],
    learning_rate: float,
    weight_decay: float,
    threads: Executor | None = None,
    betas: tuple[float, float] = BETAS,
) -> list[torch.optim.Optimizer]:
    """AdamW first, then Muon where it is wanted.

    Args:
        named: every parameter and its name. outer: whether a name's weight reads inputs or writes the output; its rows
            or columns mean something of their own, so that it is AdamW's, as are vectors.
        threads: where Muon takes its shapes side by side. betas: AdamW's.
    """
    weights = dict(named)
    inner = {n for n, p in weights.items() if which == "muon" and _is_matrix(p) and not outer(n)}
    rest = [p for n, p in weights.items() if n not in inner]
    adam = torch.optim.AdamW(rest, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True)
    if not inner:
        return [adam]
    return [adam, Muon([p for n, p in weights.items() if n in inner], learning_rate, weight_decay, threads)]


def _is_matrix(p: Tensor) -> bool:
    """Whether it has rows and columns, more than one of each."""
    return p.ndim > 1 and min(p.flatten(1).shape) > 1


def ends_of_unet(name: str) -> bool:
    """Whether a weight of a diffusers UNet or autoencoder reads its inputs or writes its output."""
    return not {"conv_in", "conv_out"}.isdisjoint(name.split(".")) or "embedding.linear_1." in name


def ends_of_scorer(name: str) -> bool:
    """Whether a weight of a priors.scorer.Scorer reads pixels or words, or writes a vector."""
    return name.startswith(("image.blocks.0.", "image.out.", "text_projection.")) or "embedding." in name
