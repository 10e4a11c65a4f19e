"""Pictures of the study of modes: particles on the law's rings, and scores as dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

FINER = 3
"""Drawn this many times larger and scaled down, which smooths every edge."""
PANEL, HEAD, COLUMNS, REACH = 210, 34, 6, 3.6
COLOURS = ("#2563a8", "#d9631e", "#3c8d3f", "#8c4fa0")
"""One a repetition."""


@dataclass(frozen=True)
class Sheet:
    """A panel: particles (S, n, 2) of one method; `covered` modes are told below its name."""

    name: str
    points: Tensor
    covered: float


def draw_sheet(panels: Sequence[Sheet], modes: Tensor, width: float, path: Path) -> None:
    """A panel a method: one and three standard deviations of each mode as rings, particles as dots."""
    rows = math.ceil(len(panels) / COLUMNS)
    image, pen = _canvas(COLUMNS * PANEL, rows * (PANEL + HEAD))
    for k, panel in enumerate(panels):
        left, top = k % COLUMNS * PANEL, k // COLUMNS * (PANEL + HEAD) + HEAD
        pen.text((_big(left + 8), _big(top - 26)), panel.name, fill="#222", font=_font(13))
        inner = (left + 4, top, left + PANEL - 4, top + PANEL - 8)
        pen.rectangle([_big(v) for v in inner], outline="#ccc", width=FINER)
        clip = Image.new("RGB", (_big(PANEL), _big(PANEL)), "#fff")
        inside = ImageDraw.Draw(clip)
        for x, y in modes.tolist():
            for radius, shade in ((3 * width, "#eef2f7"), (width, "#d5deea")):
                inside.ellipse(_box(x, y, radius), fill=shade)
        for points, colour in zip(panel.points, COLOURS, strict=False):
            for x, y in points.tolist():
                inside.ellipse(_box(x, y, 0.05), fill=colour)
        outside = int(((panel.points.abs() > REACH).any(dim=-1)).sum())
        if outside:
            share = outside / panel.points[..., 0].numel()
            inside.text((_big(10), _big(PANEL - 34)), f"{share:.0%} outside", fill="#a22", font=_font(12))
        size = (_big(PANEL - 10), _big(PANEL - 10))
        image.paste(
            clip.crop((_big(1), _big(1), _big(1) + size[0], _big(1) + size[1])),
            (_big(left + 5), _big(top + 1)),
        )
        pen.rectangle([_big(v) for v in inner], outline="#bbb", width=FINER)
    _save(image, path)


def draw_dots(
    lines: Sequence[tuple[str, Sequence[Sequence[float]]]], titles: Sequence[str], path: Path
) -> None:
    """A row a method, a column a score in [0, 1] (beyond it drawn at the edge), a dot a repetition."""
    row, name, column, head = 22, 190, 250, 34
    image, pen = _canvas(name + column * len(titles) + 10, head + row * len(lines) + 26)
    for c, title in enumerate(titles):
        left = name + c * column
        pen.text((_big(left + 10), _big(10)), title, fill="#222", font=_font(13))
        for tick in (0.0, 0.5, 1.0):
            x = _across(left, column, tick)
            pen.line([(x, _big(head)), (x, _big(head + row * len(lines)))], fill="#ddd", width=FINER)
            pen.text(
                (x - _big(6), _big(head + row * len(lines) + 4)), f"{tick:g}", fill="#666", font=_font(11)
            )
    for r, (label, repetitions) in enumerate(lines):
        y = head + row * (r + 0.5)
        pen.text((_big(8), _big(y - 8)), label, fill="#222", font=_font(12))
        for values, colour in zip(repetitions, COLOURS, strict=False):
            for c, value in enumerate(values):
                x = _across(name + c * column, column, min(1.2, value))
                pen.ellipse(
                    (x - 4 * FINER, _big(y) - 4 * FINER, x + 4 * FINER, _big(y) + 4 * FINER), fill=colour
                )
    _save(image, path)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (_big(width), _big(height)), "#fff")
    return image, ImageDraw.Draw(image)


def _save(image: Image.Image, path: Path) -> None:
    small = image.resize((image.width // FINER, image.height // FINER), Image.Resampling.LANCZOS)
    small.save(path, optimize=True)


def _big(value: float) -> int:
    return round(value * FINER)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINER)


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    """The square around a point of the plane, in pixels of a panel."""
    scale = _big(PANEL) / (2 * REACH)
    across, down = (x + REACH) * scale, (REACH - y) * scale
    return (across - radius * scale, down - radius * scale, across + radius * scale, down + radius * scale)


def _across(left: float, column: float, value: float) -> float:
    return _big(left + 16 + (column - 60) * value)
