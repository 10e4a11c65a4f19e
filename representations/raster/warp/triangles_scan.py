"""The z-buffer of triangles in Warp, and the gradients of barycentrics and depth. Formulas: triangles_twin.

All arithmetic that decides what is seen is in float64, without fused multiply-adds, in the order of the twin: every
implementation finds the same face at every pixel.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from .projection import item

wp.set_module_options({"fuse_fp": False})

TILE = wp.constant(8)  # pixels along an edge of the squares that a triangle is scanned by


@wp.struct
@no_type_check
class Triangle:
    """Corners in camera axes, and the edge functions of the edges opposite to them."""

    p0: wp.vec3d
    p1: wp.vec3d
    p2: wp.vec3d
    n0: wp.vec3d
    n1: wp.vec3d
    n2: wp.vec3d


@wp.func
@no_type_check
def cross3(a: wp.vec3d, b: wp.vec3d) -> wp.vec3d:
    """a × b in the twin's order of operations: b × a is exactly the opposite."""
    return wp.vec3d(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@wp.func
@no_type_check
def edge_at(n: wp.vec3d, ray: wp.vec3d) -> wp.float64:
    """n · ray in the twin's order of operations."""
    return n[0] * ray[0] + (n[1] * ray[1] + n[2] * ray[2])


@wp.func
@no_type_check
def ray_at(x: int, y: int, focal: float, width: int, height: int) -> wp.vec3d:
    """(u, v, focal) of a pixel's centre."""
    half = wp.float64(0.5)
    u = wp.float64(x) + half - half * wp.float64(width)
    v = wp.float64(y) + half - half * wp.float64(height)
    return wp.vec3d(u, v, wp.float64(focal))


@wp.func
@no_type_check
def triangle_of(positions: wp.array2d(dtype=wp.vec3), b: int, corner: wp.vec3i) -> Triangle:
    """A face as camera b sees it."""
    t = Triangle()
    t.p0 = wp.vec3d(positions[b, corner[0]])
    t.p1 = wp.vec3d(positions[b, corner[1]])
    t.p2 = wp.vec3d(positions[b, corner[2]])
    t.n0 = cross3(t.p1, t.p2)
    t.n1 = cross3(t.p2, t.p0)
    t.n2 = cross3(t.p0, t.p1)
    return t


@wp.func
@no_type_check
def edges_at(t: Triangle, ray: wp.vec3d) -> wp.vec3d:
    """The three edge functions."""
    return wp.vec3d(edge_at(t.n0, ray), edge_at(t.n1, ray), edge_at(t.n2, ray))


@wp.func
@no_type_check
def depth_at(t: Triangle, e: wp.vec3d) -> wp.float64:
    """Along the view axis, from the edge functions."""
    inverse = wp.float64(1.0) / (e[0] + e[1] + e[2])
    return (e[0] * t.p0[2] + e[1] * t.p1[2] + e[2] * t.p2[2]) * inverse


@wp.func
@no_type_check
def on_side(value: wp.float64, n: wp.vec3d, side: wp.float64) -> bool:
    """Whether an edge function has that sign; on the edge, what a hair to the right, then below, would have."""
    zero = wp.float64(0.0)
    x, y = side * n[0], side * n[1]
    return side * value > zero or (value == zero and (x > zero or (x == zero and y > zero)))


@wp.func
@no_type_check
def covers(t: Triangle, e: wp.vec3d) -> bool:
    """Whether a pixel's centre lies in the triangle, whichever way round its corners run."""
    one = wp.float64(1.0)
    forth = on_side(e[0], t.n0, one) and on_side(e[1], t.n1, one) and on_side(e[2], t.n2, one)
    back = on_side(e[0], t.n0, -one) and on_side(e[1], t.n1, -one) and on_side(e[2], t.n2, -one)
    return forth or back


@wp.func
@no_type_check
def widen(box: wp.vec4d, p: wp.vec3d, focal: wp.float64) -> wp.vec4d:
    """The box x0, y0, x1, y1 of seen points with one more, in pixels from the image's middle."""
    x, y = p[0] * (focal / p[2]), p[1] * (focal / p[2])
    return wp.vec4d(wp.min(box[0], x), wp.min(box[1], y), wp.max(box[2], x), wp.max(box[3], y))


@wp.func
@no_type_check
def widen_edge(box: wp.vec4d, a: wp.vec3d, b: wp.vec3d, focal: wp.float64, near: wp.float64) -> wp.vec4d:
    """With the end a, if it is beyond `near`, and where the edge from a to b goes through that plane, if it does."""
    out = box
    if a[2] > near:
        out = widen(out, a, focal)
    if (a[2] > near) != (b[2] > near):
        share = (a[2] - near) / (a[2] - b[2])
        cut = a + share * (b - a)
        out = widen(out, wp.vec3d(cut[0], cut[1], near), focal)
    return out


@wp.func
@no_type_check
def tiles_between(low: wp.float64, high: wp.float64, size: int) -> wp.vec2i:
    """First tile and one past the last along an axis that a span of pixels may meet; rounded outwards."""
    middle = wp.float64(0.5) * wp.float64(size)
    margin = wp.float64(1.0e-6) * (wp.float64(1.0) + (high - low))
    first = wp.clamp(low - margin + middle - wp.float64(0.5), wp.float64(0.0), wp.float64(size))
    last = wp.clamp(high + margin + middle + wp.float64(0.5), wp.float64(0.0), wp.float64(size))
    begin, end = int(wp.floor(first)), int(wp.ceil(last))
    if begin >= size or end <= 0:
        return wp.vec2i(0, 0)
    return wp.vec2i(begin // TILE, (end + TILE - 1) // TILE)


@wp.kernel(enable_backward=False)
@no_type_check
def bound(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    near: wp.float64,
    width: int,
    height: int,
    boxes: wp.array2d(dtype=wp.vec4i),
    counts: wp.array2d(dtype=wp.int32),
):
    """One thread a view and face. It alone writes that element of both outputs: the box of tiles x0, y0, x1, y1
    (half open) that hold the part beyond `near`, and how many they are."""
    index = item(order, wp.tid())
    b, n = index // faces.shape[0], index % faces.shape[0]
    t = triangle_of(positions, b, faces[n])
    far = wp.float64(1.0e300)
    f = wp.float64(focal[b])
    box = wp.vec4d(far, far, -far, -far)
    box = widen_edge(box, t.p0, t.p1, f, near)
    box = widen_edge(box, t.p1, t.p2, f, near)
    box = widen_edge(box, t.p2, t.p0, f, near)
    x, y = wp.vec2i(0, 0), wp.vec2i(0, 0)
    if box[0] <= box[2]:
        x, y = tiles_between(box[0], box[2], width), tiles_between(box[1], box[3], height)
    boxes[b, n] = wp.vec4i(x[0], y[0], x[1], y[1])
    counts[b, n] = (x[1] - x[0]) * (y[1] - y[0])


@wp.kernel(enable_backward=False)
@no_type_check
def scan(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    near: wp.float64,
    boxes: wp.array(dtype=wp.vec4i),
    owners: wp.array(dtype=wp.int32),
    starts: wp.array(dtype=wp.int64),
    keys: wp.array3d(dtype=wp.int64),
):
    """One thread an entry: a tile of a view and face (the owner, whose entries begin at its start). Its only writes
    are atomic minima of `keys`, (depth, face) as one number: whatever the order, the smallest stays, which is the
    nearest face, and of equal ones the lowest index."""
    entry = item(order, wp.tid())
    owner = owners[entry]
    b, n = owner // faces.shape[0], owner % faces.shape[0]
    box, place = boxes[owner], int(wp.int64(entry) - starts[owner])
    across = box[2] - box[0]
    x0, y0 = (box[0] + place % across) * TILE, (box[1] + place // across) * TILE
    height, width = keys.shape[1], keys.shape[2]
    t = triangle_of(positions, b, faces[n])
    for y in range(y0, wp.min(y0 + TILE, height)):
        for x in range(x0, wp.min(x0 + TILE, width)):
            e = edges_at(t, ray_at(x, y, focal[b], width, height))
            if covers(t, e):
                depth = depth_at(t, e)
                stored = float(depth)
                if depth > near and wp.isfinite(stored):
                    bits = wp.int64(wp.cast(stored, wp.int32))  # positive floats order like their bits
                    wp.atomic_min(keys, b, y, x, (bits << wp.int64(32)) | wp.int64(n))


@wp.kernel(enable_backward=False)
@no_type_check
def resolve(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    keys: wp.array3d(dtype=wp.int64),
    face: wp.array3d(dtype=wp.int32),
    barycentric: wp.array3d(dtype=wp.vec3),
    depth: wp.array3d(dtype=wp.float32),
):
    """One thread a pixel. It alone writes that pixel of the three outputs."""
    index = item(order, wp.tid())
    height, width = keys.shape[1], keys.shape[2]
    b, y, x = index // (height * width), (index // width) % height, index % width
    key = keys[b, y, x]
    seen = int(key & wp.int64(0xFFFFFFFF))
    if key == wp.int64(0x7FFFFFFFFFFFFFFF):
        seen = -1
    weights, distance = wp.vec3(0.0, 0.0, 0.0), float(0.0)
    if seen >= 0:
        t = triangle_of(positions, b, faces[seen])
        e = edges_at(t, ray_at(x, y, focal[b], width, height))
        inverse = wp.float64(1.0) / (e[0] + e[1] + e[2])
        weights = wp.vec3(float(e[0] * inverse), float(e[1] * inverse), float(e[2] * inverse))
        distance = float(depth_at(t, e))
    face[b, y, x] = seen
    barycentric[b, y, x] = weights
    depth[b, y, x] = distance


@wp.func
@no_type_check
def add3(to: wp.array3d(dtype=wp.float64), b: int, vertex: int, value: wp.vec3d):
    """To the three coordinates of a vertex, atomically."""
    for k in range(3):
        wp.atomic_add(to, b, vertex, k, value[k])


@wp.kernel(enable_backward=False)
@no_type_check
def rasterize_backward(
    order: wp.array(dtype=wp.int32),
    positions: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    focal: wp.array(dtype=wp.float32),
    face: wp.array3d(dtype=wp.int32),
    to_barycentric: wp.array3d(dtype=wp.vec3),
    to_depth: wp.array3d(dtype=wp.float32),
    to_positions: wp.array3d(dtype=wp.float64),
    to_focal: wp.array3d(dtype=wp.float64),
):
    """One thread a pixel. It alone writes that pixel of `to_focal` (zeros before); its other writes are atomic adds
    to `to_positions`, in float64, so that the order in which threads add does not show in float32.

    With b_i = e_i / s: d loss / d e_i = (g_i - Σ g_j b_j) / s, where depth adds z_i to what b_i gets.
    """
    index = item(order, wp.tid())
    height, width = face.shape[1], face.shape[2]
    b, y, x = index // (height * width), (index // width) % height, index % width
    seen = face[b, y, x]
    if seen < 0:
        return
    corner = faces[seen]
    t = triangle_of(positions, b, corner)
    ray = ray_at(x, y, focal[b], width, height)
    e = edges_at(t, ray)
    inverse = wp.float64(1.0) / (e[0] + e[1] + e[2])
    along = wp.float64(to_depth[b, y, x])
    g = wp.vec3d(to_barycentric[b, y, x]) + along * wp.vec3d(t.p0[2], t.p1[2], t.p2[2])
    mean = (g[0] * e[0] + g[1] * e[1] + g[2] * e[2]) * inverse
    to_e = (g - wp.vec3d(mean, mean, mean)) * inverse
    to_focal[b, y, x] = to_e[0] * t.n0[2] + to_e[1] * t.n1[2] + to_e[2] * t.n2[2]
    z = along * e * inverse
    zero = wp.float64(0.0)
    # e_1 = ray · (p_2 × p_0) and e_2 = ray · (p_0 × p_1) depend on p_0, and so on round
    first = cross3(ray, to_e[1] * t.p2 - to_e[2] * t.p1)
    second = cross3(ray, to_e[2] * t.p0 - to_e[0] * t.p2)
    third = cross3(ray, to_e[0] * t.p1 - to_e[1] * t.p0)
    add3(to_positions, b, corner[0], first + wp.vec3d(zero, zero, z[0]))
    add3(to_positions, b, corner[1], second + wp.vec3d(zero, zero, z[1]))
    add3(to_positions, b, corner[2], third + wp.vec3d(zero, zero, z[2]))
