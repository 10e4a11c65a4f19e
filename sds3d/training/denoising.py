"""What the denoisers learn from: noised pictures or latents, captions that are sometimes left out, v or the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from ..core.streams import Streams
from ..priors.pixel_unet import pool_text, unet_output
from ..priors.scorer import Scorer
from ..priors.text_volume import TextVolume
from .batches import Batch, Source
from .network import alphas_cumprod, view_features
from .options import TrainOptions
from .precision import arithmetic
from .sound_options import SoundTrainOptions
from .sounds import SoundBatch
from .words import TextTower, token_ids


@dataclass(frozen=True)
class Noised:
    """States of a step and what the network should say of them.

    Args:
        z_t: noised. index: discrete times. target: v = alpha eps - sigma x0 (Salimans and Ho 2022, arXiv 2202.00512),
            or the clean sample.
        weight: of each sample's error, (B,).
    """

    z_t: Tensor
    index: Tensor
    target: Tensor
    weight: Tensor

    def rows(self, rows: slice) -> Noised:
        """Some of the samples."""
        return Noised(self.z_t[rows], self.index[rows], self.target[rows], self.weight[rows])

    def loss(self, said: Tensor) -> Tensor:
        """The weighted mean squared error of what the network says."""
        return (self.weight * (said - self.target).square().flatten(1).mean(1)).mean()


class Noising:
    """The noise of each step: a pure function of (seed, step).

    Args:
        target: what the network says. An error of x0 is one of v times sigma: it is weighed by 1 / sigma^2, so that
            both are fitted alike, and no more than a hundredfold.
    """

    def __init__(self, options: TrainOptions | SoundTrainOptions, target: Literal["v", "x0"] = "v"):
        self.options, self.target, self.streams = options, target, Streams(options.seed)
        products = alphas_cumprod()
        self.alpha, self.sigma = products.sqrt().float(), (1 - products).sqrt().float()

    def drawn(self, step: int) -> Tensor:
        """(batch, 5) uniform numbers: text, camera, background left out; where t lies."""
        return self.streams.uniform((self.options.batch, 5), "dropout", step=step)[0].float()

    def noised(self, x0: Tensor, drawn: Tensor, step: int) -> Noised:
        """Clean samples at times of which `high_noise_share` come from the noisier 70 % alone."""
        high = drawn[:, 3] < self.options.high_noise_share
        t = torch.where(high, 300 + drawn[:, 4] * 700, drawn[:, 4] * 1000).long().clamp(max=999)
        eps = self.streams.normal(tuple(x0.shape), "noise", step=step)[0]
        a, s = self.alpha[t][:, None, None, None], self.sigma[t][:, None, None, None]
        weight = (2 * self.sigma[t] ** 2).clamp(max=1) ** self.options.clear_power
        if self.target == "x0":
            return Noised(a * x0 + s * eps, t, x0, weight / (self.sigma[t] ** 2).clamp(min=0.01))
        return Noised(a * x0 + s * eps, t, a * eps - s * x0, weight)

    def captions(self, batch: Batch | SoundBatch, drawn: Tensor) -> list[str]:
        """The batch's sentences, a share of them left out."""
        left_out = (drawn[:, 0] < self.options.drop_text).tolist()
        return ["" if out else c for out, c in zip(left_out, batch.captions, strict=True)]


class PixelLoss:
    """Weighted squared error of v, or of x0, for the pixel model (priors.pixel_unet).

    Args:
        tower: the frozen model whose text side the network reads. volume: see network.view_features.
    """

    def __init__(
        self,
        options: TrainOptions,
        batches: Source,
        tower: Scorer | TextTower,
        volume: TextVolume | None = None,
    ):
        self.options, self.batches, self.tower = options, batches, tower
        self.noising = Noising(options, options.network.prediction)
        self.features = view_features(options.network, volume)

    def __call__(self, unet, step: int) -> Tensor:
        """See loop.Loss."""
        return self.shares(step, 1)[0](unet)

    def shares(self, step: int, count: int) -> list[Callable[[Any], Tensor]]:
        """See loop.Shared."""
        o, drawn = self.options, self.noising.drawn(step)
        batch = self.batches.draw(step, o.batch)
        noised = self.noising.noised(batch.rgb * 2 - 1, drawn, step)
        states, pooled = encode_captions(self.tower, self.noising.captions(batch, drawn))
        view = self.features.encode(
            batch.azimuth_deg, batch.elevation_deg, batch.background,
            (drawn[:, 1] >= o.drop_camera).float(), (drawn[:, 2] >= o.drop_background).float(),
        )  # fmt: skip
        labels = torch.cat([view, pooled], dim=-1)
        # before the arithmetic of the network, and once for all parts
        maps = self.features.maps_of(labels, o.network.size // o.network.unshuffle)

        def share(rows: slice, unet) -> Tensor:
            part = noised.rows(rows)
            with arithmetic(o.precision):
                said = unet_output(
                    unet,
                    self.features,
                    o.network.unshuffle,
                    part.z_t,
                    part.index,
                    states[rows],
                    labels[rows],
                    maps[rows],
                )
            return part.loss(said) * (len(part.index) / o.batch)

        ends = [o.batch * k // count for k in range(count + 1)]
        return [partial(share, slice(*pair)) for pair in pairwise(ends)]


@torch.no_grad()
def encode_captions(tower: Scorer | TextTower, captions: list[str]) -> tuple[Tensor, Tensor]:
    """What a frozen tower makes of B captions: token states (B, L, D) and pooled text (B, D)."""
    ids = token_ids(tower.tokenizer, captions)
    states = tower.text_encoder(ids).last_hidden_state
    end, layer = tower.tokenizer.eos_token_id, tower.text_projection
    return states, pool_text(states, ids, end, layer.weight, layer.bias)
