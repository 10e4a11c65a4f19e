"""The catalogue as a picture: every kind from four sides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.streams import Streams
from ..objects.colours import FIXED
from ..objects.kind import Kind
from ..objects.shape import build, natural_colours
from .layers import compose, render_layers

VIEWS = ((0.0, 10.0), (35.0, 20.0), (180.0, 10.0), (35.0, 20.0))
"""Azimuth and elevation of a row's cells: front, three-quarter, back, and another build."""


def kind_pictures(kind: Kind, size: int = 96) -> Float[Tensor, "4 3 s s"]:
    """The typical build from three sides and a varied one, in natural colours (red where there are none)."""
    named = natural_colours(kind)
    main = named["main"] if kind.natural else FIXED["red"]
    colours = torch.tensor([main, named["second"], main])[None]
    shapes = [build(kind)] * 3 + [build(kind, Streams(0), 1)]
    layers = torch.stack([render_layers(s, *view, size) for s, view in zip(shapes, VIEWS, strict=True)])
    count = len(VIEWS)
    return compose(layers, colours.expand(count, -1, -1), torch.zeros(count), torch.ones(count, 3))


def catalogue_sheet(kinds: Sequence[Kind], columns: int = 5, size: int = 72):
    """A PIL picture of all kinds with their names."""
    from PIL import Image, ImageDraw

    label = 14
    width, height = len(VIEWS) * size + 12, size + label
    rows = -(-len(kinds) // columns)
    page = Image.new("RGB", (columns * width, rows * height), "white")
    pen = ImageDraw.Draw(page)
    for number, kind in enumerate(kinds):
        x, y = number % columns * width, number // columns * height
        row = torch.cat(list(kind_pictures(kind, size)), dim=-1)
        pixels = (row * 255).round().byte().permute(1, 2, 0).numpy()
        page.paste(Image.fromarray(pixels), (x, y + label))
        pen.text((x + 4, y + 1), kind.name, fill="black")
    return page
