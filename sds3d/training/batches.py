"""Batches for training: pictures, captions, cameras; every number from Streams, so that step n is always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.streams import Streams
from ..objects.captions import NUMBERS_NEEDED, Caption, draw_caption
from ..objects.colours import FIXED
from ..priors.views import VIEW_WORDS, side_seen
from .layers import compose
from .plan import Picture

_EXTRA = 16
SINGLE_SHARE = 0.75
"""Share of the pictures of a batch that show one object."""


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Args:
        rgb: (B, 3, S, S) in [0, 1]. captions: B sentences.
        azimuth_deg, elevation_deg: (B,). background: (B, 3).
    """

    rgb: Float[Tensor, "b 3 s s"]
    captions: tuple[str, ...]
    azimuth_deg: Float[Tensor, " b"]
    elevation_deg: Float[Tensor, " b"]
    background: Float[Tensor, "b 3"]


class Source(Protocol):
    """Anything that says what a step sees."""

    def draw(self, step: int, count: int) -> Batch:
        """The batch of a step."""
        ...


class Batches:
    """Draws batches from a rendered set.

    Args:
        layers: (N, S, S, 8) bytes. pictures: what they show.
        size: side of the pictures, averaged over areas where it is not the set's own.
        every_pair: also held-out pairs and relations (for the judge).
        view_words: share of the captions that say the side that is seen.
    """

    def __init__(
        self,
        layers: np.ndarray,
        pictures: Sequence[Picture],
        streams: Streams,
        size: int,
        every_pair: bool = False,
        view_words: float = 0.3,
    ):
        self.layers, self.pictures, self.streams = layers, pictures, streams
        self.size, self.every_pair, self.view_words = size, every_pair, view_words
        usable = [i for i, p in enumerate(pictures) if every_pair or not p.held_out]
        self.single = [i for i in usable if len(pictures[i].subject.kinds) == 1]
        self.several = [i for i in usable if len(pictures[i].subject.kinds) > 1] or self.single

    def named(self, step: int, count: int) -> tuple[list[int], list[Caption], np.ndarray]:
        """Rows of the pictures of a step, what is said of them, and the numbers in (0, 1) that are left."""
        numbers = self.streams.uniform((count, NUMBERS_NEEDED + _EXTRA), "batch", step=step)[0].numpy()
        extra, captions = numbers[:, NUMBERS_NEEDED:], []
        rows = [self._row(*pair) for pair in extra[:, :2]]
        for row, drawn in zip(rows, numbers, strict=True):
            picture = self.pictures[row]
            caption = draw_caption(picture.subject, drawn[:NUMBERS_NEEDED].tolist(), self.every_pair)
            side = VIEW_WORDS[side_seen(picture.azimuth_deg, picture.elevation_deg)]
            words = f", {side}" if drawn[NUMBERS_NEEDED + 2] < self.view_words else ""
            captions.append(replace(caption, text=caption.text + words))
        return rows, captions, extra

    def draw(self, step: int, count: int) -> Batch:
        """The batch of a step."""
        rows, captions, extra = self.named(step, count)
        paints = ("main", "second", "third")
        colours = [[FIXED[c.colours.get(paint, "gray")] for paint in paints] for c in captions]
        gloss = [float(c.glossy) for c in captions]
        jitter = self.streams.normal((count, 3, 4), "colour", step=step)[0]
        rgb = torch.tensor(colours) + 0.025 * jitter[..., :3] + 0.03 * jitter[..., 3:]
        ground = torch.from_numpy(np.where(extra[:, 3:4] < 0.5, 1.0, extra[:, 4:7])).float()
        return Batch(
            compose(self._read(rows), rgb.clamp(0.02, 1), torch.tensor(gloss), ground),
            tuple(c.text for c in captions),
            torch.tensor([self.pictures[i].azimuth_deg for i in rows]),
            torch.tensor([self.pictures[i].elevation_deg for i in rows]),
            ground,
        )

    def _row(self, share: float, which: float) -> int:
        pool = self.single if share < SINGLE_SHARE else self.several
        return pool[int(which * len(pool))]

    def _read(self, rows: Sequence[int]) -> Float[Tensor, "b s s 8"]:
        layers = torch.from_numpy(np.stack([self.layers[i] for i in rows])).float() / 255
        if layers.shape[1] == self.size:
            return layers
        small = F.interpolate(layers.movedim(-1, 1), size=(self.size, self.size), mode="area")
        return small.movedim(1, -1)
