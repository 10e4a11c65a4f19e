"""Line charts as inline SVG: no script, no font, no request."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 360, 150, 34


def line_chart(
    title: str,
    points: Sequence[tuple[float, float]],
    log_scale: bool = False,
    axis: str = "step",
    seams: Sequence[tuple[str, float]] = (),
) -> str:
    """One curve with its range written at the axes.

    Args:
        points: (x, y) in order of x; non-finite ones are left out.
        log_scale: logarithmic y axis where all values are positive. axis: name of x.
        seams: name and first x of each part; the curve is broken between them.

    Returns:
        An <svg> element, or "" when fewer than two points are left.
    """
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(kept) < 2:
        return ""
    use_log = log_scale and all(y > 0 for _, y in kept)
    xs, ys = [p[0] for p in kept], [math.log10(p[1]) if use_log else p[1] for p in kept]
    low, high = min(ys), max(ys)
    span_x, span_y = (xs[-1] - xs[0]) or 1.0, (high - low) or 1.0
    right, bottom = WIDTH - 8, HEIGHT - 20
    place = [
        (MARGIN + (right - MARGIN) * (x - xs[0]) / span_x, bottom - (bottom - 24) * (y - low) / span_y)
        for x, y in zip(xs, ys, strict=True)
    ]
    ends = [10**v if use_log else v for v in (low, high)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f'<text x="{MARGIN}" y="14" class="title">{escape(title)}</text>'
        f'<line x1="{MARGIN}" y1="{bottom}" x2="{right}" y2="{bottom}" class="axis"/>'
        f'<line x1="{MARGIN}" y1="24" x2="{MARGIN}" y2="{bottom}" class="axis"/>'
        f'<text x="{MARGIN - 4}" y="28" class="tick end">{ends[1]:.3g}</text>'
        f'<text x="{MARGIN - 4}" y="{bottom}" class="tick end">{ends[0]:.3g}</text>'
        f'<text x="{right}" y="{HEIGHT - 6}" class="tick end">{escape(axis)} {xs[-1]:g}</text>'
        f"{_parts(place, xs, seams or [('', xs[0])])}</svg>"
    )


def _parts(
    place: Sequence[tuple[float, float]], xs: Sequence[float], seams: Sequence[tuple[str, float]]
) -> str:
    """The curve of each part by itself, under the part's name."""
    out, starts = "", [bisect_left(xs, x) for _, x in seams]
    for (name, _), first, last in zip(seams, starts, [*starts[1:], len(xs)], strict=True):
        if first == last:
            continue
        at = place[first][0]
        if name:
            out += f'<line x1="{at:.1f}" y1="24" x2="{at:.1f}" y2="{HEIGHT - 20}" class="seam"/>'
            out += f'<text x="{at + 2:.1f}" y="33" class="tick">{escape(name)}</text>'
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place[first:last])
        out += f'<polyline points="{path}"/>'
    return out


def thin(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """At most about `most` points: means over equal runs of them, so that no curve bloats the page."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    chunks = [points[i : i + size] for i in range(0, len(points), size)]
    return [(c[len(c) // 2][0], sum(y for _, y in c) / len(c)) for c in chunks]


def split_bar(shares: Sequence[tuple[str, float]]) -> str:
    """A horizontal bar of named shares (any positive unit) with a legend of seconds."""
    total = sum(v for _, v in shares) or 1.0
    x, parts, legend = 0.0, [], []
    for k, (name, value) in enumerate(shares):
        width = 100.0 * value / total
        parts.append(f'<rect x="{x:.2f}" y="0" width="{width:.2f}" height="10" class="part{k % 8}"/>')
        legend.append(f'<span><i class="part{k % 8}"></i>{escape(name)} {value:.1f} s ({width:.0f} %)</span>')
        x += width
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none">{"".join(parts)}</svg>'
        f'<div class="legend">{"".join(legend)}</div>'
    )
