"""Solids from which objects are put together: boxes, surfaces of revolution, tubes, plates.

World as everywhere: y up, the front faces +z, +x to the right of someone who looks at the front. Lengths are
free: an object is scaled to its ball when it is done. Angles in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHARP = 0.82
"""Cosine between neighbouring faces (35°) below which an edge of a lathe stays sharp."""
TINY = 1e-4

Points = Sequence[Sequence[float]] | np.ndarray


@dataclass(frozen=True)
class Solid:
    """Triangles with smooth or sharp corner normals.

    Args:
        triangles: (F, 3, 3) float64 corners, counter-clockwise seen from outside.
        normals: (F, 3, 3) unit normals at the corners.
    """

    triangles: np.ndarray
    normals: np.ndarray

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Moved."""
        return Solid(self.triangles + np.array([x, y, z]), self.normals)

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Solid:
        """Scaled by factors > 0, one for all axes or one each."""
        factor = np.array([x, x if y is None else y, x if z is None else z])
        return Solid(self.triangles * factor, _unit(self.normals / factor))

    def turned(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Turned about the x, then the y, then the z axis, right-handed, in degrees."""
        matrix = np.eye(3)
        for axis, degrees in enumerate((x, y, z)):
            matrix = _rotation(axis, degrees) @ matrix
        return Solid(self.triangles @ matrix.T, self.normals @ matrix.T)

    def mirrored(self) -> Solid:
        """Left and right exchanged (x negated)."""
        flip = np.array([-1.0, 1.0, 1.0])
        return Solid((self.triangles * flip)[:, ::-1], (self.normals * flip)[:, ::-1])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,) low and high corners."""
        points = self.triangles.reshape(-1, 3)
        return points.min(0), points.max(0)


def join(*solids: Solid) -> Solid:
    """Several solids as one."""
    return Solid(np.concatenate([s.triangles for s in solids]), np.concatenate([s.normals for s in solids]))


def box(width: float, height: float, depth: float) -> Solid:
    """A box along x, y, z about the origin."""
    triangles, normals = [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1.0, 1.0):
            corner = np.zeros((4, 3))
            corner[:, axis] = side
            corner[:, u] = np.array([-1, 1, 1, -1]) * side
            corner[:, v] = (-1, -1, 1, 1)
            corner *= np.array([width, height, depth]) / 2
            triangles += [corner[[0, 1, 2]], corner[[0, 2, 3]]]
            normals += [np.tile(np.eye(3)[axis] * side, (3, 1))] * 2
    return Solid(np.array(triangles), np.array(normals))


def rounded_box(width: float, height: float, depth: float, radius: float, segments: int = 3) -> Solid:
    """A box whose edges are rounded by `radius`, at most half of its shortest side."""
    half = np.array([width, height, depth]) / 2
    inner = half - radius
    # Along a face: the near rounding, from 45° to flat, then the far one; the flat middle lies between them.
    quarter = np.linspace(0, 1, segments + 1)
    turn = np.tan(np.concatenate([-quarter[::-1], quarter]) * np.pi / 4)
    centre = np.repeat([-1.0, 1.0], segments + 1)
    solids = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1.0, 1.0):
            outward, anchor = np.zeros((2, len(turn), len(turn), 3))
            outward[..., axis], outward[..., u], outward[..., v] = side, turn[:, None], turn
            anchor[..., axis], anchor[..., u], anchor[..., v] = side, centre[:, None], centre
            outward = _unit(outward)
            solids.append(_sheet(anchor * inner + radius * outward, outward, False, False))
    return join(*solids)


def lathe(profile: Points, segments: int = 20) -> Solid:
    """A surface of revolution about the y axis.

    Args:
        profile: (radius, y) from bottom to top on the outside; radius 0 closes an end. A hollow body's profile
            comes down again inside. Creases over 35° stay sharp.
    """
    points = np.asarray(profile, dtype=float)
    points = np.stack([np.maximum(points[:, 0], TINY), points[:, 1]], axis=1)
    step = points[1:] - points[:-1]
    flat = np.stack([step[:, 1], -step[:, 0]], axis=1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-12
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = np.stack([np.sin(angle), np.zeros(segments), np.cos(angle)], axis=1)
    up = np.array([0.0, 1.0, 0.0])
    solids = []
    for k, normal in enumerate(flat):
        ends = []
        for other in (k - 1, k + 1):
            smooth = 0 <= other < len(flat) and flat[other] @ normal > SHARP
            both = normal + flat[other] if smooth else normal
            ends.append(both / np.linalg.norm(both))
        corner = np.stack([r * ring + y * up for r, y in (points[k], points[k + 1])], axis=1)
        outward = np.stack([m[0] * ring + m[1] * up for m in ends], axis=1)
        solids.append(_sheet(corner, outward, True, False))
    return join(*solids)


def sphere(radius: float = 1.0, segments: int = 18) -> Solid:
    """A ball about the origin; an ellipsoid with `scaled`."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return lathe(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), segments)


def dome(radius: float, height: float, segments: int = 20) -> Solid:
    """A closed half ellipsoid that stands on y = 0."""
    angle = np.linspace(0, np.pi / 2, 8)
    curve = np.stack([radius * np.cos(angle), height * np.sin(angle)], axis=1)
    return lathe(np.concatenate([[[0.0, 0.0]], curve]), segments)


def cylinder(radius: float, height: float, top: float | None = None, segments: int = 20) -> Solid:
    """An upright cylinder about the origin, closed; with `top` another radius there."""
    end = radius if top is None else top
    return lathe([(0, -height / 2), (radius, -height / 2), (end, height / 2), (0, height / 2)], segments)


def cone(radius: float, height: float, segments: int = 20) -> Solid:
    """An upright cone about the origin."""
    return lathe([(0, -height / 2), (radius, -height / 2), (0, height / 2)], segments)


def pyramid(width: float, height: float, depth: float | None = None) -> Solid:
    """An upright pyramid about the origin with a rectangular base."""
    depth = width if depth is None else depth
    base = np.array([(-1, -1, 1), (1, -1, 1), (1, -1, -1), (-1, -1, -1)]) * [width / 2, height / 2, depth / 2]
    tip = np.array([0, height / 2, 0])
    sides = [(base[i], base[(i + 1) % 4], tip) for i in range(4)]
    return faceted(np.array([*sides, (base[0], base[2], base[1]), (base[0], base[3], base[2])]))


def faceted(triangles: np.ndarray) -> Solid:
    """(F, 3, 3) triangles with flat shading."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return Solid(triangles, np.repeat(_unit(normal)[:, None], 3, axis=1))


def torus(ring_radius: float, tube_radius: float, segments: int = 26, around: int = 12) -> Solid:
    """A lying ring about the y axis."""
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    path = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1) * ring_radius
    return tube(path, tube_radius, around, closed=True)


def tube(
    path: Points, radius: float | Sequence[float] | np.ndarray, around: int = 10, closed: bool = False
) -> Solid:
    """A round tube along (n, 3) points, of one radius or one a point; its ends are closed."""
    points = np.asarray(path, dtype=float)
    radii = np.broadcast_to(np.asarray(radius, dtype=float), (len(points),))
    along = np.roll(points, -1, 0) - np.roll(points, 1, 0) if closed else np.gradient(points, axis=0)
    along = _unit(along)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    side = _across(along[0])
    corner, outward = [], []
    for position, direction, r in zip(points, along, radii, strict=True):
        side = _unit(side - direction * (side @ direction))
        spoke = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * np.cross(direction, side)
        corner.append(position + r * spoke)
        outward.append(spoke)
    body = _sheet(np.array(corner), np.array(outward), closed, True)
    if closed:
        return body
    caps = []
    for end, sign in ((0, -1.0), (-1, 1.0)):
        ring = corner[end] if sign > 0 else corner[end][::-1]
        fan = np.stack([np.broadcast_to(points[end], ring.shape), ring, np.roll(ring, -1, 0)], axis=1)
        caps.append(Solid(fan, np.broadcast_to(along[end] * sign, fan.shape)))
    return join(body, *caps)


def capsule(
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    end_radius: float | None = None,
    around: int = 10,
) -> Solid:
    """A rod with round ends from `start` to `end` (the balls' centres)."""
    p, q = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.linalg.norm(q - p))
    last = radius if end_radius is None else end_radius
    angle = np.linspace(0, np.pi / 2, 5)
    along = np.concatenate([-radius * np.cos(angle), length + last * np.sin(angle)])
    radii = np.concatenate([radius * np.sin(angle), last * np.cos(angle)])
    return tube(p + along[:, None] * (q - p) / length, np.maximum(radii, 1e-3), around)


def plate(outline: Points, depth: float) -> Solid:
    """A plate that faces +z: an outline of (x, y) points without crossings, thickened to `depth` about z = 0."""
    points = np.asarray(outline, dtype=float)
    following = np.roll(points, -1, 0)
    if float((points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum()) < 0:
        points = points[::-1]
    front = np.array([[(*points[i], depth / 2) for i in ear] for ear in _ears(points)])
    back = front[:, ::-1] * [1, 1, -1]
    near = np.concatenate([points, np.full((len(points), 1), depth / 2)], axis=1)
    far = near * [1, 1, -1]
    quads = zip(far, np.roll(far, -1, 0), np.roll(near, -1, 0), near, strict=True)
    rim = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    return faceted(np.concatenate([front, back, rim]))


def disc_points(radius: float, count: int, start_deg: float = 90.0) -> np.ndarray:
    """(count, 2) corners of a regular polygon, for plates and placing things on a circle."""
    angle = np.deg2rad(start_deg) + np.arange(count) * 2 * np.pi / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def arc(radius: float, start_deg: float, end_deg: float, count: int = 12) -> np.ndarray:
    """(count, 2) points of a circle's arc, counter-clockwise from `start_deg`; 0° is +x."""
    angle = np.deg2rad(np.linspace(start_deg, end_deg, count))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12)


def _rotation(axis: int, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _across(direction: np.ndarray) -> np.ndarray:
    """Some unit vector at right angles."""
    axis = np.eye(3)[int(np.argmin(np.abs(direction)))]
    return _unit(np.cross(direction, axis))


def _sheet(points: np.ndarray, normals: np.ndarray, closed_u: bool, closed_v: bool) -> Solid:
    """The triangles of a (U, V) grid of points; each turned so that it faces along its normals."""
    u = np.arange(len(points) if closed_u else len(points) - 1)
    v = np.arange(points.shape[1] if closed_v else points.shape[1] - 1)
    a, c = (g.reshape(-1) for g in np.meshgrid(u, v, indexing="ij"))
    b, d = (a + 1) % len(points), (c + 1) % points.shape[1]
    rows, columns = np.stack([a, b, b, a], axis=1), np.stack([c, c, d, d], axis=1)
    pick = np.array([[0, 1, 2], [0, 2, 3]])
    triangles = points[rows, columns][:, pick].reshape(-1, 3, 3)
    outward = normals[rows, columns][:, pick].reshape(-1, 3, 3)
    facing = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    wrong = (facing * outward.sum(1)).sum(1) < 0
    triangles[wrong], outward[wrong] = triangles[wrong][:, ::-1], outward[wrong][:, ::-1]
    return Solid(triangles, outward)


def _ears(points: np.ndarray) -> list[tuple[int, int, int]]:
    """Triangles of a counter-clockwise polygon by cutting ears (Meisters 1975)."""
    left, triangles = list(range(len(points))), []

    def cross(a: int, b: int, c: int) -> float:
        p, q = points[b] - points[a], points[c] - points[a]
        return float(p[0] * q[1] - p[1] * q[0])

    def is_ear(a: int, b: int, c: int) -> bool:
        if cross(a, b, c) <= 1e-12:
            return False
        rest = (k for k in left if k not in (a, b, c))
        return not any(cross(a, b, k) >= 0 and cross(b, c, k) >= 0 and cross(c, a, k) >= 0 for k in rest)

    while len(left) > 3:
        trios = [(left[i - 1], left[i], left[(i + 1) % len(left)]) for i in range(len(left))]
        ear = next((trio for trio in trios if is_ear(*trio)), None)
        if ear is None:  # only corners on straight lines are left
            flat = min(trios, key=lambda trio: abs(cross(*trio)))
            left.remove(flat[1])
            continue
        triangles.append(ear)
        left.remove(ear[1])
    return [*triangles, (left[0], left[1], left[2])]
