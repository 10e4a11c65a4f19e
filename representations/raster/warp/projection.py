"""Gaussians into image planes and back in Warp. Formulas: gaussians_twin.project; notation of the adjoint below.

For one Gaussian in one camera, d = pixel - mean and Q the inverse image covariance, the exponent is
s = dᵀQd/2 = p² + q² with p = a dx + b dy and q = c dy (Cholesky of Q/2): never negative, unlike dᵀQd rounded.
With h = -d loss/ds per pixel, the sums over pixels of h, h p, h q, h p², h p q, h q² (its moments) hold all that
the geometry needs: L = [a 0; b c], d loss/d mean = 2 L (Hp, Hq), d loss/d covariance = 2 L H Lᵀ.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .harmonics import sh_basis

TILE = wp.constant(16)
BLUR = wp.constant(0.3)
MIN_ALPHA = wp.constant(1.0 / 255.0)
MAX_EXTENT = wp.constant(3.33)
FIELD_MARGIN = wp.constant(1.3)
MOMENTS = 10  # h, h p, h q, h p², h p q, h q², d loss / d red, green, blue, depth
CAMERA_SUMS = 16  # d loss / d: view rotation (9), translation (3), camera centre (3), focal (1)

mat34 = wp.types.matrix(shape=(3, 4), dtype=wp.float32)


@wp.struct
@no_type_check
class Projection:
    """One Gaussian in one camera. Rows of half = J W: a0, a1; of root = half R S: u, v; covariance root rootᵀ + 0.3."""

    local: wp.vec3
    inverse_z: float
    slope: wp.vec2
    free_x: bool
    free_y: bool
    a0: wp.vec3
    a1: wp.vec3
    u: wp.vec3
    v: wp.vec3
    xx: float
    xy: float
    yy: float
    det: float
    mean: wp.vec2


@wp.func
@no_type_check
def item(order: wp.array(dtype=wp.int32), thread: int) -> int:
    """The work item of a thread."""
    if order.shape[0] > 0:
        return order[thread]
    return thread


@wp.func
@no_type_check
def rotation_matrix(q: wp.vec4) -> wp.mat33:
    """Of a unit quaternion w, x, y, z."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    return wp.mat33(
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    )  # fmt: skip


@wp.func
@no_type_check
def inverse_length(q: wp.vec4) -> float:
    """1 / |q|, and 0 for a quaternion of length 0."""
    length = wp.length(q)
    if length > 1e-12:
        return 1.0 / length
    return 0.0


@wp.func
@no_type_check
def camera_rotation(view: mat34) -> wp.mat33:
    """The left 3 x 3 block."""
    return wp.mat33(
        view[0, 0], view[0, 1], view[0, 2],
        view[1, 0], view[1, 1], view[1, 2],
        view[2, 0], view[2, 1], view[2, 2],
    )  # fmt: skip


@wp.func
@no_type_check
def row(m: wp.mat33, i: int) -> wp.vec3:
    """Row i."""
    return wp.vec3(m[i, 0], m[i, 1], m[i, 2])


@wp.func
@no_type_check
def project_one(
    mean: wp.vec3, scale: wp.vec3, rotation: wp.mat33, view: mat34, focal: float, near: float, size: wp.vec2
) -> Projection:
    """`size` is (width, height) in pixels. What lies nearer than `near` gets a harmless depth."""
    out = Projection()
    w = camera_rotation(view)
    out.local = w * mean + wp.vec3(view[0, 3], view[1, 3], view[2, 3])
    out.inverse_z = 1.0
    if out.local[2] > near:
        out.inverse_z = 1.0 / out.local[2]
    ray_x, ray_y = out.local[0] * out.inverse_z, out.local[1] * out.inverse_z
    limit_x, limit_y = FIELD_MARGIN * 0.5 * size[0] / focal, FIELD_MARGIN * 0.5 * size[1] / focal
    out.free_x = wp.abs(ray_x) <= limit_x
    out.free_y = wp.abs(ray_y) <= limit_y
    out.slope = wp.vec2(wp.clamp(ray_x, -limit_x, limit_x), wp.clamp(ray_y, -limit_y, limit_y))
    f = focal * out.inverse_z
    out.a0 = f * (row(w, 0) - out.slope[0] * row(w, 2))
    out.a1 = f * (row(w, 1) - out.slope[1] * row(w, 2))
    out.u = wp.cw_mul(wp.transpose(rotation) * out.a0, scale)
    out.v = wp.cw_mul(wp.transpose(rotation) * out.a1, scale)
    uu, vv = wp.dot(out.u, out.u), wp.dot(out.v, out.v)
    out.xx = uu + BLUR
    out.xy = wp.dot(out.u, out.v)
    out.yy = vv + BLUR
    # det(K Kᵀ + 0.3 I) by Cauchy-Binet: a sum of squares, so no cancellation for needles
    minors = wp.cross(out.u, out.v)
    out.det = wp.dot(minors, minors) + BLUR * (uu + vv) + BLUR * BLUR
    out.mean = wp.vec2(focal * ray_x + 0.5 * size[0], focal * ray_y + 0.5 * size[1])
    return out


@wp.func
@no_type_check
def tiles_along(mean: float, reach: float, extent: float) -> wp.vec2i:
    """[first, last) of the tiles along one axis with pixel centres within `reach` of the mean."""
    low = wp.max(wp.ceil(wp.max(mean - reach - 0.5, -1.0)), 0.0)
    high = wp.floor(wp.min(mean + reach + 0.5, extent))
    if high <= low:
        return wp.vec2i(0, 0)
    return wp.vec2i(int(low) // TILE, (int(high) + TILE - 1) // TILE)


@wp.func
@no_type_check
def tile_box(at: wp.vec2, p: Projection, reach: float, size: wp.vec2) -> wp.vec4i:
    """x0, y0, x1, y1 of the tiles that `reach` standard deviations meet; a little wider, against rounding."""
    x = tiles_along(at[0], 1.001 * reach * wp.sqrt(p.xx) + 1.0e-3, size[0])
    y = tiles_along(at[1], 1.001 * reach * wp.sqrt(p.yy) + 1.0e-3, size[1])
    return wp.vec4i(x[0], y[0], x[1], y[1])


@wp.func
@no_type_check
def seen_colour(sh: wp.array2d(dtype=wp.vec3), n: int, direction: wp.vec3) -> wp.vec3:
    """Of Gaussian n, seen along a unit vector."""
    basis_count = sh.shape[1]
    basis = sh_basis(direction, basis_count)
    seen = wp.vec3(0.5, 0.5, 0.5)
    for k in range(16):
        if k < basis_count:
            seen += basis[k] * sh[n, k]
    return wp.max(seen, wp.vec3(0.0, 0.0, 0.0))


@wp.kernel(enable_backward=False)
@no_type_check
def project(
    order: wp.array(dtype=wp.int32),
    means: wp.array(dtype=wp.vec3),
    scales: wp.array(dtype=wp.vec3),
    rotations: wp.array(dtype=wp.vec4),
    opacities: wp.array(dtype=wp.float32),
    sh: wp.array2d(dtype=wp.vec3),
    view: wp.array(dtype=mat34),
    centre: wp.array(dtype=wp.vec3),
    focal: wp.array(dtype=wp.float32),
    probe: wp.array2d(dtype=wp.vec2),
    near: float,
    width: int,
    height: int,
    place: wp.array2d(dtype=wp.vec4),
    shape: wp.array2d(dtype=wp.vec4),
    colour: wp.array2d(dtype=wp.vec3),
    tiles: wp.array2d(dtype=wp.vec4i),
    counts: wp.array2d(dtype=wp.int32),
    radii: wp.array2d(dtype=wp.int32),
    not_finite: wp.array(dtype=wp.int32),
):
    """One thread a Gaussian and camera. It alone writes element (camera, Gaussian) of every output; the flag
    `not_finite` is only ever set to 1, by an atomic maximum.

    place: mean x, y in pixels, opacity, depth. shape: a, b, c of the module's notation. tiles: x0, y0, x1, y1 of
    a half-open box. counts: tiles of that box. place, shape, colour and tiles stay unset where counts is 0.
    """
    index = item(order, wp.tid())
    count = means.shape[0]
    b, n = index // count, index % count
    mean, scale, q, opacity = means[n], scales[n], rotations[n], opacities[n]
    counts[b, n] = 0
    radii[b, n] = 0
    fine = wp.isfinite(mean) and wp.isfinite(scale) and wp.isfinite(q) and wp.isfinite(opacity)
    for k in range(sh.shape[1]):
        fine = fine and wp.isfinite(sh[n, k])
    shift = wp.vec2(0.0, 0.0)
    if probe.shape[0] > 0:
        shift = probe[b, n]
        fine = fine and wp.isfinite(shift)
    if not fine:
        wp.atomic_max(not_finite, 0, 1)
        return
    size = wp.vec2(float(width), float(height))
    rotation = rotation_matrix(q * inverse_length(q))
    p = project_one(mean, scale, rotation, view[b], focal[b], near, size)
    at = p.mean + shift
    huge = 1.0e30
    drawable = p.local[2] > near and opacity > MIN_ALPHA and p.det < huge
    if not (drawable and wp.abs(at[0]) < huge and wp.abs(at[1]) < huge):
        return
    # alpha reaches 1/255 this many standard deviations out
    reach = wp.sqrt(2.0 * wp.log(opacity / MIN_ALPHA))
    extent = wp.min(reach, MAX_EXTENT)
    rx, ry = wp.ceil(wp.min(extent * wp.sqrt(p.xx), 1.0e9)), wp.ceil(wp.min(extent * wp.sqrt(p.yy), 1.0e9))
    if not (at[0] + rx > 0.0 and at[0] - rx < size[0] and at[1] + ry > 0.0 and at[1] - ry < size[1]):
        return
    radii[b, n] = int(wp.max(rx, ry))
    box = tile_box(at, p, reach, size)
    tiles[b, n] = box
    counts[b, n] = (box[2] - box[0]) * (box[3] - box[1])
    a = wp.sqrt(0.5 * p.yy / p.det)
    place[b, n] = wp.vec4(at[0], at[1], opacity, p.local[2])
    shape[b, n] = wp.vec4(a, -p.xy / p.yy * a, wp.sqrt(0.5 / p.yy), 0.0)
    colour[b, n] = seen_colour(sh, n, wp.normalize(mean - centre[b]))
