"""The autoencoder of the latent model: diffusers' AutoencoderKL, small, trained on the same pictures.

    loss = |x - d(z)| + |D(x - d(z))| + kl KL(q(z|x) || N(0, 1)),   z ~ q(z|x),

means over pictures and elements, D the differences of neighbouring pixels, which keeps edges sharp where a published
autoencoder has a perceptual loss (Rombach et al. 2022, arXiv 2112.10752, section 3.1). Norms are over all channels:
over groups of a few channels they would take from a plain background its colour.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.streams import Streams
from .batches import Source
from .options import AutoencoderOptions
from .precision import arithmetic
from .words import set_weights


def make_autoencoder(options: AutoencoderOptions, size: int, seed: int) -> Any:
    """An untrained AutoencoderKL for pictures of `size` pixels a side, weights from Streams(seed)."""
    from diffusers import AutoencoderKL

    count = len(options.channels)
    vae: Any = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=options.latent_channels,
        block_out_channels=options.channels, layers_per_block=1, norm_num_groups=1, sample_size=size,
        down_block_types=("DownEncoderBlock2D",) * count, up_block_types=("UpDecoderBlock2D",) * count,
        mid_block_add_attention=False,
    )  # fmt: skip
    set_weights(vae, Streams(seed), "autoencoder")
    return vae


class AutoencoderLoss:
    """See the module docstring; a loop.Loss."""

    def __init__(self, options: AutoencoderOptions, batches: Source, seed: int):
        self.options, self.batches, self.streams = options, batches, Streams(seed)

    def __call__(self, vae, step: int) -> Tensor:
        """The loss of a step's pictures."""
        o = self.options
        x = self.batches.draw(step, o.batch).rgb * 2 - 1
        with arithmetic(o.precision):
            q = vae.encode(x).latent_dist
            spread = q.std.float()
            noise = self.streams.normal(tuple(spread.shape), "autoencoder", step=step)[0]
            back = vae.decode(q.mean.float() + spread * noise).sample
        off = back.float() - x
        kl = 0.5 * (q.mean.float().square() + q.var.float() - 1 - q.logvar.float()).mean()
        return off.abs().mean() + edges(off) + o.kl * kl


def edges(off: Float[Tensor, "b c h w"]) -> Tensor:
    """Mean absolute difference of neighbours, down and across."""
    return off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()


@torch.no_grad()
def latent_scale(vae: Any, batches: Source, pictures: int = 512) -> float:
    """1 / the spread of the latents of that many pictures: AutoencoderKL's scaling_factor."""
    z = [vae.encode(batches.draw(step, 64).rgb * 2 - 1).latent_dist.mode() for step in range(pictures // 64)]
    return 1.0 / float(torch.cat(z).std())
