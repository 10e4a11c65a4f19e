"""Texture sampling in Warp. Formulas: triangles_texture_twin. All levels of a pyramid lie behind each other in one
array of texels; `sizes` holds height, width and first texel of each."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item

wp.set_module_options({"fuse_fp": False})


@wp.struct
@no_type_check
class Axis:
    """One axis of a bilinear sample: the two texels around, the weight of the second, d position / d coordinate."""

    low: int
    high: int
    share: wp.float64
    slope: wp.float64


@wp.struct
@no_type_check
class Mixture:
    """Which two levels a pixel mixes: the finer one, how far it is towards the next, and whether that may move."""

    finer: int
    share: wp.float64
    free: bool


@wp.func
@no_type_check
def axis_of(coordinate: float, size: int, wrap: int) -> Axis:
    """Where a coordinate falls among `size` texels."""
    zero, one = wp.float64(0.0), wp.float64(1.0)
    given = wp.float64(coordinate)
    a = Axis()
    a.slope = wp.float64(size)
    unit = given - wp.floor(given)
    if wrap == 0:
        unit = wp.clamp(given, zero, one)
        if given < zero or given > one:
            a.slope = zero
    position = unit * wp.float64(size) - wp.float64(0.5)
    low = wp.floor(position)
    a.share = position - low
    a.low = int(low)
    a.high = int(low) + 1
    if a.low < 0:
        a.low = 0
        if wrap != 0:
            a.low = size - 1
    if a.high >= size:
        a.high = size - 1
        if wrap != 0:
            a.high = 0
    return a


@wp.func
@no_type_check
def mixture_of(level: wp.array(dtype=wp.float32), n: int, last: int) -> Mixture:
    """Of pixel n; `level` has no elements where every pixel takes the finest level."""
    m = Mixture()
    if level.shape[0] > 0 and last > 0:
        given = wp.float64(level[n])
        end = wp.float64(last)
        wanted = wp.clamp(given, wp.float64(0.0), end)
        m.free = given >= wp.float64(0.0) and given <= end
        m.finer = wp.min(int(wanted), last - 1)
        m.share = wanted - wp.float64(m.finer)
    return m


@wp.func
@no_type_check
def texel_rows(sizes: wp.vec3i, x: Axis, y: Axis) -> wp.vec4i:
    """The four texels of a sample, upper ones first."""
    upper, lower = sizes[2] + y.low * sizes[1], sizes[2] + y.high * sizes[1]
    return wp.vec4i(upper + x.low, upper + x.high, lower + x.low, lower + x.high)


@wp.func
@no_type_check
def corner_weights(x: Axis, y: Axis) -> wp.vec4d:
    """Of the four texels."""
    one = wp.float64(1.0)
    left, top = one - x.share, one - y.share
    return wp.vec4d(left * top, x.share * top, left * y.share, x.share * y.share)


@wp.func
@no_type_check
def level_share(m: Mixture, k: int) -> wp.float64:
    """How much of the finer (0) or the coarser level (1) a pixel takes."""
    if k == 1:
        return m.share
    return wp.float64(1.0) - m.share


@wp.kernel(enable_backward=False)
@no_type_check
def sample(
    order: wp.array(dtype=wp.int32),
    texels: wp.array2d(dtype=wp.float32),
    sizes: wp.array(dtype=wp.vec3i),
    uv: wp.array(dtype=wp.vec2),
    level: wp.array(dtype=wp.float32),
    wrap: int,
    out: wp.array2d(dtype=wp.float32),
):
    """One thread a pixel of `out`, which it alone writes."""
    n = item(order, wp.tid())
    m = mixture_of(level, n, sizes.shape[0] - 1)
    for c in range(out.shape[1]):
        out[n, c] = 0.0
    for k in range(2):
        part = level_share(m, k)
        if part != wp.float64(0.0):
            size = sizes[m.finer + k]
            x, y = axis_of(uv[n][0], size[1], wrap), axis_of(uv[n][1], size[0], wrap)
            rows, weights = texel_rows(size, x, y), corner_weights(x, y)
            for c in range(out.shape[1]):
                value = float(0.0)
                for i in range(4):
                    value += float(part * weights[i]) * texels[rows[i], c]
                out[n, c] = out[n, c] + value


@wp.kernel(enable_backward=False)
@no_type_check
def sample_backward(
    order: wp.array(dtype=wp.int32),
    texels: wp.array2d(dtype=wp.float32),
    sizes: wp.array(dtype=wp.vec3i),
    uv: wp.array(dtype=wp.vec2),
    level: wp.array(dtype=wp.float32),
    wrap: int,
    upstream: wp.array2d(dtype=wp.float32),
    to_texels: wp.array2d(dtype=wp.float64),
    to_uv: wp.array(dtype=wp.vec2),
    to_level: wp.array(dtype=wp.float32),
):
    """One thread a pixel. It alone writes that pixel of `to_uv` and `to_level`; its other writes are atomic adds to
    `to_texels`, in float64, so that the order in which threads add does not show in float32. `to_texels` and
    `to_level` may have no elements: then they are not wanted."""
    n = item(order, wp.tid())
    m = mixture_of(level, n, sizes.shape[0] - 1)
    to_u, to_v, apart = wp.float64(0.0), wp.float64(0.0), wp.float64(0.0)
    one = wp.float64(1.0)
    for k in range(2):
        part = level_share(m, k)
        if part != wp.float64(0.0) or m.free:
            size = sizes[m.finer + k]
            x, y = axis_of(uv[n][0], size[1], wrap), axis_of(uv[n][1], size[0], wrap)
            rows, weights = texel_rows(size, x, y), corner_weights(x, y)
            dots = wp.vec4d()
            for c in range(upstream.shape[1]):
                g = upstream[n, c]
                for i in range(4):
                    dots[i] = dots[i] + wp.float64(texels[rows[i], c]) * wp.float64(g)
                    if to_texels.shape[0] > 0 and part != wp.float64(0.0):
                        wp.atomic_add(to_texels, rows[i], c, wp.float64(float(part * weights[i]) * g))
            left, top = one - x.share, one - y.share
            to_u += part * x.slope * ((dots[1] - dots[0]) * top + (dots[3] - dots[2]) * y.share)
            to_v += part * y.slope * ((dots[2] - dots[0]) * left + (dots[3] - dots[1]) * x.share)
            value = wp.dot(weights, dots)
            if k == 1:
                apart += value
            else:
                apart -= value
    to_uv[n] = wp.vec2(float(to_u), float(to_v))
    if to_level.shape[0] > 0:
        to_level[n] = 0.0
        if m.free:
            to_level[n] = float(apart)
