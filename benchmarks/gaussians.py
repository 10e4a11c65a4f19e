"""Gaussian rasterization, forward and backward, one thread: native, twin, gsplat's torch reference, arithmetic floor.

    OMP_NUM_THREADS=1 python benchmarks/gaussians.py [--repeats 30] [--no-twin] [--json out.json]

Times are CPU milliseconds, the least of several calls, so that other programs on the machine disturb little (a
neighbour on the same core still slows everything, the reference and the measured peak included). "Raster" is what
follows projection: lists by tile, compositing, and its backward; "all" is the whole call with projection,
spherical harmonics and autograd. The floor is useful pairs (pixel, Gaussian) times 96 operations, 34 forward and
62 backward, divided by the multiply-add rate that the same instruction set reaches in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sds3d.representations.raster.dispatch import instruction_level, native_module, native_status
from sds3d.representations.raster.gaussians import rasterize_gaussians
from torch import Tensor

from sds3d.core.cameras import orbit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from gaussian_oracle import contributing_pairs, reference_blend, reference_projection

FLOPS_PER_PAIR = 96


@dataclass(frozen=True)
class Scene:
    """`count` Gaussians in a ball; `scale`: median standard deviation; `size`: pixels of the square image."""

    name: str
    count: int
    scale: float
    size: int


SCENES = (
    Scene("10k @128", 10_000, 0.0125, 128),
    Scene("10k @256", 10_000, 0.0125, 256),
    Scene("10k fat @256", 10_000, 0.028, 256),
    Scene("50k @256", 50_000, 0.007, 256),
)


def gaussians(scene: Scene) -> list[Tensor]:
    """Leaves means, scales, rotations, opacities, sh of degree 0."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    n = scene.count
    radius = 0.8 * torch.rand(n, 1, generator=generator) ** (1 / 3)
    arrays = [
        torch.nn.functional.normalize(normal(n, 3), dim=1) * radius,
        scene.scale * torch.exp(0.4 * normal(n, 3)),
        normal(n, 4),
        torch.sigmoid(normal(n) + 2),
        0.3 * normal(n, 1, 3),
    ]
    return [array.requires_grad_() for array in arrays]


def least(call: Callable[[], tuple[float, ...]], repeats: int) -> list[float]:
    """Each of the call's numbers at its least, in milliseconds."""
    return [1e3 * min(column) for column in zip(*(call() for _ in range(repeats)), strict=True)]


def peak(seconds: float = 0.3) -> float:
    """Multiply-adds per second of this thread, counted as two operations each: the best of short bursts."""
    module, _ = native_module()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.thread_time()
        flops, _ = module.multiply_adds(100_000, instruction_level())
        best = max(best, flops / (time.thread_time() - start))
    return best


def measure(scene: Scene, repeats: int, with_twin: bool) -> dict[str, float | str]:
    """One row of the table."""
    leaves, size = gaussians(scene), (scene.size, scene.size)
    camera, background = orbit([20.0], 15.0), torch.ones(1, 3)
    weight = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    pictures: dict[str, Tensor] = {}

    def ours(implementation: str) -> tuple[float, float]:
        start = time.thread_time()
        render = rasterize_gaussians(*leaves, camera, size, background, implementation=implementation)
        state = getattr(render.rgb.grad_fn, "state", None)
        render.rgb.backward(weight)
        pictures[implementation] = render.rgb.detach()
        total = time.thread_time() - start
        return (sum(state.seconds[1:4]) if state else 0.0), total

    def gsplats() -> tuple[float, float]:
        start = time.thread_time()
        projection = reference_projection(*leaves[:3], leaves[4], camera, size)
        cut = [t.detach().requires_grad_(t.is_floating_point()) for t in projection]
        opacities = leaves[3].detach().requires_grad_()
        projected = time.thread_time()
        rgb = reference_blend(cut, opacities, size, background)[0]
        rgb.backward(weight)
        blended = time.thread_time()
        live = [
            (p, c.grad)
            for p, c in zip(projection, cut, strict=True)
            if c.grad is not None and p.requires_grad
        ]
        torch.autograd.backward([p for p, _ in live], [g for _, g in live])
        pictures["gsplat"] = rgb.detach()
        return blended - projected, time.thread_time() - start

    ours("native")
    native, reference = least(lambda: ours("native"), repeats), least(gsplats, 2)
    radii, means2d, depths, conics, _ = (
        t.detach() for t in reference_projection(*leaves[:3], leaves[4], camera, size)
    )
    pairs = contributing_pairs(means2d[0], conics[0], leaves[3].detach(), radii[0], depths[0], *size[::-1])[0]
    floor = 1e3 * len(pairs) * FLOPS_PER_PAIR / peak()
    row: dict[str, float | str] = {
        "scene": scene.name,
        "pairs_million": len(pairs) / 1e6,
        "native_raster": native[0],
        "native_all": native[1],
        "gsplat_raster": reference[0],
        "gsplat_all": reference[1],
        "raster_ratio": reference[0] / native[0],
        "all_ratio": reference[1] / native[1],
        "floor": floor,
        "over_floor": native[0] / floor,
        "difference": float((pictures["native"] - pictures["gsplat"]).abs().max()),
    }
    if with_twin:
        row["twin_all"] = least(lambda: ours("twin"), 2)[1]
        row["twin_ratio"] = row["twin_all"] / native[1]
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--no-twin", action="store_true", help="leave out the slowest column")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"instruction set {native_status()['instruction_set']}, multiply-add rate {peak() / 1e9:.0f} GFLOP/s"
    )
    rows = []
    for scene in SCENES:
        rows.append(measure(scene, options.repeats, not options.no_twin))
        if len(rows) == 1:
            print(" | ".join(rows[0]))
        print(" | ".join(v if isinstance(v, str) else f"{v:.3g}" for v in rows[-1].values()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
