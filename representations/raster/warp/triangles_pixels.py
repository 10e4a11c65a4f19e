"""What follows the z-buffer pixel by pixel, in Warp: interpolation and mip levels. Formulas: triangles_twin,
triangles_texture_twin."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item
from .triangles_scan import edges_at, ray_at, triangle_of

wp.set_module_options({"fuse_fp": False})


@wp.kernel(enable_backward=False)
@no_type_check
def interpolate(
    order: wp.array(dtype=wp.int32),
    attributes: wp.array2d(dtype=wp.float32),
    rows: wp.array(dtype=wp.vec3i),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec3),
    out: wp.array2d(dtype=wp.float32),
):
    """One thread a pixel and channel of `out`, which it alone writes."""
    index = item(order, wp.tid())
    channels = out.shape[1]
    n, c = index // channels, index % channels
    value = float(0.0)
    if face[n] >= 0:
        row, weight = rows[face[n]], barycentric[n]
        for i in range(3):
            value += weight[i] * attributes[row[i], c]
    out[n, c] = value


@wp.kernel(enable_backward=False)
@no_type_check
def interpolate_backward(
    order: wp.array(dtype=wp.int32),
    attributes: wp.array2d(dtype=wp.float32),
    rows: wp.array(dtype=wp.vec3i),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec3),
    upstream: wp.array2d(dtype=wp.float32),
    to_attributes: wp.array2d(dtype=wp.float64),
    to_barycentric: wp.array(dtype=wp.vec3),
):
    """One thread a pixel. It alone writes that pixel of `to_barycentric`; its other writes are atomic adds to
    `to_attributes`, in float64, so that the order in which threads add does not show in float32. Either output may
    have no elements: then it is not wanted."""
    n = item(order, wp.tid())
    to_weight = wp.vec3(0.0, 0.0, 0.0)
    if face[n] >= 0:
        row, weight = rows[face[n]], barycentric[n]
        for i in range(3):
            dot = float(0.0)
            for c in range(upstream.shape[1]):
                g = upstream[n, c]
                dot += g * attributes[row[i], c]
                if to_attributes.shape[0] > 0:
                    wp.atomic_add(to_attributes, row[i], c, wp.float64(weight[i] * g))
            to_weight[i] = dot
    if to_barycentric.shape[0] > 0:
        to_barycentric[n] = to_weight


@wp.kernel(enable_backward=False)
@no_type_check
def mip_level(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    face: wp.array3d(dtype=wp.int32),
    uv: wp.array2d(dtype=wp.vec2),
    columns: wp.float64,
    rows: wp.float64,
    level: wp.array3d(dtype=wp.float32),
):
    """One thread a pixel of `level`, which it alone writes: half the binary logarithm of the larger eigenvalue of
    Jᵀ J, with J = d texel / d pixel, of a texture of that many columns and rows of texels."""
    index = item(order, wp.tid())
    height, width = face.shape[1], face.shape[2]
    b, y, x = index // (height * width), (index // width) % height, index % width
    level[b, y, x] = 0.0
    seen = face[b, y, x]
    if seen < 0:
        return
    t = triangle_of(positions, b, faces[seen])
    e = edges_at(t, ray_at(x, y, focal[b], width, height))
    inverse = wp.float64(1.0) / (e[0] + e[1] + e[2])
    total = t.n0 + t.n1 + t.n2
    along_x, along_y = wp.vec2d(), wp.vec2d()
    for i in range(3):
        n = t.n0
        if i == 1:
            n = t.n1
        if i == 2:
            n = t.n2
        share = e[i] * inverse
        at = wp.cw_mul(wp.vec2d(uv[seen, i]), wp.vec2d(columns, rows))
        along_x += ((n[0] - share * total[0]) * inverse) * at
        along_y += ((n[1] - share * total[1]) * inverse) * at
    xx, yy, xy = wp.dot(along_x, along_x), wp.dot(along_y, along_y), wp.dot(along_x, along_y)
    half = wp.float64(0.5)
    apart = half * (xx - yy)
    largest = half * (xx + yy) + wp.sqrt(apart * apart + xy * xy)
    level[b, y, x] = float(half * wp.log2(wp.max(largest, wp.float64(1.0))))
