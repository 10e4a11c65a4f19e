"""Reference shapes of the 59 kinds of object that prior32 knows, in sds3d's world.

`reference/shapes.npz` holds the mean shape of every kind (jitter at mid-range) as the data generator builds it,
converted from its world (z up, front +x) to ours (y up, front +z: x→z, y→x, z→y).

usage: python benchmarks/reference.py GENERATOR_FOLDER    (writes the file again)
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import torch

from sds3d.core.assets import Mesh

FILE = Path(__file__).parent / "reference" / "shapes.npz"
SEEN = (
    "a red cube", "a blue torus", "a yellow duck", "a red car", "a brown table", "a red mushroom", "a white snowman",
)  # fmt: skip
HELD_OUT = (
    "a green duck", "a purple cube", "a pink car", "a cyan torus", "a blue mushroom", "a purple teapot",
    "a pink rocket",
)  # fmt: skip
PROMPTS = SEEN + HELD_OUT


class MiddleOfRange:
    """Stands in for a random generator whose uniform draws are all the middle of their range."""

    def uniform(self, low: float, high: float) -> float:
        """The mean of the two bounds."""
        return 0.5 * (low + high)


def kind_of(prompt: str) -> str:
    """The object of a prompt "a <colour> <object>"."""
    return prompt.split(" ", 2)[2]


def reference_mesh(kind: str) -> Mesh:
    """The mean shape of a kind, without colours; a soup of closed parts that overlap."""
    with np.load(FILE) as data:
        vertices, faces = data[f"{kind}/vertices"], data[f"{kind}/faces"]
    return Mesh(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int64)), name=kind)


def write(generator: Path) -> None:
    """Build every kind with the generator's own code and store it."""
    sys.path.insert(0, str(generator))
    shapes = importlib.import_module("shapes")
    arrays = {}
    for kind in shapes.NAMES:
        parts = shapes.build(kind, MiddleOfRange())
        soup = np.concatenate([part[0] for part, _ in parts]).reshape(-1, 3)[:, [1, 2, 0]].astype(np.float32)
        vertices, corner = np.unique(soup, axis=0, return_inverse=True)
        arrays[f"{kind}/vertices"] = vertices
        arrays[f"{kind}/faces"] = corner.reshape(-1, 3).astype(np.uint16)
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
