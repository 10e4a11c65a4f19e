"""Flat Gaussians over the pixels of a tile and back in Warp. Formulas: surfels_twin; tiles and lists: compositing."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .compositing import MAX_ALPHA, MIN_TRANSMITTANCE, add, pixel_of
from .projection import MIN_ALPHA, item

EDGE_ON = wp.constant(1.0e-9)
SUMS = 18  # d loss / d: T by rows (9), centre (2), opacity (1), values (6)

vec6 = wp.types.vector(length=6, dtype=wp.float32)


@wp.struct
@no_type_check
class Meeting:
    """One surfel at one pixel: k = x T_z - T_x, l = y T_z - T_y, the third component of k × l, depth, exp(…), alpha.

    met: whether the ray's meeting point counts and not the pixel's distance from the centre. limited: alpha is
    MAX_ALPHA. alpha is 0 where the surfel does not count.
    """

    k: wp.vec3
    l: wp.vec3
    third: float
    u: float
    v: float
    z: float
    weight: float
    alpha: float
    met: bool
    limited: bool


@wp.func
@no_type_check
def meet(transform: wp.mat33, place: wp.vec4, x: float, y: float, near: float) -> Meeting:
    """place: centre in pixels, opacity, depth of the centre."""
    out = Meeting()
    away = wp.vec3(transform[2, 0], transform[2, 1], transform[2, 2])
    out.k = x * away - wp.vec3(transform[0, 0], transform[0, 1], transform[0, 2])
    out.l = y * away - wp.vec3(transform[1, 0], transform[1, 1], transform[1, 2])
    point = wp.cross(out.k, out.l)
    dx, dy = x - place[0], y - place[1]
    square = 2.0 * (dx * dx + dy * dy)
    out.z = away[2]
    out.third = point[2]
    out.met = False
    if wp.abs(point[2]) > EDGE_ON:
        out.u = point[0] / point[2]
        out.v = point[1] / point[2]
        inside = out.u * out.u + out.v * out.v
        if inside <= square:
            out.met = True
            square = inside
            out.z = away[0] * out.u + away[1] * out.v + away[2]
    out.weight = wp.exp(-0.5 * square)
    full = place[2] * out.weight
    out.limited = full > MAX_ALPHA
    out.alpha = wp.min(full, MAX_ALPHA)
    if out.alpha < MIN_ALPHA or out.z <= near:
        out.alpha = 0.0
    return out


@wp.kernel(enable_backward=False)
@no_type_check
def composite_surfels(
    order: wp.array(dtype=wp.int32),
    transform: wp.array2d(dtype=wp.mat33),
    place: wp.array2d(dtype=wp.vec4),
    values: wp.array2d(dtype=vec6),
    starts: wp.array(dtype=wp.int32),
    surfels: wp.array(dtype=wp.int32),
    near: float,
    width: int,
    height: int,
    out: wp.array4d(dtype=wp.float32),
    stops: wp.array3d(dtype=wp.int32),
):
    """One thread a pixel, front to back. It alone writes that pixel of every output.

    out: (camera, channel, row, column), channels as the twin's. stops: place in the list where the pixel closed, or
    its tile's end.
    """
    at = pixel_of(item(order, wp.tid()), width, height)
    if at.y < 0:
        return
    x, y = float(at.x) + 0.5, float(at.y) + 0.5
    left, first, second, gaps = float(1.0), float(0.0), float(0.0), float(0.0)
    shown = vec6()
    i, end = int(starts[at.tile]), starts[at.tile + 1]
    while i < end:
        n = surfels[i]
        seen = meet(transform[at.b, n], place[at.b, n], x, y, near)
        if seen.alpha > 0.0:
            behind = left * (1.0 - seen.alpha)
            # one that would close the pixel is left out, with all behind it
            if behind <= MIN_TRANSMITTANCE:
                break
            weight, z = left * seen.alpha, seen.z
            gaps += weight * (z * z * (1.0 - left) + second - 2.0 * z * first)
            shown += weight * values[at.b, n]
            first += weight * z
            second += weight * z * z
            left = behind
        i += 1
    for c in range(6):
        out[at.b, c, at.y, at.x] = shown[c]
    out[at.b, 6, at.y, at.x] = first
    out[at.b, 7, at.y, at.x] = second
    out[at.b, 8, at.y, at.x] = gaps
    out[at.b, 9, at.y, at.x] = left
    stops[at.b, at.y, at.x] = i


@wp.func
@no_type_check
def add_meeting(
    sums: wp.array3d(dtype=wp.float64),
    b: int,
    n: int,
    seen: Meeting,
    away: wp.vec3,
    x: float,
    y: float,
    to_square: float,
    to_z: float,
):
    """d loss / d T of one pixel, through the point k × l that its ray meets; atomic adds alone.

    to_square: d loss / d (u² + v²). to_z: d loss / d depth.
    """
    to_u = 2.0 * seen.u * to_square + to_z * away[0]
    to_v = 2.0 * seen.v * to_square + to_z * away[1]
    to_point = wp.vec3(to_u, to_v, -(to_u * seen.u + to_v * seen.v)) / seen.third
    to_k, to_l = wp.cross(seen.l, to_point), wp.cross(to_point, seen.k)
    to_away = x * to_k + y * to_l + to_z * wp.vec3(seen.u, seen.v, 1.0)
    for c in range(3):
        add(sums, b, n, c, -to_k[c])
        add(sums, b, n, 3 + c, -to_l[c])
        add(sums, b, n, 6 + c, to_away[c])


@wp.kernel(enable_backward=False)
@no_type_check
def composite_surfels_backward(
    order: wp.array(dtype=wp.int32),
    transform: wp.array2d(dtype=wp.mat33),
    place: wp.array2d(dtype=wp.vec4),
    values: wp.array2d(dtype=vec6),
    starts: wp.array(dtype=wp.int32),
    surfels: wp.array(dtype=wp.int32),
    near: float,
    width: int,
    height: int,
    out: wp.array4d(dtype=wp.float32),
    stops: wp.array3d(dtype=wp.int32),
    to_out: wp.array4d(dtype=wp.float32),
    sums: wp.array3d(dtype=wp.float64),
):
    """One thread a pixel, back to front. Its only writes are atomic adds to `sums`, (camera, surfel, SUMS): in float64,
    so that the order in which threads add does not show in float32.

    With said = d loss / d weight of the present surfel for fixed other weights, and `behind` the weighted said of those
    behind it for transmittance 1: d loss / d alpha = transmittance before it (said - behind), behind += alpha (said -
    behind). The transmittance left is 1 - Σ weights, so its gradient is taken from every said.
    """
    at = pixel_of(item(order, wp.tid()), width, height)
    if at.y < 0:
        return
    x, y = float(at.x) + 0.5, float(at.y) + 0.5
    first, second = out[at.b, 6, at.y, at.x], out[at.b, 7, at.y, at.x]
    left = float(out[at.b, 9, at.y, at.x])
    whole, behind = 1.0 - left, float(0.0)
    per_value = vec6()
    for c in range(6):
        per_value[c] = to_out[at.b, c, at.y, at.x]
    per_z, per_gap = to_out[at.b, 6, at.y, at.x], to_out[at.b, 8, at.y, at.x]
    per_left = to_out[at.b, 9, at.y, at.x]
    i, start = int(stops[at.b, at.y, at.x]), starts[at.tile]
    while i > start:
        i -= 1
        n = surfels[i]
        seen = meet(transform[at.b, n], place[at.b, n], x, y, near)
        if seen.alpha > 0.0:
            left = left / (1.0 - seen.alpha)
            weight, z = left * seen.alpha, seen.z
            said = per_z * z + per_gap * (z * z * whole + second - 2.0 * z * first) - per_left
            said += wp.dot(per_value, values[at.b, n])
            difference = said - behind
            behind += seen.alpha * difference
            for c in range(6):
                add(sums, at.b, n, 12 + c, weight * per_value[c])
            to_square = float(0.0)
            if not seen.limited:  # a limited alpha passes no gradient on
                add(sums, at.b, n, 11, left * difference * seen.weight)
                to_square = -0.5 * weight * difference
            to_z = weight * (per_z + 2.0 * per_gap * (z * whole - first))
            if seen.met:
                m = transform[at.b, n]
                add_meeting(sums, at.b, n, seen, wp.vec3(m[2, 0], m[2, 1], m[2, 2]), x, y, to_square, to_z)
            else:  # thinner than a pixel: it is the distance from the centre that counts
                add(sums, at.b, n, 8, to_z)
                add(sums, at.b, n, 9, -4.0 * to_square * (x - place[at.b, n][0]))
                add(sums, at.b, n, 10, -4.0 * to_square * (y - place[at.b, n][1]))
