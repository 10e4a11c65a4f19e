"""Facts about a mesh that decide whether other programs can use it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..core.assets import Mesh


@dataclass(frozen=True)
class MeshQuality:
    """What `mesh_quality` found.

    Args:
        vertices, faces: counts after merging vertices at equal positions.
        watertight: every edge belongs to exactly two faces, which run along it in opposite directions.
        components: connected pieces, counted by shared vertices.
        open_edges: edges of one face only. crowded_edges: edges of more than two faces.
        degenerate_faces: faces without area or with a repeated vertex.
        largest_component: share of the faces in the largest piece, in [0, 1].
        volume: signed volume in cubic world units; positive when faces look outwards. 0 where not watertight.
        extent: (x, y, z) size of the bounding box.
    """

    vertices: int
    faces: int
    watertight: bool
    components: int
    open_edges: int
    crowded_edges: int
    degenerate_faces: int
    largest_component: float
    volume: float
    extent: tuple[float, float, float]

    def as_dict(self) -> dict:
        """Plain types, for JSON."""
        return asdict(self)


def _pieces(faces: np.ndarray, vertices: int) -> np.ndarray:
    """(F,) label of each face's connected piece."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(vertices, vertices))
    return connected_components(graph, directed=False)[1][faces[:, 0]]


def mesh_quality(mesh: Mesh) -> MeshQuality:
    """Counts and checks of a mesh; vertices at bitwise equal positions count as one (seams do not open it)."""
    positions, merged = np.unique(mesh.vertices.cpu().numpy(), axis=0, return_inverse=True)
    faces = merged.reshape(-1)[mesh.faces.cpu().numpy()].reshape(-1, 3)
    if len(faces) == 0:
        return MeshQuality(len(positions), 0, False, 0, 0, 0, 0, 0.0, 0.0, (0.0, 0.0, 0.0))
    corner = positions[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    forward = edges[:, 0] < edges[:, 1]
    _, which, count = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    balance = np.bincount(which.reshape(-1), weights=np.where(forward, 1.0, -1.0), minlength=len(count))
    watertight = bool((count == 2).all() and (balance == 0).all())
    pieces = np.unique(_pieces(faces, len(positions)), return_counts=True)[1]
    volume = float(np.einsum("fi,fi->f", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() / 6)
    size = corner.reshape(-1, 3).max(0) - corner.reshape(-1, 3).min(0)
    return MeshQuality(
        vertices=len(np.unique(faces)),
        faces=len(faces),
        watertight=watertight,
        components=len(pieces),
        open_edges=int((count == 1).sum()),
        crowded_edges=int((count > 2).sum()),
        degenerate_faces=int((area <= 0).sum()),
        largest_component=float(pieces.max() / len(faces)),
        volume=volume if watertight else 0.0,
        extent=(float(size[0]), float(size[1]), float(size[2])),
    )
