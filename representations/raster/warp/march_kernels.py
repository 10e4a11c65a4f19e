"""The grid kernels in Warp. Formulas: march_twin. Volumes are (R, R, R) of density, red, green, blue; axes z, y, x."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item


@wp.struct
@no_type_check
class Ray:
    """Grid coordinates are start + slope t; sample i of `count` lies at t = near + (i + offset) step."""

    start: wp.vec3
    slope: wp.vec3
    near: float
    step: float
    offset: float
    count: int


@wp.struct
@no_type_check
class Cell:
    """The lower corner of a cell and the share of its upper corners along x, y, z."""

    x: int
    y: int
    z: int
    share: wp.vec3


@wp.func
@no_type_check
def log_one_plus(e: float) -> float:
    """log(1 + e), e >= 0, to full relative accuracy (the quotient undoes the rounding of 1 + e)."""
    whole = 1.0 + e
    if whole == 1.0:
        return e
    return wp.log(whole) * e / (whole - 1.0)


@wp.func
@no_type_check
def one_minus_exp(x: float) -> float:
    """1 - exp(-x), x >= 0, to full relative accuracy."""
    left = wp.exp(-x)
    if left < 0.5:
        return 1.0 - left
    if left == 1.0:
        return x
    return (left - 1.0) * x / wp.log(left)


@wp.kernel(enable_backward=False)
@no_type_check
def resample(
    order: wp.array(dtype=wp.int32), source: wp.array3d(dtype=wp.float32), out: wp.array3d(dtype=wp.float32)
):
    """One thread an element of `out` (outer, R, inner), which it alone writes: `source` (outer, L, inner) along its
    middle axis, corners on corners."""
    index = item(order, wp.tid())
    inner = index % out.shape[2]
    i = (index // out.shape[2]) % out.shape[1]
    outer = index // (out.shape[2] * out.shape[1])
    steps, cells = out.shape[1] - 1, source.shape[1] - 1
    first = wp.min(i * cells // steps, cells - 1)
    share = float(i * cells - first * steps) / float(steps)
    low = source[outer, first, inner]
    out[outer, i, inner] = low + share * (source[outer, first + 1, inner] - low)


@wp.kernel(enable_backward=False)
@no_type_check
def resample_backward(
    order: wp.array(dtype=wp.int32), upstream: wp.array3d(dtype=wp.float32), out: wp.array3d(dtype=wp.float32)
):
    """One thread an element of `out` (outer, L, inner), which it alone writes: the sum over the elements of
    `upstream` (outer, R, inner) that lie within one cell of it, times their shares."""
    index = item(order, wp.tid())
    inner = index % out.shape[2]
    k = (index // out.shape[2]) % out.shape[1]
    outer = index // (out.shape[2] * out.shape[1])
    steps, cells = upstream.shape[1] - 1, out.shape[1] - 1
    first = int(0)
    if k > 0:  # no division of negative numbers, which Warp's versions round differently
        first = (k - 1) * steps // cells + 1
    last = wp.min(((k + 1) * steps - 1) // cells, steps)
    total = float(0.0)
    for i in range(first, last + 1):
        away = wp.abs(i * cells - k * steps)
        total += (1.0 - float(away) / float(steps)) * upstream[outer, i, inner]
    out[outer, k, inner] = total


@wp.kernel(enable_backward=False)
@no_type_check
def activate(
    order: wp.array(dtype=wp.int32),
    raw: wp.array(dtype=wp.vec4),
    bias: wp.array(dtype=wp.float32),
    density_gain: float,
    color_gain: float,
    volume: wp.array(dtype=wp.vec4),
):
    """One thread a voxel of `volume`, which it alone writes."""
    at = item(order, wp.tid())
    u = raw[at][0] + bias[at]
    out = wp.vec4(density_gain * (wp.max(u, 0.0) + log_one_plus(wp.exp(-wp.abs(u)))), 0.0, 0.0, 0.0)
    for c in range(1, 4):
        out[c] = 1.0 / (1.0 + wp.exp(-color_gain * raw[at][c]))
    volume[at] = out


@wp.kernel(enable_backward=False)
@no_type_check
def activate_backward(
    order: wp.array(dtype=wp.int32),
    volume: wp.array(dtype=wp.vec4),
    upstream: wp.array(dtype=wp.vec4),
    density_gain: float,
    color_gain: float,
    out: wp.array(dtype=wp.vec4),
):
    """One thread a voxel of `out`, which it alone writes. Both derivatives follow from the values: sigmoid(u) is
    1 - exp(-softplus(u))."""
    at = item(order, wp.tid())
    a, g = volume[at], upstream[at]
    to_raw = wp.vec4(g[0] * density_gain * one_minus_exp(a[0] / density_gain), 0.0, 0.0, 0.0)
    for c in range(1, 4):
        to_raw[c] = g[c] * color_gain * a[c] * (1.0 - a[c])
    out[at] = to_raw


@wp.func
@no_type_check
def ray_of(o: wp.vec3, d: wp.vec3, offset: float, half: wp.float64, samples: int, resolution: int) -> Ray:
    """In float64, so that every implementation counts the same number of samples; count 0 for a miss."""
    ray = Ray()
    ray.offset = offset
    scale = float(wp.float64(resolution - 1) / (wp.float64(2.0) * half))
    radius = float(half)
    ray.start = wp.vec3((o[0] + radius) * scale, (o[1] + radius) * scale, (o[2] + radius) * scale)
    ray.slope = d * scale
    od, dd = wp.vec3d(o), wp.vec3d(d)
    zero = wp.float64(0.0)
    middle = -wp.dot(od, dd)
    inside = half * half - wp.dot(od, od) + middle * middle
    if inside > zero:
        half_chord = wp.sqrt(inside)
        near = wp.max(middle - half_chord, zero)
        chord = middle + half_chord - near
        # the small number keeps a diameter, whose quotient may round up, at `samples`
        count = wp.ceil(chord * (wp.float64(samples) / (wp.float64(2.0) * half)) - wp.float64(1.0e-6))
        if count >= wp.float64(1.0):
            ray.near = float(near)
            ray.step = float(chord / count)
            ray.count = int(count)
    return ray


@wp.func
@no_type_check
def cell_at(ray: Ray, t: float, resolution: int) -> Cell:
    """The cell that holds the point at distance t."""
    p = ray.start + ray.slope * t
    last = float(resolution - 1)
    x, y, z = wp.clamp(p[0], 0.0, last), wp.clamp(p[1], 0.0, last), wp.clamp(p[2], 0.0, last)
    out = Cell()
    out.x = wp.min(int(x), resolution - 2)
    out.y = wp.min(int(y), resolution - 2)
    out.z = wp.min(int(z), resolution - 2)
    out.share = wp.vec3(x - float(out.x), y - float(out.y), z - float(out.z))
    return out


@wp.func
@no_type_check
def value_in(volume: wp.array3d(dtype=wp.vec4), c: Cell) -> wp.vec4:
    """Trilinear."""
    u, v, w = c.share[0], c.share[1], c.share[2]
    a = wp.lerp(volume[c.z, c.y, c.x], volume[c.z, c.y, c.x + 1], u)
    b = wp.lerp(volume[c.z, c.y + 1, c.x], volume[c.z, c.y + 1, c.x + 1], u)
    d = wp.lerp(volume[c.z + 1, c.y, c.x], volume[c.z + 1, c.y, c.x + 1], u)
    e = wp.lerp(volume[c.z + 1, c.y + 1, c.x], volume[c.z + 1, c.y + 1, c.x + 1], u)
    return wp.lerp(wp.lerp(a, b, v), wp.lerp(d, e, v), w)


@wp.kernel(enable_backward=False)
@no_type_check
def march(
    order: wp.array(dtype=wp.int32),
    volume: wp.array3d(dtype=wp.vec4),
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    offsets: wp.array(dtype=wp.float32),
    half: wp.float64,
    samples: int,
    stop: float,
    out: wp.array2d(dtype=wp.float32),
    used: wp.array(dtype=wp.int32),
    depths: wp.array(dtype=wp.float64),
):
    """One thread a ray, first sample to last. It alone writes its row of every output: `used` samples before the
    ray ended, and the optical depth in front of that place."""
    n = item(order, wp.tid())
    size = volume.shape[0]
    ray = ray_of(origins[n], directions[n], offsets[n], half, samples, size)
    seen, alpha, moment = wp.vec3(0.0, 0.0, 0.0), float(0.0), float(0.0)
    depth = wp.float64(0.0)
    i = int(0)
    while i < ray.count:
        before = wp.exp(-float(depth))
        if before < stop:
            break
        t = ray.near + (float(i) + ray.offset) * ray.step
        value = value_in(volume, cell_at(ray, t, size))
        weight = before * one_minus_exp(value[0] * ray.step)
        seen += weight * wp.vec3(value[1], value[2], value[3])
        alpha += weight
        moment += weight * t
        depth += wp.float64(value[0] * ray.step)
        i += 1
    for c in range(3):
        out[n, c] = seen[c]
    out[n, 3] = alpha
    out[n, 4] = moment
    used[n] = i
    depths[n] = depth


@wp.func
@no_type_check
def add_corner(gradient: wp.array4d(dtype=wp.float64), z: int, y: int, x: int, value: wp.vec4):
    """To the four channels of one voxel, atomically."""
    for c in range(4):
        wp.atomic_add(gradient, z, y, x, c, wp.float64(value[c]))


@wp.func
@no_type_check
def spread(gradient: wp.array4d(dtype=wp.float64), c: Cell, value: wp.vec4):
    """To the eight corners of a cell by their shares."""
    u, v, w = c.share[0], c.share[1], c.share[2]
    for dz in range(2):
        for dy in range(2):
            share = wp.where(dz == 1, w, 1.0 - w) * wp.where(dy == 1, v, 1.0 - v)
            add_corner(gradient, c.z + dz, c.y + dy, c.x, share * (1.0 - u) * value)
            add_corner(gradient, c.z + dz, c.y + dy, c.x + 1, share * u * value)


@wp.kernel(enable_backward=False)
@no_type_check
def march_backward(
    order: wp.array(dtype=wp.int32),
    volume: wp.array3d(dtype=wp.vec4),
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    offsets: wp.array(dtype=wp.float32),
    half: wp.float64,
    samples: int,
    used: wp.array(dtype=wp.int32),
    depths: wp.array(dtype=wp.float64),
    upstream: wp.array2d(dtype=wp.float32),
    gradient: wp.array4d(dtype=wp.float64),
):
    """One thread a ray, last sample to first. Its only writes are atomic adds to `gradient`: in float64, so that the
    order in which threads add does not show in float32.

    With here_i = d loss / d w_i: d loss / d density_i = step (T_{i+1} here_i - sum_{j>i} w_j here_j). The sum grows
    from the last sample to the first, so that nothing cancels; the optical depth is taken back in float64.
    """
    n = item(order, wp.tid())
    size = volume.shape[0]
    ray = ray_of(origins[n], directions[n], offsets[n], half, samples, size)
    g = wp.vec3(upstream[n, 0], upstream[n, 1], upstream[n, 2])
    to_alpha, to_moment = upstream[n, 3], upstream[n, 4]
    depth = wp.float64(depths[n])
    behind = float(0.0)
    i = int(used[n])
    while i > 0:
        i -= 1
        t = ray.near + (float(i) + ray.offset) * ray.step
        cell = cell_at(ray, t, size)
        value = value_in(volume, cell)
        thickness = value[0] * ray.step
        after = wp.exp(-float(depth))
        depth -= wp.float64(thickness)
        weight = wp.exp(-float(depth)) * one_minus_exp(thickness)
        here = value[1] * g[0] + value[2] * g[1] + value[3] * g[2] + to_alpha + to_moment * t
        density = ray.step * (after * here - behind)
        behind += weight * here
        spread(gradient, cell, wp.vec4(density, weight * g[0], weight * g[1], weight * g[2]))


@wp.func
@no_type_check
def neighbour(volume: wp.array3d(dtype=wp.vec4), z: int, y: int, x: int, here: wp.vec4) -> wp.vec4:
    """The voxel there, or `here` outside the grid: no difference."""
    size = volume.shape[0]
    if z < 0 or y < 0 or x < 0 or z >= size or y >= size or x >= size:
        return here
    return volume[z, y, x]


@wp.kernel(enable_backward=False)
@no_type_check
def variation(
    order: wp.array(dtype=wp.int32),
    volume: wp.array3d(dtype=wp.vec4),
    weights: wp.array(dtype=wp.vec4),
    values: wp.array(dtype=wp.float32),
    gradient: wp.array(dtype=wp.vec4),
):
    """One thread a voxel. It alone writes that voxel of `values`, its differences towards +x, +y and +z, and of
    `gradient`, which gathers those of both sides."""
    at = item(order, wp.tid())
    size = volume.shape[0]
    x, y, z = at % size, (at // size) % size, at // (size * size)
    v = volume[z, y, x]
    right, below, far = (
        neighbour(volume, z, y, x + 1, v) - v,
        neighbour(volume, z, y + 1, x, v) - v,
        neighbour(volume, z + 1, y, x, v) - v,
    )
    squares = wp.cw_mul(right, right) + wp.cw_mul(below, below) + wp.cw_mul(far, far)
    values[at] = wp.dot(weights[0], squares)
    others = (
        neighbour(volume, z, y, x - 1, v)
        + neighbour(volume, z, y - 1, x, v)
        + neighbour(volume, z - 1, y, x, v)
    )
    gradient[at] = 2.0 * wp.cw_mul(weights[0], 3.0 * v - others - right - below - far)
