"""Autoencoders that need less memory: one view at a time, activations computed again on the way back, tiles.

Encoding with a gradient keeps every activation for the way back; at 1024 pixels that is far more than the weights.
Chen et al., "Training deep nets with sublinear memory cost", 2016, arXiv 1604.06174: keep some, compute the rest again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..core.errors import ConfigError

_OVERLAP = 4
"""A tile overlaps the next by a quarter of its side."""


def take_turns(vae: Any, whole: bool = False) -> None:
    """Let an autoencoder take one view at a time and compute its activations again on the way back; results stay.

    Args:
        whole: keep nothing of a view but its pixels, so that the encoder runs three times a view instead of twice;
            otherwise what lies between its blocks is kept.
    """
    vae.enable_slicing()
    if vae._supports_gradient_checkpointing:
        vae.enable_gradient_checkpointing()
    if whole or not vae._supports_gradient_checkpointing:
        vae.encoder.forward = _again(vae.encoder.forward)


def _again(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, its inside computed a second time on the way back."""

    def recomputed(x: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            return forward(x)
        # autoencoders draw nothing, so that no random state has to be kept
        return checkpoint(forward, x, use_reentrant=False, preserve_rng_state=False)

    return recomputed


def use_tiles(vae: Any, side: int, factor: int) -> None:
    """Let an autoencoder take pictures larger than `side` in overlapping tiles that are blended.

    An approximation: a tile's normalisation and attention see the tile alone. Each tile's activations are computed
    again on the way back.

    Args:
        side: of a tile in pixels. factor: pixels of a latent cell, per side.
    """
    if hasattr(vae, "tile_sample_min_size"):
        vae.enable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // factor
    else:
        stride = side - side // _OVERLAP
        vae.enable_tiling(side, side, stride, stride)


def check_tiles(side: int | None, factor: int) -> None:
    """Whether tiles of that side can overlap by whole cells.

    Raises:
        ConfigError: they cannot; the text names the nearest side that can.
    """
    step = factor * _OVERLAP
    if side is not None and side % step:
        raise ConfigError(
            f"{side} is not a multiple of {step}, the pixels of {_OVERLAP} latent cells.",
            key="prior.vae_tiles",
            hint=f"The nearest is {max(1, round(side / step)) * step}.",
        )
