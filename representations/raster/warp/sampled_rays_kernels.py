"""Sampled rays in Warp. Formulas: sampled_rays_twin. Samples of ray n are starts[n] ... starts[n + 1] - 1."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .march_kernels import one_minus_exp
from .projection import item


@wp.struct
@no_type_check
class Chord:
    """Where a ray crosses the ball: sample i of `count` lies at near + (i + offset) step."""

    near: wp.float64
    step: wp.float64
    count: int


@wp.func
@no_type_check
def chord_of(o: wp.vec3d, d: wp.vec3d, half: wp.float64, samples: int) -> Chord:
    """As march_kernels.ray_of, in float64 to the end: count 0 for a miss."""
    out = Chord()
    zero = wp.float64(0.0)
    middle = -wp.dot(o, d)
    inside = half * half - wp.dot(o, o) + middle * middle
    if inside > zero:
        half_chord = wp.sqrt(inside)
        near = wp.max(middle - half_chord, zero)
        chord = middle + half_chord - near
        # the small number keeps a diameter, whose quotient may round up, at `samples`
        count = wp.ceil(chord * (wp.float64(samples) / (wp.float64(2.0) * half)) - wp.float64(1.0e-6))
        if count >= wp.float64(1.0):
            out.near = near
            out.step = chord / count
            out.count = int(count)
    return out


@wp.func
@no_type_check
def cell_along(x: wp.float64, half: wp.float64, size: int) -> int:
    """The cell of a coordinate."""
    place = wp.floor((x + half) * (wp.float64(size) / (wp.float64(2.0) * half)))
    return int(wp.clamp(place, wp.float64(0.0), wp.float64(size - 1)))


@wp.func
@no_type_check
def is_occupied(cells: wp.array3d(dtype=wp.uint8), p: wp.vec3d, half: wp.float64) -> bool:
    """Whether the cell of a place holds something."""
    size = cells.shape[0]
    x, y, z = cell_along(p[0], half, size), cell_along(p[1], half, size), cell_along(p[2], half, size)
    return cells[z, y, x] != wp.uint8(0)


@wp.kernel(enable_backward=False)
@no_type_check
def count_samples(
    order: wp.array(dtype=wp.int32),
    cells: wp.array3d(dtype=wp.uint8),
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    offsets: wp.array(dtype=wp.float32),
    half: wp.float64,
    samples: int,
    counts: wp.array(dtype=wp.int64),
):
    """One thread a ray, which alone writes its count."""
    n = item(order, wp.tid())
    o, d = wp.vec3d(origins[n]), wp.vec3d(directions[n])
    chord = chord_of(o, d, half, samples)
    found = int(0)
    for i in range(chord.count):
        t = chord.near + (wp.float64(i) + wp.float64(offsets[n])) * chord.step
        if is_occupied(cells, o + d * t, half):
            found += 1
    counts[n] = wp.int64(found)


@wp.kernel(enable_backward=False)
@no_type_check
def place_samples(
    order: wp.array(dtype=wp.int32),
    cells: wp.array3d(dtype=wp.uint8),
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    offsets: wp.array(dtype=wp.float32),
    half: wp.float64,
    samples: int,
    starts: wp.array(dtype=wp.int64),
    ray: wp.array(dtype=wp.int64),
    distance: wp.array(dtype=wp.float32),
    length: wp.array(dtype=wp.float32),
    points: wp.array(dtype=wp.vec3),
):
    """One thread a ray, which alone writes the rows of its samples: `starts` gives every ray its own."""
    n = item(order, wp.tid())
    o, d = wp.vec3d(origins[n]), wp.vec3d(directions[n])
    chord = chord_of(o, d, half, samples)
    at = starts[n]
    bound = float(half)
    for i in range(chord.count):
        t = chord.near + (wp.float64(i) + wp.float64(offsets[n])) * chord.step
        p = o + d * t
        if is_occupied(cells, p, half):
            ray[at] = wp.int64(n)
            distance[at] = float(t)
            length[at] = float(chord.step)
            points[at] = wp.vec3(
                wp.clamp(float(p[0]), -bound, bound),
                wp.clamp(float(p[1]), -bound, bound),
                wp.clamp(float(p[2]), -bound, bound),
            )
            at += wp.int64(1)


@wp.kernel(enable_backward=False)
@no_type_check
def weigh(
    order: wp.array(dtype=wp.int32),
    density: wp.array(dtype=wp.float32),
    length: wp.array(dtype=wp.float32),
    starts: wp.array(dtype=wp.int64),
    stop: float,
    weight: wp.array(dtype=wp.float32),
):
    """One thread a ray, first sample to last; it alone writes its samples' weights."""
    n = item(order, wp.tid())
    depth = wp.float64(0.0)
    for i in range(int(starts[n]), int(starts[n + 1])):
        thickness = density[i] * length[i]
        before = float(wp.exp(-depth))
        weight[i] = 0.0
        if before >= stop:
            weight[i] = before * one_minus_exp(thickness)
        depth += wp.float64(thickness)


@wp.kernel(enable_backward=False)
@no_type_check
def weigh_backward(
    order: wp.array(dtype=wp.int32),
    density: wp.array(dtype=wp.float32),
    length: wp.array(dtype=wp.float32),
    starts: wp.array(dtype=wp.int64),
    stop: float,
    weight: wp.array(dtype=wp.float32),
    to_weight: wp.array(dtype=wp.float32),
    gradient: wp.array(dtype=wp.float32),
):
    """One thread a ray; it alone writes its samples' gradients, twice: first what is left behind each sample, then,
    last sample to first, length_i (T_{i+1} g_i - sum_{j>i} w_j g_j), so that nothing cancels."""
    n = item(order, wp.tid())
    first, end = int(starts[n]), int(starts[n + 1])
    depth = wp.float64(0.0)
    for i in range(first, end):
        before = float(wp.exp(-depth))
        depth += wp.float64(density[i] * length[i])
        gradient[i] = 0.0
        if before >= stop:
            gradient[i] = before - weight[i]
    behind = wp.float64(0.0)
    i = end - 1
    while i >= first:
        here = wp.float64(gradient[i]) * wp.float64(to_weight[i])
        gradient[i] = float(wp.float64(length[i]) * (here - behind))
        behind += wp.float64(weight[i]) * wp.float64(to_weight[i])
        i -= 1


@wp.kernel(enable_backward=False)
@no_type_check
def add_up(
    order: wp.array(dtype=wp.int32),
    weight: wp.array(dtype=wp.float32),
    values: wp.array2d(dtype=wp.float32),
    starts: wp.array(dtype=wp.int64),
    sums: wp.array2d(dtype=wp.float32),
):
    """One thread a ray, which alone writes its row of `sums`."""
    n = item(order, wp.tid())
    for c in range(values.shape[1]):
        total = float(0.0)
        for i in range(int(starts[n]), int(starts[n + 1])):
            total += weight[i] * values[i, c]
        sums[n, c] = total


@wp.kernel(enable_backward=False)
@no_type_check
def add_up_backward(
    order: wp.array(dtype=wp.int32),
    weight: wp.array(dtype=wp.float32),
    values: wp.array2d(dtype=wp.float32),
    starts: wp.array(dtype=wp.int64),
    to_sums: wp.array2d(dtype=wp.float32),
    to_weight: wp.array(dtype=wp.float32),
    to_values: wp.array2d(dtype=wp.float32),
):
    """One thread a ray, which alone writes the rows of its samples."""
    n = item(order, wp.tid())
    for i in range(int(starts[n]), int(starts[n + 1])):
        total = float(0.0)
        for c in range(values.shape[1]):
            total += to_sums[n, c] * values[i, c]
            to_values[i, c] = weight[i] * to_sums[n, c]
        to_weight[i] = total
