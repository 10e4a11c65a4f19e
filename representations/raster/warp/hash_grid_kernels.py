"""The hash grid in Warp. Formulas: hash_grid_twin. `shapes` holds resolution, rows, first row and whether it is dense
of each level; corners are numbered 4 dx + 2 dy + dz."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item

vec8 = wp.types.vector(length=8, dtype=wp.float32)
vec8i = wp.types.vector(length=8, dtype=wp.int32)


@wp.struct
@no_type_check
class Place:
    """Where a point lies on a level: rows of its cell's corners, and the share of the upper ones along x, y, z."""

    rows: vec8i  # type: ignore[valid-type]
    share: wp.vec3


@wp.func
@no_type_check
def place_of(point: wp.vec3, scale: float, shape: wp.vec4i) -> Place:
    """Of a point in [0, 1]^3."""
    out = Place()
    half = wp.vec3(0.5, 0.5, 0.5)
    u = point * scale + half
    x, y, z = int(u[0]), int(u[1]), int(u[2])  # never negative: this is the floor
    out.share = wp.vec3(u[0] - float(x), u[1] - float(y), u[2] - float(z))
    size, rows = wp.uint32(shape[0]), wp.uint32(shape[1])
    for k in range(8):
        cx, cy, cz = wp.uint32(x + k // 4), wp.uint32(y + (k // 2) % 2), wp.uint32(z + k % 2)
        index = cx ^ (cy * wp.uint32(2654435761)) ^ (cz * wp.uint32(805459861))
        if shape[3] != 0:
            index = cx + cy * size + cz * size * size
        out.rows[k] = shape[2] + int(index % rows)
    return out


@wp.func
@no_type_check
def side(share: float, upper: int) -> float:
    """The weight of a corner along one axis."""
    if upper != 0:
        return share
    return 1.0 - share


@wp.func
@no_type_check
def weights_of(share: wp.vec3) -> vec8:
    """Of the corners."""
    out = vec8()
    for k in range(8):
        out[k] = side(share[0], k // 4) * side(share[1], (k // 2) % 2) * side(share[2], k % 2)
    return out


@wp.func
@no_type_check
def slopes_of(share: wp.vec3, axis: int) -> vec8:
    """Derivatives of the weights by the share along one axis."""
    out = vec8()
    for k in range(8):
        dx, dy, dz = k // 4, (k // 2) % 2, k % 2
        x, y, z = side(share[0], dx), side(share[1], dy), side(share[2], dz)
        if axis == 0:
            out[k] = float(2 * dx - 1) * y * z
        elif axis == 1:
            out[k] = float(2 * dy - 1) * x * z
        else:
            out[k] = float(2 * dz - 1) * x * y
    return out


@wp.func
@no_type_check
def read(table: wp.array2d(dtype=wp.float32), rows: vec8i, weights: vec8, f: int) -> float:
    """One feature, weighted over the corners."""
    total = float(0.0)
    for k in range(8):
        total += weights[k] * table[rows[k], f]
    return total


@wp.kernel(enable_backward=False)
@no_type_check
def encode(
    order: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    table: wp.array2d(dtype=wp.float32),
    scales: wp.array(dtype=wp.float32),
    shapes: wp.array(dtype=wp.vec4i),
    out: wp.array2d(dtype=wp.float32),
):
    """One thread a point and level, all points of a level together; it alone writes that level's columns of the
    point's row of `out`."""
    index = item(order, wp.tid())
    n, level = index % points.shape[0], index // points.shape[0]
    p = place_of(points[n], scales[level], shapes[level])
    w = weights_of(p.share)
    width = table.shape[1]
    for f in range(width):
        out[n, level * width + f] = read(table, p.rows, w, f)


@wp.kernel(enable_backward=False)
@no_type_check
def encode_slopes(
    order: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    table: wp.array2d(dtype=wp.float32),
    scales: wp.array(dtype=wp.float32),
    shapes: wp.array(dtype=wp.vec4i),
    out: wp.array2d(dtype=wp.float32),
    slopes: wp.array3d(dtype=wp.float32),
):
    """As `encode`; the thread alone writes those columns of `slopes` too."""
    index = item(order, wp.tid())
    n, level = index % points.shape[0], index // points.shape[0]
    p = place_of(points[n], scales[level], shapes[level])
    w = weights_of(p.share)
    width = table.shape[1]
    for f in range(width):
        out[n, level * width + f] = read(table, p.rows, w, f)
    for axis in range(3):
        d = slopes_of(p.share, axis) * scales[level]
        for f in range(width):
            slopes[n, axis, level * width + f] = read(table, p.rows, d, f)


@wp.kernel(enable_backward=False)
@no_type_check
def encode_backward(
    order: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    scales: wp.array(dtype=wp.float32),
    shapes: wp.array(dtype=wp.vec4i),
    to_out: wp.array2d(dtype=wp.float32),
    gradient: wp.array2d(dtype=wp.float64),
):
    """One thread a point and level. Its only writes are atomic adds to `gradient`: in float64, so that the order in
    which threads add does not show in float32."""
    index = item(order, wp.tid())
    n, level = index % points.shape[0], index // points.shape[0]
    p = place_of(points[n], scales[level], shapes[level])
    w = weights_of(p.share)
    width = gradient.shape[1]
    for f in range(width):
        g = to_out[n, level * width + f]
        for k in range(8):
            wp.atomic_add(gradient, p.rows[k], f, wp.float64(w[k] * g))


@wp.kernel(enable_backward=False)
@no_type_check
def encode_slopes_backward(
    order: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    scales: wp.array(dtype=wp.float32),
    shapes: wp.array(dtype=wp.vec4i),
    to_out: wp.array2d(dtype=wp.float32),
    to_slopes: wp.array3d(dtype=wp.float32),
    gradient: wp.array2d(dtype=wp.float64),
):
    """As `encode_backward`, with what comes back through the slopes."""
    index = item(order, wp.tid())
    n, level = index % points.shape[0], index // points.shape[0]
    p = place_of(points[n], scales[level], shapes[level])
    scale, width = scales[level], gradient.shape[1]
    w, dx, dy, dz = weights_of(p.share), slopes_of(p.share, 0), slopes_of(p.share, 1), slopes_of(p.share, 2)
    for f in range(width):
        column = level * width + f
        g = to_out[n, column]
        gx, gy, gz = to_slopes[n, 0, column], to_slopes[n, 1, column], to_slopes[n, 2, column]
        for k in range(8):
            value = w[k] * g + scale * (dx[k] * gx + dy[k] * gy + dz[k] * gz)
            wp.atomic_add(gradient, p.rows[k], f, wp.float64(value))


@wp.kernel(enable_backward=False)
@no_type_check
def points_backward(
    order: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    table: wp.array2d(dtype=wp.float32),
    scales: wp.array(dtype=wp.float32),
    shapes: wp.array(dtype=wp.vec4i),
    to_out: wp.array2d(dtype=wp.float32),
    gradient: wp.array(dtype=wp.vec3),
):
    """One thread a point of `gradient`, which it alone writes."""
    n = item(order, wp.tid())
    width = table.shape[1]
    total = wp.vec3(0.0, 0.0, 0.0)
    for level in range(scales.shape[0]):
        p = place_of(points[n], scales[level], shapes[level])
        for axis in range(3):
            d = slopes_of(p.share, axis)
            for f in range(width):
                total[axis] = total[axis] + scales[level] * to_out[n, level * width + f] * read(
                    table, p.rows, d, f
                )
    gradient[n] = total
