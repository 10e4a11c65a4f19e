"""glTF's node tree: which meshes are shown, and where."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .gltf_container import Document


def instances(document: Document) -> Iterator[tuple[int, np.ndarray]]:
    """(mesh index, 4x4 float64 local-to-world) of every node of the default scene that shows a mesh; see `placed`."""
    for node, world in placed(document):
        yield document.take(node, "mesh", int), world


def placed(document: Document) -> Iterator[tuple[dict, np.ndarray]]:
    """(node, 4x4 float64 local-to-world) of every node of the default scene that shows a mesh.

    A file without scenes shows the nodes that are nobody's children.

    Raises:
        AssetError: a node has two parents or is its own ancestor (glTF admits a strict forest only).
    """
    nodes = document.take(document.json, "nodes", list, [])
    seen: set[int] = set()
    waiting = [(root, np.eye(4)) for root in reversed(_roots(document, nodes))]
    while waiting:
        index, parent = waiting.pop()
        node = document.item("nodes", index)
        if index in seen:
            raise document.error(f"node {index} appears twice in the node tree")
        seen.add(index)
        world = parent @ _local(document, node)
        if not np.isfinite(world).all():
            raise document.error(f"the transform of node {index} overflows")
        if "mesh" in node:
            yield node, world
        children = document.take(node, "children", list, [])
        waiting += [(child, world) for child in reversed(children)]


def _roots(document: Document, nodes: list) -> list:
    scenes = document.take(document.json, "scenes", list, [])
    if scenes:
        scene = document.item("scenes", document.take(document.json, "scene", int, 0))
        return document.take(scene, "nodes", list, [])
    children = {str(c) for n in nodes if isinstance(n, dict) for c in document.take(n, "children", list, [])}
    return [i for i in range(len(nodes)) if str(i) not in children]


def _local(document: Document, node: dict) -> np.ndarray:
    """The node's own matrix (stored column by column), or translation · rotation · scale."""
    if "matrix" in node:
        return document.numbers(node, "matrix", [0.0] * 16).reshape(4, 4).T
    x, y, z, w = document.numbers(node, "rotation", [0.0, 0.0, 0.0, 1.0])
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    out = np.eye(4)
    out[:3, :3] = rotation * document.numbers(node, "scale", [1.0, 1.0, 1.0])
    out[:3, 3] = document.numbers(node, "translation", [0.0, 0.0, 0.0])
    return out
