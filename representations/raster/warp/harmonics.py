"""Real spherical harmonics of degree 0 to 3 in Warp, in the order and signs of 3DGS files; see gaussians_twin."""

from __future__ import annotations

import math
from typing import no_type_check

import warp as wp

vec16 = wp.types.vector(length=16, dtype=wp.float32)

C0 = wp.constant(0.5 / math.sqrt(math.pi))
C1 = wp.constant(math.sqrt(3 / (4 * math.pi)))
C2 = wp.constant(math.sqrt(15 / (4 * math.pi)))
C20 = wp.constant(math.sqrt(15 / (4 * math.pi)) / math.sqrt(12))
C33 = wp.constant(math.sqrt(35 / (32 * math.pi)))
C32 = wp.constant(math.sqrt(105 / (4 * math.pi)))
C31 = wp.constant(math.sqrt(21 / (32 * math.pi)))
C30 = wp.constant(math.sqrt(7 / (16 * math.pi)))


@wp.func
@no_type_check
def sh_basis(d: wp.vec3, count: int) -> vec16:
    """Y_0 ... Y_{count-1} at the unit vector d; the rest is 0."""
    x, y, z = d[0], d[1], d[2]
    out = vec16()
    out[0] = C0
    if count > 1:
        out[1] = -C1 * y
        out[2] = C1 * z
        out[3] = -C1 * x
    if count > 4:
        out[4] = C2 * x * y
        out[5] = -C2 * y * z
        out[6] = C20 * (3.0 * z * z - 1.0)
        out[7] = -C2 * x * z
        out[8] = 0.5 * C2 * (x * x - y * y)
    if count > 9:
        out[9] = -C33 * y * (3.0 * x * x - y * y)
        out[10] = C32 * x * y * z
        out[11] = -C31 * y * (5.0 * z * z - 1.0)
        out[12] = C30 * z * (5.0 * z * z - 3.0)
        out[13] = -C31 * x * (5.0 * z * z - 1.0)
        out[14] = 0.5 * C32 * z * (x * x - y * y)
        out[15] = -C33 * x * (x * x - 3.0 * y * y)
    return out


@wp.func
@no_type_check
def sh_slope(d: wp.vec3, count: int, v: vec16) -> wp.vec3:
    """sum_k v_k dY_k/d(x, y, z) at d, each Y_k taken as the polynomial that `sh_basis` writes."""
    x, y, z = d[0], d[1], d[2]
    gx, gy, gz = float(0.0), float(0.0), float(0.0)
    if count > 1:
        gx -= C1 * v[3]
        gy -= C1 * v[1]
        gz += C1 * v[2]
    if count > 4:
        gx += C2 * (v[4] * y - v[7] * z + v[8] * x)
        gy += C2 * (v[4] * x - v[5] * z - v[8] * y)
        gz += C2 * (-v[5] * y - v[7] * x) + 6.0 * C20 * v[6] * z
    if count > 9:
        ring, lens = 5.0 * z * z - 1.0, x * x - y * y
        gx += -6.0 * C33 * v[9] * x * y + C32 * (v[10] * y * z + v[14] * x * z) - C31 * v[13] * ring
        gx -= 3.0 * C33 * v[15] * lens
        gy += -3.0 * C33 * v[9] * lens + C32 * (v[10] * x * z - v[14] * y * z) - C31 * v[11] * ring
        gy += 6.0 * C33 * v[15] * x * y
        gz += C32 * (v[10] * x * y + 0.5 * v[14] * lens) - 10.0 * C31 * z * (v[11] * y + v[13] * x)
        gz += C30 * v[12] * (15.0 * z * z - 3.0)
    return wp.vec3(gx, gy, gz)
