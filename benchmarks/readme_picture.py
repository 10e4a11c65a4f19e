"""The picture of README: finished runs of benchmarks/prior_assets.py, each asset.glb from two sides.

python benchmarks/readme_picture.py out/prior_assets/grid docs/images/readme.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from quality import save_sheet

from sds3d.assetio import read
from sds3d.core.cameras import orbit
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.jobs.runfolder import RunFolder, list_runs

ROWS = (
    ("a red car", "a yellow duck", "a brown chair", "a purple teapot"),
    ("a red mushroom", "a pink rocket", "a green cactus", "a gray elephant"),
)
SIDES, ELEVATION_DEG, SIZE = (50.0, 290.0), 15.0, 160


def two_sides(folder: RunFolder) -> list[torch.Tensor]:
    """The exported mesh in its own colours, without further light, (3, SIZE, SIZE) each."""
    mesh = read(folder.assets()["glb"]).mesh
    return list(
        render_mesh(mesh, orbit(list(SIDES), ELEVATION_DEG), (SIZE, SIZE), samples=3)["rgb"].clamp(0, 1)
    )


def main() -> None:
    """Write the picture from the seed 0 runs of a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder of finished runs")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    found = {f.config().prompt: f for f in list_runs(args.runs) if f.config().seed == 0}
    save_sheet(args.out, *([view for prompt in row for view in two_sides(found[prompt])] for row in ROWS))


if __name__ == "__main__":
    main()
