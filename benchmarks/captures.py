"""A small capture of a known asset: renders a GLB or glTF from a spiral of places and writes the camera files.

    python benchmarks/captures.py car.gltf OUT --views 48 --size 96

makes OUT/nerfstudio (transforms.json), OUT/colmap-bin and OUT/colmap-txt (sparse/0), each with images/, in a space that
is turned, shifted and 3.5 times ours. `sds3d fit OUT/colmap-bin` fits them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from capture_cases import ELSEWHERE, around, write_views
from sds3d.representations.edited import SceneEdit
from sds3d.representations.edited_mesh import Options, create

from sds3d.core.look import Look
from sds3d.core.streams import Streams

KINDS = {"nerfstudio": "nerfstudio", "colmap-bin": "bin", "colmap-txt": "txt"}


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--views", type=int, default=48)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--alpha", action="store_true", help="Pictures with alpha, else on white.")
    args = parser.parse_args()
    scene = create(Options(samples=4), Streams(0), SceneEdit(file=str(args.model)))
    cameras, rgb, cover = around(args.views), [], []
    with torch.no_grad():
        for k in range(args.views):
            look = Look(cameras[[k]], (args.size, args.size), torch.zeros(1, 3))
            seen = scene.render(look)
            rgb.append(seen["rgb"].clamp(0, 1))
            cover.append(seen["alpha"].clamp(0, 1))
    for name, kind in KINDS.items():
        pictures = torch.cat(rgb), torch.cat(cover)
        write_views(args.out / name, kind, cameras, pictures, ELSEWHERE, args.alpha)
        print(args.out / name)


if __name__ == "__main__":
    main()
