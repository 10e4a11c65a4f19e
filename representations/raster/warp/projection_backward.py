"""From the moments of the pixels to the gradients of the Gaussians and cameras; notation of `projection`."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .harmonics import sh_basis, sh_slope, vec16
from .projection import (
    Projection,
    camera_rotation,
    inverse_length,
    item,
    mat34,
    project_one,
    rotation_matrix,
    row,
)

vec10 = wp.types.vector(length=10, dtype=wp.float32)
vec10d = wp.types.vector(length=10, dtype=wp.float64)


@wp.struct
@no_type_check
class Geometry:
    """Gradients of one Gaussian from one camera."""

    mean: wp.vec3
    scale: wp.vec3
    rotation: wp.mat33
    centre: wp.vec2  # of the projected mean, pixels
    view_rotation: wp.mat33
    translation: wp.vec3
    focal: float


@wp.func
@no_type_check
def slope_backward(
    out: Geometry,
    p: Projection,
    mean: wp.vec3,
    w: wp.mat33,
    focal: float,
    to_a0: wp.vec3,
    to_a1: wp.vec3,
    depth: float,
) -> Geometry:
    """Through half = J W: its rows are f (W0 - slope_x W2) and f (W1 - slope_y W2) with f = focal / z."""
    f = focal * p.inverse_z
    to_f = wp.dot(to_a0, row(w, 0) - p.slope[0] * row(w, 2))
    to_f += wp.dot(to_a1, row(w, 1) - p.slope[1] * row(w, 2))
    slope_x, slope_y = -f * wp.dot(to_a0, row(w, 2)), -f * wp.dot(to_a1, row(w, 2))
    ray_x, ray_y = p.local[0] * p.inverse_z, p.local[1] * p.inverse_z
    to_x, to_y = focal * out.centre[0], focal * out.centre[1]
    out.focal = out.centre[0] * ray_x + out.centre[1] * ray_y + to_f * p.inverse_z
    # where a slope is held at the margin, the margin itself moves with the focal length
    if p.free_x:
        to_x += slope_x
    else:
        out.focal -= slope_x * p.slope[0] / focal
    if p.free_y:
        to_y += slope_y
    else:
        out.focal -= slope_y * p.slope[1] / focal
    to_z = depth - (to_x * ray_x + to_y * ray_y + to_f * f) * p.inverse_z
    local = wp.vec3(to_x * p.inverse_z, to_y * p.inverse_z, to_z)
    out.mean = wp.transpose(w) * local
    out.translation = local
    r0 = f * to_a0 + local[0] * mean
    r1 = f * to_a1 + local[1] * mean
    r2 = local[2] * mean - f * (p.slope[0] * to_a0 + p.slope[1] * to_a1)
    out.view_rotation = wp.mat33(r0[0], r0[1], r0[2], r1[0], r1[1], r1[2], r2[0], r2[1], r2[2])
    return out


@wp.func
@no_type_check
def geometry_backward(
    p: Projection, m: vec10, mean: wp.vec3, scale: wp.vec3, rotation: wp.mat33, view: mat34, focal: float
) -> Geometry:
    """Moments to gradients: covariance = root rootᵀ + 0.3 I, root = half R S, half = J W."""
    out = Geometry()
    la = wp.sqrt(0.5 * p.yy / p.det)
    lb = -p.xy / p.yy * la
    lc = wp.sqrt(0.5 / p.yy)
    out.centre = wp.vec2(2.0 * la * m[1], 2.0 * (lb * m[1] + lc * m[2]))
    # 2 d loss / d covariance = 4 L H Lᵀ, and d loss / d root is that times root
    vp, vq = 2.0 * (lb * m[3] + lc * m[4]), 2.0 * (lb * m[4] + lc * m[5])
    cxx, cxy, cyy = 4.0 * la * la * m[3], 2.0 * la * vp, 2.0 * (lb * vp + lc * vq)
    to_u, to_v = cxx * p.u + cxy * p.v, cxy * p.u + cyy * p.v
    turned = wp.transpose(rotation)
    out.scale = wp.cw_mul(to_u, turned * p.a0) + wp.cw_mul(to_v, turned * p.a1)
    to_u, to_v = wp.cw_mul(to_u, scale), wp.cw_mul(to_v, scale)
    out.rotation = wp.outer(p.a0, to_u) + wp.outer(p.a1, to_v)
    return slope_backward(out, p, mean, camera_rotation(view), focal, rotation * to_u, rotation * to_v, m[9])


@wp.func
@no_type_check
def quaternion_backward(q: wp.vec4, inverse: float, r: wp.mat33) -> wp.vec4:
    """d loss / d rotation matrix -> unit quaternion q -> the quaternion as given, of length 1 / inverse."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    skew_x, skew_y, skew_z = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    xy, xz, yz = r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1]
    out = 2.0 * wp.vec4(
        x * skew_x + y * skew_y + z * skew_z,
        w * skew_x + y * xy + z * xz - 2.0 * x * (r[1, 1] + r[2, 2]),
        w * skew_y + x * xy + z * yz - 2.0 * y * (r[0, 0] + r[2, 2]),
        w * skew_z + x * xz + y * yz - 2.0 * z * (r[0, 0] + r[1, 1]),
    )
    return (out - wp.dot(out, q) * q) * inverse


@wp.func
@no_type_check
def colour_backward(
    sh: wp.array2d(dtype=wp.vec3),
    to_sh: wp.array2d(dtype=wp.vec3),
    n: int,
    away: wp.vec3,
    seen: wp.vec3,
    upstream: wp.vec3,
) -> wp.vec3:
    """Adds to row n of `to_sh`; returns the gradient of `away`, the vector from the camera to the Gaussian."""
    to_colour = upstream
    for c in range(3):
        if seen[c] <= 0.0:  # cut at 0: passes nothing on
            to_colour[c] = 0.0
    distance = wp.max(wp.length(away), 1.0e-12)
    direction = away / distance
    basis_count = sh.shape[1]
    basis = sh_basis(direction, basis_count)
    value = vec16()
    for k in range(16):
        if k < basis_count:
            to_sh[n, k] = to_sh[n, k] + basis[k] * to_colour
            value[k] = wp.dot(sh[n, k], to_colour)
    slope = sh_slope(direction, basis_count, value)
    return (slope - wp.dot(slope, direction) * direction) / distance


@wp.func
@no_type_check
def write_camera_row(rows: wp.array3d(dtype=wp.float32), b: int, n: int, g: Geometry, along: wp.vec3):
    """Row (b, n) in the order of CAMERA_SUMS; `along` is the colour's gradient of the mean."""
    for i in range(3):
        for j in range(3):
            rows[b, n, 3 * i + j] = g.view_rotation[i, j]
        rows[b, n, 9 + i] = g.translation[i]
        rows[b, n, 12 + i] = -along[i]
    rows[b, n, 15] = g.focal


@wp.kernel(enable_backward=False)
@no_type_check
def project_backward(
    order: wp.array(dtype=wp.int32),
    means: wp.array(dtype=wp.vec3),
    scales: wp.array(dtype=wp.vec3),
    rotations: wp.array(dtype=wp.vec4),
    opacities: wp.array(dtype=wp.float32),
    sh: wp.array2d(dtype=wp.vec3),
    view: wp.array(dtype=mat34),
    centre: wp.array(dtype=wp.vec3),
    focal: wp.array(dtype=wp.float32),
    near: float,
    width: int,
    height: int,
    colour: wp.array2d(dtype=wp.vec3),
    counts: wp.array2d(dtype=wp.int32),
    moments: wp.array2d(dtype=vec10d),
    to_means: wp.array(dtype=wp.vec3),
    to_scales: wp.array(dtype=wp.vec3),
    to_rotations: wp.array(dtype=wp.vec4),
    to_opacities: wp.array(dtype=wp.float32),
    to_sh: wp.array2d(dtype=wp.vec3),
    to_probe: wp.array2d(dtype=wp.vec2),
    camera_rows: wp.array3d(dtype=wp.float32),
):
    """One thread a Gaussian, over all cameras. It alone writes that Gaussian's element of every output: rows n of
    to_means, to_scales, to_rotations, to_opacities and to_sh (zeros before), and (camera, n) of to_probe and
    camera_rows (zeros before; both may have no elements: then they are not wanted)."""
    n = item(order, wp.tid())
    mean, scale, given = means[n], scales[n], rotations[n]
    inverse = inverse_length(given)
    q = given * inverse
    rotation = rotation_matrix(q)
    size = wp.vec2(float(width), float(height))
    to_mean, to_scale = wp.vec3(0.0, 0.0, 0.0), wp.vec3(0.0, 0.0, 0.0)
    to_rotation = wp.mat33(0.0)
    to_log_opacity = float(0.0)
    for b in range(view.shape[0]):
        if counts[b, n] > 0:
            m = vec10(moments[b, n])
            p = project_one(mean, scale, rotation, view[b], focal[b], near, size)
            g = geometry_backward(p, m, mean, scale, rotation, view[b], focal[b])
            upstream = wp.vec3(m[6], m[7], m[8])
            along = colour_backward(sh, to_sh, n, mean - centre[b], colour[b, n], upstream)
            to_mean += g.mean + along
            to_scale += g.scale
            to_rotation += g.rotation
            to_log_opacity += m[0]
            if to_probe.shape[0] > 0:
                to_probe[b, n] = g.centre
            if camera_rows.shape[0] > 0:
                write_camera_row(camera_rows, b, n, g, along)
    to_means[n] = to_mean
    to_scales[n] = to_scale
    to_rotations[n] = quaternion_backward(q, inverse, to_rotation)
    to_opacities[n] = to_log_opacity / wp.max(opacities[n], 1.0 / 255.0)
