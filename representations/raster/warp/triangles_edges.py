"""Antialiasing of silhouettes in Warp; rules and notation: triangles_antialias_twin.

A pair is a pixel and its right (axis 0) or lower (axis 1) neighbour. share > 0 is how much of the first pixel's
colour the second takes, share < 0 how much of the second's the first takes.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item
from .triangles_scan import add3, cross3, edge_at, ray_at, triangle_of

wp.set_module_options({"fuse_fp": False})

STEPS = wp.constant(8)  # triangles that a walk between two pixels crosses at most


@wp.struct
@no_type_check
class Crossing:
    """Where the surface that is nearer at one pixel of a pair ends between the two centres: the edge opposite
    `corner` of `face`, and its edge function at the nearer pixel's centre and the other's; face -1 for nowhere."""

    face: int
    corner: int
    second_near: bool
    near: wp.float64
    far: wp.float64


@wp.func
@no_type_check
def other(corner: wp.vec3i, i: int) -> int:
    """The vertex at corner i, any number, counted round."""
    return corner[i % 3]


@wp.kernel(enable_backward=False)
@no_type_check
def facing(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    sides: wp.array2d(dtype=wp.int32),
):
    """One thread a view and face. It alone writes that element: which way round the corners run in the image, 1 or
    -1, or 0 for edge-on."""
    index = item(order, wp.tid())
    b, n = index // faces.shape[0], index % faces.shape[0]
    t = triangle_of(positions, b, faces[n])
    volume = edge_at(t.n0, t.p0)
    side = int(0)
    if volume > wp.float64(0.0):
        side = 1
    if volume < wp.float64(0.0):
        side = -1
    sides[b, n] = side


@wp.kernel(enable_backward=False)
@no_type_check
def beyond(
    order: wp.array(dtype=wp.int32),
    faces: wp.array(dtype=wp.vec3i),
    partners: wp.array(dtype=wp.vec3i),
    sides: wp.array2d(dtype=wp.int32),
    inner: wp.array3d(dtype=wp.int32),
):
    """One thread a view and face. It alone writes those three elements: the face beyond each edge that lies inside
    the surface, else -1. `sides` is that of `facing`, which has ended."""
    index = item(order, wp.tid())
    b, n = index // faces.shape[0], index % faces.shape[0]
    for i in range(3):
        partner, found = partners[n][i], int(-1)
        if partner >= 0:
            neighbour = partner // 3
            # neighbours that are wound alike run along their edge in opposite directions
            way = int(-1)
            if other(faces[n], i + 1) == other(faces[neighbour], partner % 3 + 2):
                way = 1
            if way * sides[b, n] * sides[b, neighbour] > 0:
                found = neighbour
        inner[b, n, i] = found


@wp.func
@no_type_check
def joined(inner: wp.array3d(dtype=wp.int32), b: int, first: int, second: int) -> bool:
    """Whether two faces share an edge that lies inside the surface."""
    return inner[b, first, 0] == second or inner[b, first, 1] == second or inner[b, first, 2] == second


@wp.func
@no_type_check
def end_of_surface(
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    sides: wp.array2d(dtype=wp.int32),
    inner: wp.array3d(dtype=wp.int32),
    b: int,
    start: int,
    near: wp.vec3d,
    far: wp.vec3d,
    axis: int,
) -> Crossing:
    """The walk from the centre of the nearer pixel to the other's."""
    out = Crossing()
    out.face = -1
    at, steps = int(start), int(0)
    zero = wp.float64(0.0)
    while steps < STEPS:
        steps += 1
        t = triangle_of(positions, b, faces[at])
        side = wp.float64(-1.0)
        if sides[b, at] > 0:
            side = wp.float64(1.0)
        best, corner = wp.float64(wp.inf), int(-1)
        best_near, best_far, best_n = wp.float64(0.0), wp.float64(0.0), wp.vec3d()
        for i in range(3):
            n = t.n0
            if i == 1:
                n = t.n1
            if i == 2:
                n = t.n2
            at_near, at_far = edge_at(n, near), edge_at(n, far)
            # not through the edge it came in by: that one rises
            if side * at_far <= zero and side * (at_near - at_far) > zero:
                share = at_near / (at_near - at_far)
                if share < best:
                    best, corner = share, i
                    best_near, best_far, best_n = at_near, at_far, n
        if corner < 0:
            return out
        following = inner[b, at, corner]
        if following < 0:
            steep = wp.abs(best_n[0]) >= wp.abs(best_n[1])
            if axis == 1:
                steep = wp.abs(best_n[1]) > wp.abs(best_n[0])
            if steep:
                out.face = at
                out.corner = corner
                out.near = best_near
                out.far = best_far
            return out
        at = following
    return out


@wp.func
@no_type_check
def crossing(
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    sides: wp.array2d(dtype=wp.int32),
    inner: wp.array3d(dtype=wp.int32),
    face: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=wp.float32),
    b: int,
    y: int,
    x: int,
    axis: int,
) -> Crossing:
    """Of the pair at pixel (y, x), whose second pixel is inside the image."""
    out = Crossing()
    out.face = -1
    y2, x2 = y + axis, x + 1 - axis
    first, second = face[b, y, x], face[b, y2, x2]
    if first == second:
        return out
    if first >= 0 and second >= 0 and joined(inner, b, first, second):
        return out
    swapped = first < 0 or (second >= 0 and depth[b, y2, x2] < depth[b, y, x])
    height, width = face.shape[1], face.shape[2]
    near, far = ray_at(x, y, focal[b], width, height), ray_at(x2, y2, focal[b], width, height)
    start = first
    if swapped:
        near, far = ray_at(x2, y2, focal[b], width, height), ray_at(x, y, focal[b], width, height)
        start = second
    out = end_of_surface(positions, faces, sides, inner, b, start, near, far, axis)
    out.second_near = swapped
    return out


@wp.kernel(enable_backward=False)
@no_type_check
def find_shares(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    sides: wp.array2d(dtype=wp.int32),
    inner: wp.array3d(dtype=wp.int32),
    face: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=wp.float32),
    shares: wp.array4d(dtype=wp.float32),
):
    """One thread a pair, (view, row, column, axis). It alone writes that element of `shares`."""
    index = item(order, wp.tid())
    axis, pixel = index % 2, index // 2
    height, width = face.shape[1], face.shape[2]
    b, y, x = pixel // (height * width), (pixel // width) % height, pixel % width
    share = float(0.0)
    if y + axis < height and x + 1 - axis < width:
        c = crossing(positions, faces, focal, sides, inner, face, depth, b, y, x, axis)
        if c.face >= 0:
            ahead = c.near / (c.near - c.far) - wp.float64(0.5)
            if c.second_near:
                ahead = -ahead
            share = float(ahead)
            if share == 0.0:  # exactly between the pixels nothing is mixed yet, but the gradient is there
                share = -1.0e-30
                if c.second_near:
                    share = 1.0e-30
    shares[b, y, x, axis] = share


@wp.func
@no_type_check
def towards(shares: wp.array4d(dtype=wp.float32), b: int, y: int, x: int, side: int) -> float:
    """The share of the pair of a pixel with its right (0), lower (1), left (2) or upper (3) neighbour, signed so
    that > 0 is what the neighbour takes of it; 0 outside the image, where no pair is."""
    axis = side % 2
    if side < 2:
        return shares[b, y, x, axis]
    if y < axis or x < 1 - axis:
        return 0.0
    return -shares[b, y - axis, x - 1 + axis, axis]


@wp.func
@no_type_check
def step_of(side: int) -> wp.vec2i:
    """(rows, columns) to the neighbour on that side."""
    away = int(1)
    if side >= 2:
        away = -1
    if side % 2 == 1:
        return wp.vec2i(away, 0)
    return wp.vec2i(0, away)


@wp.kernel(enable_backward=False)
@no_type_check
def blend(
    order: wp.array(dtype=wp.int32),
    shares: wp.array4d(dtype=wp.float32),
    image: wp.array4d(dtype=wp.float32),
    out: wp.array4d(dtype=wp.float32),
):
    """One thread a pixel of `out`, which it alone writes: its colours and what it takes of its four neighbours."""
    index = item(order, wp.tid())
    height, width = image.shape[1], image.shape[2]
    b, y, x = index // (height * width), (index // width) % height, index % width
    for c in range(image.shape[3]):
        out[b, y, x, c] = image[b, y, x, c]
    for side in range(4):
        share = towards(shares, b, y, x, side)
        if share < 0.0:
            step = step_of(side)
            for c in range(image.shape[3]):
                difference = image[b, y + step[0], x + step[1], c] - image[b, y, x, c]
                out[b, y, x, c] = out[b, y, x, c] - share * difference


@wp.kernel(enable_backward=False)
@no_type_check
def blend_backward(
    order: wp.array(dtype=wp.int32),
    shares: wp.array4d(dtype=wp.float32),
    upstream: wp.array4d(dtype=wp.float32),
    to_image: wp.array4d(dtype=wp.float32),
):
    """One thread a pixel of `to_image`, which it alone writes: its own gradient, less what it gave up for its
    neighbours, and theirs where they took of it."""
    index = item(order, wp.tid())
    height, width = upstream.shape[1], upstream.shape[2]
    b, y, x = index // (height * width), (index // width) % height, index % width
    kept = float(1.0)
    for side in range(4):
        kept += wp.min(towards(shares, b, y, x, side), 0.0)
    for c in range(upstream.shape[3]):
        to_image[b, y, x, c] = kept * upstream[b, y, x, c]
    for side in range(4):
        share = towards(shares, b, y, x, side)
        if share > 0.0:
            step = step_of(side)
            for c in range(upstream.shape[3]):
                theirs = upstream[b, y + step[0], x + step[1], c]
                to_image[b, y, x, c] = to_image[b, y, x, c] + share * theirs


@wp.kernel(enable_backward=False)
@no_type_check
def shares_backward(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    sides: wp.array2d(dtype=wp.int32),
    inner: wp.array3d(dtype=wp.int32),
    face: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=wp.float32),
    shares: wp.array4d(dtype=wp.float32),
    image: wp.array4d(dtype=wp.float32),
    upstream: wp.array4d(dtype=wp.float32),
    to_positions: wp.array3d(dtype=wp.float64),
    to_focal: wp.array4d(dtype=wp.float64),
):
    """One thread a pair. It alone writes that element of `to_focal` (zeros before); its other writes are atomic adds
    to `to_positions`, in float64, so that the order in which threads add does not show in float32.

    share = t - 1/2 seen from the nearer pixel, t = near / (near - far).
    """
    index = item(order, wp.tid())
    axis, pixel = index % 2, index // 2
    height, width = face.shape[1], face.shape[2]
    b, y, x = pixel // (height * width), (pixel // width) % height, pixel % width
    share = shares[b, y, x, axis]
    if share == 0.0:
        return
    y2, x2 = y + axis, x + 1 - axis
    c = crossing(positions, faces, focal, sides, inner, face, depth, b, y, x, axis)
    to_t = wp.float64(0.0)
    for channel in range(image.shape[3]):
        difference = wp.float64(image[b, y, x, channel]) - wp.float64(image[b, y2, x2, channel])
        taken = upstream[b, y, x, channel]
        if share > 0.0:
            taken = upstream[b, y2, x2, channel]
        to_t += wp.float64(taken) * difference
    near, far = ray_at(x, y, focal[b], width, height), ray_at(x2, y2, focal[b], width, height)
    if c.second_near:
        near, far = ray_at(x2, y2, focal[b], width, height), ray_at(x, y, focal[b], width, height)
        to_t = -to_t
    inverse = wp.float64(1.0) / (c.near - c.far)
    to_near, to_far = -to_t * c.far * inverse * inverse, to_t * c.near * inverse * inverse
    to_n = to_near * near + to_far * far
    corner = faces[c.face]
    j, k = other(corner, c.corner + 1), other(corner, c.corner + 2)
    pj, pk = wp.vec3d(positions[b, j]), wp.vec3d(positions[b, k])
    add3(to_positions, b, j, cross3(pk, to_n))
    add3(to_positions, b, k, cross3(to_n, pj))
    to_focal[b, y, x, axis] = (to_near + to_far) * cross3(pj, pk)[2]
