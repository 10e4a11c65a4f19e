"""Which Gaussians meet which tile, and the pixels of a tile from them, in Warp; notation of `projection`.

An image is cut into tiles of 16 x 16 pixels. A list holds the Gaussians of every tile of every camera, sorted by
(camera, tile), depth and index; `starts` says where each tile's part begins.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import MIN_ALPHA, TILE, item

MAX_ALPHA = wp.constant(0.999)
MIN_TRANSMITTANCE = wp.constant(1.0e-4)


@wp.struct
@no_type_check
class Pixel:
    """Where a thread draws: camera, image row and column, and its tile among all; row < 0 is outside the image."""

    b: int
    x: int
    y: int
    tile: int


@wp.func
@no_type_check
def pixel_of(index: int, width: int, height: int) -> Pixel:
    """The 256 work items of a tile follow each other, row by row."""
    per_row, per_column = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    out = Pixel()
    out.tile = index // (TILE * TILE)
    inside = index % (TILE * TILE)
    out.b = out.tile // (per_row * per_column)
    t = out.tile % (per_row * per_column)
    out.x = (t % per_row) * TILE + inside % TILE
    out.y = (t // per_row) * TILE + inside // TILE
    if out.x >= width or out.y >= height:
        out.y = -1
    return out


@wp.func
@no_type_check
def whitened(place: wp.vec4, shape: wp.vec4, x: float, y: float) -> wp.vec2:
    """(p, q) of a pixel centre."""
    dx, dy = x - place[0], y - place[1]
    return wp.vec2(shape[0] * dx + shape[1] * dy, shape[2] * dy)


@wp.kernel(enable_backward=False)
@no_type_check
def list_tiles(
    order: wp.array(dtype=wp.int32),
    place: wp.array2d(dtype=wp.vec4),
    tiles: wp.array2d(dtype=wp.vec4i),
    counts: wp.array2d(dtype=wp.int32),
    ends: wp.array2d(dtype=wp.int64),
    per_row: int,
    per_image: int,
    keys: wp.array(dtype=wp.int64),
    gaussians: wp.array(dtype=wp.int32),
):
    """One thread a Gaussian and camera: an entry for each tile of its box, so `keys` sort by tile and depth.

    It alone writes entries [end - count, end); `ends` are the running sums of `counts`, so those parts are disjoint.
    """
    index = item(order, wp.tid())
    total = counts.shape[1]
    b, n = index // total, index % total
    count = counts[b, n]
    if count == 0:
        return
    box = tiles[b, n]
    at = ends[b, n] - wp.int64(count)
    depth = wp.int64(wp.cast(place[b, n][3], wp.int32))  # positive floats order like their bits
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            tile = b * per_image + y * per_row + x
            keys[at] = (wp.int64(tile) << wp.int64(32)) | depth
            gaussians[at] = n
            at += wp.int64(1)


@wp.kernel(enable_backward=False)
@no_type_check
def composite(
    order: wp.array(dtype=wp.int32),
    place: wp.array2d(dtype=wp.vec4),
    shape: wp.array2d(dtype=wp.vec4),
    colour: wp.array2d(dtype=wp.vec3),
    starts: wp.array(dtype=wp.int32),
    gaussians: wp.array(dtype=wp.int32),
    background: wp.array(dtype=wp.vec3),
    width: int,
    height: int,
    rgb: wp.array4d(dtype=wp.float32),
    alpha: wp.array3d(dtype=wp.float32),
    depth: wp.array3d(dtype=wp.float32),
    through: wp.array3d(dtype=wp.float32),
    stops: wp.array3d(dtype=wp.int32),
):
    """One thread a pixel, front to back. It alone writes that pixel of every output.

    through: transmittance left. stops: place in the list where the pixel closed, or its tile's end.
    """
    at = pixel_of(item(order, wp.tid()), width, height)
    if at.y < 0:
        return
    x, y = float(at.x) + 0.5, float(at.y) + 0.5
    left, distance = float(1.0), float(0.0)
    seen = wp.vec3(0.0, 0.0, 0.0)
    i, end = int(starts[at.tile]), starts[at.tile + 1]
    while i < end:
        n = gaussians[i]
        mean = place[at.b, n]
        pq = whitened(mean, shape[at.b, n], x, y)
        opacity = wp.min(mean[2] * wp.exp(-wp.dot(pq, pq)), MAX_ALPHA)
        if opacity >= MIN_ALPHA:
            weight = left * opacity
            # one that would close the pixel is left out, with all behind it
            if left - weight <= MIN_TRANSMITTANCE:
                break
            seen += weight * colour[at.b, n]
            distance += weight * mean[3]
            left -= weight
        i += 1
    drawn = 1.0 - left
    for c in range(3):
        rgb[at.b, c, at.y, at.x] = seen[c] + left * background[at.b][c]
    alpha[at.b, at.y, at.x] = drawn
    depth[at.b, at.y, at.x] = distance / wp.max(drawn, 1.0e-10)
    through[at.b, at.y, at.x] = left
    stops[at.b, at.y, at.x] = i


@wp.func
@no_type_check
def add(moments: wp.array3d(dtype=wp.float64), b: int, n: int, moment: int, value: float):
    """To one element, atomically."""
    wp.atomic_add(moments, b, n, moment, wp.float64(value))


@wp.kernel(enable_backward=False)
@no_type_check
def composite_backward(
    order: wp.array(dtype=wp.int32),
    place: wp.array2d(dtype=wp.vec4),
    shape: wp.array2d(dtype=wp.vec4),
    colour: wp.array2d(dtype=wp.vec3),
    starts: wp.array(dtype=wp.int32),
    gaussians: wp.array(dtype=wp.int32),
    background: wp.array(dtype=wp.vec3),
    width: int,
    height: int,
    depth: wp.array3d(dtype=wp.float32),
    through: wp.array3d(dtype=wp.float32),
    stops: wp.array3d(dtype=wp.int32),
    to_rgb: wp.array4d(dtype=wp.float32),
    to_alpha: wp.array3d(dtype=wp.float32),
    to_depth: wp.array3d(dtype=wp.float32),
    moments: wp.array3d(dtype=wp.float64),
):
    """One thread a pixel, back to front. Its only writes are atomic adds to `moments`, (camera, Gaussian, 10): in
    float64, so that the order in which threads add does not show in float32.

    Going back, `left` is the transmittance behind the present Gaussian and `behind` what is seen there: the weighted
    values of the Gaussians behind it and the background, each times its pixel's gradient, for transmittance 1.
    With value = values . gradients of the present one,
    d loss / d alpha = transmittance before it (value - behind), and behind += alpha (value - behind).
    """
    at = pixel_of(item(order, wp.tid()), width, height)
    if at.y < 0:
        return
    x, y = float(at.x) + 0.5, float(at.y) + 0.5
    left = float(through[at.b, at.y, at.x])
    g = wp.vec3(to_rgb[at.b, 0, at.y, at.x], to_rgb[at.b, 1, at.y, at.x], to_rgb[at.b, 2, at.y, at.x])
    per_distance = float(0.0)  # d loss / d sum of weight * depth, of which depth is the quotient by alpha
    if left < 1.0:
        per_distance = to_depth[at.b, at.y, at.x] / wp.max(1.0 - left, 1.0e-10)
    behind = wp.dot(g, background[at.b]) - to_alpha[at.b, at.y, at.x]
    behind += per_distance * depth[at.b, at.y, at.x]
    i, start = int(stops[at.b, at.y, at.x]), starts[at.tile]
    while i > start:
        i -= 1
        n = gaussians[i]
        mean = place[at.b, n]
        pq = whitened(mean, shape[at.b, n], x, y)
        full = mean[2] * wp.exp(-wp.dot(pq, pq))
        opacity = wp.min(full, MAX_ALPHA)
        if opacity >= MIN_ALPHA:
            left = left / (1.0 - opacity)
            weight = left * opacity
            difference = wp.dot(colour[at.b, n], g) + mean[3] * per_distance - behind
            behind += opacity * difference
            if full <= MAX_ALPHA:  # a limited alpha passes no gradient on
                h = weight * difference
                hp, hq = h * pq[0], h * pq[1]
                add(moments, at.b, n, 0, h)
                add(moments, at.b, n, 1, hp)
                add(moments, at.b, n, 2, hq)
                add(moments, at.b, n, 3, hp * pq[0])
                add(moments, at.b, n, 4, hp * pq[1])
                add(moments, at.b, n, 5, hq * pq[1])
            add(moments, at.b, n, 6, weight * g[0])
            add(moments, at.b, n, 7, weight * g[1])
            add(moments, at.b, n, 8, weight * g[2])
            if per_distance != 0.0:
                add(moments, at.b, n, 9, weight * per_distance)
