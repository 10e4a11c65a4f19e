"""Hash grid, perceptron and samples along rays on one thread: native against the plain torch twin and the limits.

    OMP_NUM_THREADS=1 python benchmarks/hash_grid.py [--points 65536] [--json out.json]

Times are CPU time of the calling thread, the least of several calls. "nerfstudio" is its torch encoding written again
after its published form (nerfstudio.field_components.encodings.HashEncoding, implementation "torch"): every level is
hashed, all levels are looked up at once; its rows lie elsewhere, so that only times can be compared. The limit is the
larger of two: every byte of inputs, results and table rows moved once at the rate of a large copy, and every
floating-point operation at the rate of a large matrix product, both measured in the same run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import torch
from sds3d.representations.raster.dispatch import native_status
from sds3d.representations.raster.hash_grid import encode, encode_slopes
from sds3d.representations.raster.hash_grid_layout import PRIMES, HashGrid
from sds3d.representations.raster.mlp import perceptron
from sds3d.representations.raster.sampled_rays import RaySamples, accumulate, sample, weights
from timing import least, peak_flops
from torch import Tensor

from sds3d.core.cameras import orbit, rays

GRIDS = {
    "8 levels of 2^15 rows": HashGrid(8, 2, 15, 8, 96),
    "16 levels of 2^19 rows": HashGrid(16, 2, 19, 16, 2048),
}
LAYERS = {"16-32-4": (16, 32, 4), "32-64-16": (32, 64, 16)}
Times = dict[str, dict[str, float]]


def copy_rate() -> float:
    """Bytes per second of a copy, reads and writes both counted."""
    source = torch.empty(1 << 25)
    target = torch.empty_like(source)
    return 2 * source.nbytes / (1e-3 * least(lambda: target.copy_(source), 5))


def nerfstudio(points: Tensor, table: Tensor, grid: HashGrid) -> Tensor:
    """(N, levels * features) as nerfstudio's torch encoding computes it; table: (levels * 2^log2_size, features)."""
    size, levels = 1 << grid.log2_size, torch.arange(grid.levels)
    scaled = points[:, None] * torch.floor(grid.base * grid.growth**levels)[:, None]
    low, high = scaled.floor().int(), scaled.ceil().int()
    offset = scaled - low
    primes = torch.tensor(PRIMES)

    def row(corner: tuple[bool, ...]) -> Tensor:
        at = torch.where(torch.tensor(corner), high, low).long() * primes
        return torch.remainder(at[..., 0] ^ at[..., 1] ^ at[..., 2], size) + levels * size

    values = {corner: table[row(corner)] for corner in product((False, True), repeat=3)}
    for axis in range(3):
        share = offset[..., 2 - axis, None]
        near = {c[:-1]: v for c, v in values.items() if not c[-1]}
        far = {c[:-1]: v for c, v in values.items() if c[-1]}
        values = {c: near[c] * (1 - share) + far[c] * share for c in near}
    return values[()].flatten(1)


def both_ways(call: Callable[[], Tensor], leaves: list[Tensor], repeats: int) -> tuple[float, float]:
    """Milliseconds forward, and backward."""
    out = call()
    upstream = torch.ones_like(out)

    def forward() -> None:
        with torch.no_grad():
            call()

    back = least(lambda: torch.autograd.grad(out, leaves, upstream, retain_graph=True), repeats)
    return least(forward, repeats), back


def encodings(grid: HashGrid, count: int, which: list[str], repeats: int) -> Times:
    """The hash grid by its implementations."""
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    table = torch.randn(grid.rows, grid.features).requires_grad_()
    found: Times = {}
    for name in which:
        forward, back = both_ways(
            lambda n=name: encode(points, table, grid, implementation=n), [table], repeats
        )
        with_slopes = least(
            lambda n=name: encode_slopes(points, table.detach(), grid, implementation=n), repeats
        )
        found[name] = {"encode": forward, "encode backward": back, "encode with slopes": with_slopes}
    other = torch.randn(grid.levels << grid.log2_size, grid.features).requires_grad_()
    forward, back = both_ways(lambda: nerfstudio(points, other, grid), [other], max(2, repeats // 5))
    found["nerfstudio"] = {"encode": forward, "encode backward": back}
    rate = copy_rate()
    rows = 4 * sum(min(size, 8 * count) for size in grid.sizes) * grid.features
    moved, out = 4 * count * (3 + grid.width), 4 * count * 3 * grid.width
    found["limit"] = {
        "encode": 1e3 * (moved + rows) / rate,
        "encode backward": 1e3 * (moved + rows + 8 * table.numel()) / rate,  # zeros written, then sums added
        "encode with slopes": 1e3 * (moved + out + rows) / rate,
    }
    return found


def perceptrons(count: int, which: list[str], repeats: int) -> Times:
    """Layers of two widths."""
    found: Times = {name: {} for name in [*which, "limit"]}
    flops = peak_flops(torch.float32, 10)
    for label, widths in LAYERS.items():
        pairs = list(pairwise(widths))
        x = torch.randn(count, widths[0]).requires_grad_()
        w = [torch.randn(b, a).requires_grad_() for a, b in pairs]
        b = [torch.randn(b).requires_grad_() for _, b in pairs]
        for name in which:
            forward, back = both_ways(
                lambda n=name, x=x, w=w, b=b: perceptron(x, w, b, implementation=n), [x, *w, *b], repeats
            )
            found[name] |= {f"perceptron {label}": forward, f"perceptron {label} backward": back}
        operations = 2 * count * sum(a * b for a, b in pairs)
        found["limit"] |= {
            f"perceptron {label}": 1e3 * operations / flops,
            f"perceptron {label} backward": 2e3 * operations / flops,
        }
    return found


def along_rays(which: list[str], repeats: int) -> Times:
    """Four views of 64 x 64 through a ball that fills a sixth of the cube."""
    line = (torch.arange(32) + 0.5) / 16 - 1
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    cells = (x * x + y * y + z * z).sqrt() < 0.68
    origins, directions = (
        v.reshape(-1, 3).contiguous() for v in rays(orbit([0.0, 90.0, 180.0, 270.0], 20.0), (64, 64))
    )
    found: Times = {}
    for name in which:
        kind = {"implementation": name}

        def take(k=kind) -> RaySamples:
            return sample(cells, origins, directions, half=0.85, samples=48, **k)

        samples = take()
        density = torch.rand(len(samples)).mul(20).requires_grad_()
        values = torch.rand(len(samples), 5).requires_grad_()

        def picture(k=kind, samples=samples, density=density, values=values) -> Tensor:
            return accumulate(weights(density, samples, **k), values, samples, **k)

        forward, back = both_ways(picture, [density, values], repeats)
        found[name] = {"samples": least(take, repeats), "weights and sums": forward, "their backward": back}
    rate, count = copy_rate(), len(samples)
    found["limit"] = {
        "samples": 1e3 * 28 * count / rate,
        "weights and sums": 1e3 * 36 * count / rate,
        "their backward": 1e3 * 64 * count / rate,
    }
    return found


def table(title: str, found: Times) -> str:
    """One line a kernel."""
    columns = [name for name in ("nerfstudio", "twin", "native", "limit") if name in found]
    lines = [
        f"\n{title}",
        f"{'ms':28}" + "".join(f"{c:>12}" for c in columns) + f"{'twin/native':>13}{'native/limit':>14}",
    ]
    for kernel in found["twin"]:
        cells = [found[c].get(kernel) for c in columns]
        line = f"{kernel:28}" + "".join(f"{'-':>12}" if v is None else f"{v:12.2f}" for v in cells)
        if "native" in found:
            native = found["native"][kernel]
            line += f"{found['twin'][kernel] / native:12.1f}x{native / found['limit'][kernel]:13.1f}x"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--points", type=int, default=65536, help="points of the hash grid and the perceptron"
    )
    parser.add_argument("--repeats", type=int, default=10, help="calls of each")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    status = native_status()
    print(
        f"native core: {status['instruction_set'] if status['built'] else 'not built: ' + str(status['reason'])}"
    )
    which = ["twin", "native"] if status["built"] else ["twin"]
    everything = {
        f"{arguments.points} points, {label}": encodings(grid, arguments.points, which, arguments.repeats)
        for label, grid in GRIDS.items()
    }
    everything[f"{arguments.points} points, perceptron"] = perceptrons(
        arguments.points, which, arguments.repeats
    )
    everything["16384 rays, 48 samples a diameter"] = along_rays(which, arguments.repeats)
    for title, found in everything.items():
        print(table(title, found))
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
