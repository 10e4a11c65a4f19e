"""Flat Gaussians, forward and backward, one thread: native, twin, Warp's kernels on the CPU, arithmetic floor.

    OMP_NUM_THREADS=1 python benchmarks/surfels.py [--repeats 10] [--json out.json]

Times are CPU milliseconds of the whole call, the least of several. The twin holds every surfel at every pixel, so it is
measured on the small scene alone. The floor is pairs (pixel, surfel) that count times 266 operations, 83 forward and
183 backward, divided by the multiply-add rate that the same instruction set reaches in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import torch
from gaussians import Scene, gaussians, least, peak
from sds3d.representations.raster import surfels, surfels_twin
from sds3d.representations.raster.dispatch import native_status
from sds3d.representations.raster.surfels import rasterize_surfels
from torch import Tensor

from sds3d.core.cameras import Cameras, orbit

FLOPS_PER_PAIR = 83 + 183

SCENES = (
    Scene("1k @64", 1_000, 0.03, 64),
    Scene("10k @128", 10_000, 0.0125, 128),
    Scene("10k @256", 10_000, 0.0125, 256),
)
SLOW = SCENES[:1]
"""Scenes that the twin has room for."""


def flat(scene: Scene) -> list[Tensor]:
    """As `gaussians`, with the first two scales."""
    means, scales, *rest = (leaf.detach() for leaf in gaussians(scene))
    return [leaf.contiguous().requires_grad_() for leaf in (means, scales[:, :2], *rest)]


@torch.no_grad()
def counting_pairs(leaves: list[Tensor], cameras: Cameras, size: tuple[int, int]) -> int:
    """How many surfels count at how many pixels."""
    means, scales, rotations, opacities, _ = leaves
    view, focal = surfels.opencv_view(cameras), cameras.focal(size[0])
    transform, _ = surfels._before(means, scales, rotations, view, cameras.position, focal, size)
    order = surfels._boxes(transform, opacities, size, 0.01)[0][0]
    rows = order[order >= 0].long()
    matrices, chosen = transform[0, rows], opacities[rows]
    centre = matrices[:, :2, 2] / matrices[:, 2:, 2]
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)
    parts = (surfels_twin._alphas(part, matrices, centre, chosen, 0.01)[0] for part in pixels.split(128))
    return sum(int((alpha > 0).sum()) for alpha in parts)


def measure(scene: Scene, repeats: int) -> dict[str, float | str]:
    """One row of the table."""
    leaves, size, camera = flat(scene), (scene.size, scene.size), orbit([20.0], 15.0)
    weight = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))

    def ours(implementation: str) -> tuple[float, float]:
        start = time.thread_time()
        out = rasterize_surfels(*leaves, camera, size, torch.ones(1, 3), implementation=implementation)
        middle = time.thread_time()
        ((out.rgb * weight).sum() + out.distortion.sum()).backward()
        return middle - start, time.thread_time() - middle

    ours("native")
    native = least(lambda: ours("native"), repeats)
    pairs = counting_pairs(leaves, camera, size)
    floor = 1e3 * pairs * FLOPS_PER_PAIR / peak()
    row: dict[str, float | str] = {
        "scene": scene.name,
        "pairs_million": pairs / 1e6,
        "native_forward": native[0],
        "native_backward": native[1],
        "floor": floor,
        "over_floor": sum(native) / floor,
    }
    if scene in SLOW:
        for name in ("twin", "warp"):
            ours(name)
            other = least(partial(ours, name), 3)
            row |= {f"{name}_forward": other[0], f"{name}_backward": other[1]}
            row[f"{name}_ratio"] = sum(other) / sum(native)
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"instruction set {native_status()['instruction_set']}, {peak() / 1e9:.0f} GFLOP/s")
    rows = []
    for scene in SCENES:
        rows.append(measure(scene, options.repeats))
        told = (f"{k} {v if isinstance(v, str) else format(v, '.3g')}" for k, v in rows[-1].items())
        print(", ".join(told), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
