"""The generator's own picture of a caption: what a judge makes of those is the most that samples can reach."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.streams import Streams
from ..objects.captions import GLOSS_WORDS, plain, read_caption
from ..objects.colours import FIXED
from ..objects.scenes import scene_of_two
from ..objects.shape import build
from .layers import compose, render_layers


def true_picture(
    caption: str, azimuth_deg: float, elevation_deg: float, size: int, number: int
) -> Float[Tensor, "3 s s"]:
    """One varied build of what a caption of one or two objects says, on white, in [0, 1].

    Args:
        size: side in pixels. number: which of the builds.

    Raises:
        ObjectError: the caption is not understood.
    """
    said = plain(caption)
    subject, named = read_caption(said)
    first, builds = subject.kinds[0], Streams(77)
    if subject.relation is None:
        shape = build(first, builds, number)
    else:
        shape = scene_of_two(first, subject.relation, subject.kinds[1], builds, number)
    main = named.get("main", first.natural or "gray")
    words = main, named.get("second", first.second_natural), named.get("third", main)
    layers = render_layers(shape, azimuth_deg, elevation_deg, size, subject.pattern)
    gloss = 0.0 if set(GLOSS_WORDS).isdisjoint(said.split()) else 1.0
    colours = torch.tensor([[FIXED[word] for word in words]])
    return compose(layers[None], colours, torch.tensor([gloss]), torch.ones(1, 3))[0]


def true_pictures(
    captions: Sequence[str], angles_deg: Float[Tensor, "b 2"], size: int
) -> Float[Tensor, "b 3 s s"]:
    """One picture a caption, each from its (azimuth, elevation)."""
    return torch.stack(
        [
            true_picture(caption, azimuth, elevation, size, number)
            for number, (caption, (azimuth, elevation)) in enumerate(
                zip(captions, angles_deg.tolist(), strict=True)
            )
        ]
    )
