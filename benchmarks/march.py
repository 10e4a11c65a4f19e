"""The grid kernels on one thread: native against the plain torch twin, and against an arithmetic estimate.

    OMP_NUM_THREADS=1 python benchmarks/march.py [--size 64] [--views 4] [--samples 48] [--json out.json]

Times are CPU time of the calling thread, the least of several calls, so that other programs on the machine
disturb little. The estimate counts floating-point operations of the algorithm and divides by what a large
matrix product reaches on this core in the same run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from sds3d.representations.grid import Options, create
from sds3d.representations.raster.dispatch import native_status
from sds3d.representations.raster.march import compose, march, total_variation
from sds3d.representations.raster.march_twin import intervals
from timing import least, peak_flops

from sds3d.core.cameras import orbit, rays
from sds3d.core.streams import Streams

# floating-point operations of one unit, counted on the formulas in march_twin
OPS_SAMPLE = 3 * 7 + 3 * (8 + 8 + 8 + 4) + 2 * 22 + 20  # cell, trilinear value, two exponentials, compositing
OPS_SAMPLE_BACK = OPS_SAMPLE + 20 + 8 * 4 * 2 + 8  # ... suffix sums, eight weighted adds of four channels
OPS_VOXEL = 4 * (3 * 3 + 2 * 22)  # three levels interpolated along z, exponential and logarithm
OPS_VOXEL_BACK = 4 * (25 + 3 * 4)
OPS_VARIATION = 4 * (3 * 3 + 3 * 6)


def measure(implementation: str, views: int, size: int, samples: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each kernel, forward and backward."""
    options = Options()
    field = create(options, Streams(0))
    levels = [level.requires_grad_() for level in field.levels]
    bias, generator = field._bias, torch.Generator().manual_seed(0)
    cameras = orbit([360.0 * k / views + 10 for k in range(views)], 20.0)
    origins, directions = (v.reshape(-1, 3).contiguous() for v in rays(cameras, (size, size)))
    offsets = torch.rand(len(origins), generator=generator)
    which = {"implementation": implementation}
    geometry = {"half": options.half_extent, "samples": samples}
    volume = compose(levels, bias, **which)
    leaf = volume.detach().requires_grad_()
    out = march(leaf, origins, directions, offsets, **geometry, **which)
    upstream, cotangent = (
        torch.randn(volume.shape, generator=generator),
        torch.randn(out.shape, generator=generator),
    )

    def variation() -> None:
        torch.autograd.grad(total_variation(leaf, **which), leaf)

    return {
        "compose": least(lambda: compose(levels, bias, **which), repeats),
        "compose backward": least(
            lambda: torch.autograd.grad(volume, levels, upstream, retain_graph=True), repeats
        ),
        "march": least(lambda: march(leaf, origins, directions, offsets, **geometry, **which), repeats),
        "march backward": least(
            lambda: torch.autograd.grad(out, leaf, cotangent, retain_graph=True), repeats
        ),
        "total variation, both": least(variation, repeats),
    }


def estimate(views: int, size: int, samples: int) -> dict[str, float]:
    """Milliseconds if every operation ran at the matrix product's rate."""
    options, rate = Options(), peak_flops(torch.float32, 20)
    cameras = orbit([360.0 * k / views + 10 for k in range(views)], 20.0)
    origins, directions = (v.reshape(-1, 3) for v in rays(cameras, (size, size)))
    count = float(intervals(origins, directions, options.half_extent, samples)[2].sum())
    voxels = options.resolutions[-1] ** 3
    operations = {
        "compose": voxels * OPS_VOXEL,
        "compose backward": voxels * OPS_VOXEL_BACK,
        "march": count * OPS_SAMPLE,
        "march backward": count * OPS_SAMPLE_BACK,
        "total variation, both": voxels * OPS_VARIATION,
    }
    return {name: 1e3 * value / rate for name, value in operations.items()}


def table(results: dict[str, dict[str, float]]) -> str:
    """One line a kernel."""
    twin, native, bound = results["twin"], results.get("native"), results["estimate"]
    lines = [f"{'ms':24}{'twin':>10}{'native':>10}{'ratio':>8}{'estimate':>10}{'native/estimate':>17}"]
    for name in [*twin, "together"]:
        t, b = (sum(v.values()) if name == "together" else v[name] for v in (twin, bound))
        if native is None:
            lines.append(f"{name:24}{t:10.2f}{'-':>10}{'-':>8}{b:10.2f}{'-':>17}")
            continue
        n = sum(native.values()) if name == "together" else native[name]
        lines.append(f"{name:24}{t:10.2f}{n:10.2f}{t / n:7.1f}x{b:10.2f}{n / b:16.1f}x")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, nargs="+", default=[32, 64], help="edge of the square views in pixels"
    )
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--samples", type=int, default=48, help="samples along a diameter")
    parser.add_argument(
        "--repeats", type=int, default=30, help="calls of each native kernel; a fifth of the twin's"
    )
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    status, everything = native_status(), {}
    print(
        f"native core: {status['instruction_set'] if status['built'] else 'not built: ' + str(status['reason'])}"
    )
    for size in arguments.size:
        case = (arguments.views, size, arguments.samples)
        results = {
            "twin": measure("twin", *case, max(2, arguments.repeats // 5)),
            "estimate": estimate(*case),
        }
        if status["built"]:
            results["native"] = measure("native", *case, arguments.repeats)
        print(f"\n{case[0]} views of {size} x {size}, {case[2]} samples, grids {Options().resolutions}")
        print(table(results))
        everything[str(size)] = results
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
