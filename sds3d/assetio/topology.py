"""Connectivity of triangle meshes: components, watertightness, and closing what decimation tore or pinched.

Arrays are vertices (V, 3) float64 and faces (F, 3) int64, counter-clockwise seen from outside.
"""

from __future__ import annotations

import numpy as np


def is_watertight(faces: np.ndarray) -> bool:
    """Whether every edge joins exactly two faces that agree on which side is outside."""
    half = _half_edges(faces)
    count = int(faces.max(initial=0)) + 1
    forward, backward = half @ [count, 1], half @ [1, count]
    distinct = len(np.unique(forward)) == len(forward)
    return bool(len(half)) and distinct and np.array_equal(np.sort(forward), np.sort(backward))


def merge_equal(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces renumbered so that vertices at one position count as one (seams of uv and normals vanish)."""
    _, same = np.unique(vertices, axis=0, return_inverse=True)
    return drop_folded(same.reshape(-1)[faces])


def components(faces: np.ndarray) -> np.ndarray:
    """(F,) int64: the number of each face's connected component, counted from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(faces.max(initial=0)) + 1
    start, end = _half_edges(faces).T
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(count, count))
    label = connected_components(graph, directed=False)[1][faces[:, 0]]
    return np.unique(label, return_inverse=True)[1].reshape(-1)


def signed_volumes(vertices: np.ndarray, faces: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Volume enclosed by each component, negative where its faces look inwards (the wall of a cavity)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.bincount(label, weights=np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)


def compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface without the vertices that no face uses."""
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(faces.shape)


def drop_folded(faces: np.ndarray) -> np.ndarray:
    """Faces without those that name a vertex twice, or that lie on another face with the same vertices.

    Two faces back to back enclose nothing: both go.
    """
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    if not len(faces):
        return faces
    _, index, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    return faces[count[index.reshape(-1)] == 1]


def close(vertices: np.ndarray, faces: np.ndarray, rounds: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A closed, manifold surface from one with pinches and small holes.

    Folded faces go, vertices where several sheets touch are doubled so that each sheet has its own, and the loops
    that stay open are filled with fans; again, where a fan met an edge that had its two faces, up to `rounds` times.
    """
    for _ in range(rounds):
        faces = drop_folded(faces)
        owner = _sheets(faces)
        source = np.empty(owner.max(initial=-1) + 1, dtype=np.int64)
        source[owner] = faces
        vertices, faces = vertices[source], np.concatenate([owner, _fill(owner)])
        if is_watertight(faces):
            break
    return vertices, faces


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, faces weighted by area; (0, 1, 0) where the faces of a vertex cancel."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    total = np.stack(
        [
            np.bincount(faces.reshape(-1), weights=np.repeat(normal[:, i], 3), minlength=len(vertices))
            for i in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1.0), [0.0, 1.0, 0.0])


def smooth(vertices: np.ndarray, faces: np.ndarray, iterations: int) -> np.ndarray:
    """Vertices with the stair steps of a voxel grid ironed out.

    Taubin's λ|μ smoothing (1995): a step of 0.5 towards the neighbours' mean, then one of -0.53 away from it, so
    that the volume stays.
    """
    from scipy.sparse import coo_array, diags_array

    start, end = _half_edges(faces).T
    shape = (len(vertices), len(vertices))
    graph = coo_array((np.ones(len(start)), (start, end)), shape=shape).tocsr()
    graph = ((graph + graph.T) > 0).astype(np.float64)
    degree = graph.sum(axis=1)
    mean = diags_array(1 / np.maximum(degree, 1)) @ graph
    out = vertices
    for factor in (0.5, -0.53) * iterations:
        out = out + factor * (mean @ out - out) * (degree > 0)[:, None]
    return out


def _half_edges(faces: np.ndarray) -> np.ndarray:
    """(3F, 2) directed edges; row 3 f + i goes from corner i of face f to the next."""
    return np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)


def _sheets(faces: np.ndarray) -> np.ndarray:
    """(F, 3) vertex numbers where corners share one only if faces around it connect them, edge by edge.

    Edges of more than two faces connect nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    half = _half_edges(faces)
    _, edge, count = np.unique(np.sort(half, axis=1), axis=0, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1)
    order = np.argsort(edge, kind="stable")
    first, second = order[count[edge[order]] == 2].reshape(-1, 2).T
    end = np.arange(len(half)) // 3 * 3 + (np.arange(len(half)) + 1) % 3
    opposed = half[first, 0] != half[second, 0]
    left = np.concatenate([first, end[first]])
    right = np.concatenate([np.where(opposed, end[second], second), np.where(opposed, second, end[second])])
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(half), len(half)))
    return connected_components(graph, directed=False)[1].astype(np.int64).reshape(-1, 3)


def _fill(faces: np.ndarray) -> np.ndarray:
    """(T, 3) triangles that close every loop of edges with a single face."""
    half = _half_edges(faces)
    count = int(faces.max(initial=0)) + 1
    open_edges = half[~np.isin(half @ [1, count], half @ [count, 1])]
    # Walked against the faces' direction, so that the filling looks the same way out.
    following = {int(end): int(start) for start, end in open_edges}
    triangles = []
    while following:
        first, at = following.popitem()
        loop = [first, at]
        while at in following:
            at = following.pop(at)
            loop.append(at)
        loop = loop[:-1] if loop[-1] == first else loop
        triangles += [(loop[0], loop[i], loop[i + 1]) for i in range(1, len(loop) - 1)]
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)
