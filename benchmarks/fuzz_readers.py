"""Reads mutated files of every format and counts what happens: read, refused with a clear error, or a defect.

    python benchmarks/fuzz_readers.py --cases 100000

A defect is another exception, more than ten seconds, more than --memory-gb of address space, or a file opened outside
the model's folder. Each is kept under --keep with its number, from which the case can be made again.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz_assets import Watch, case, judge, lay, seeds


def main() -> int:
    """Runs the cases; the exit status is 1 where a defect was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="in all, shared among the formats")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--formats", default="", help="such as glb,obj; all by default")
    parser.add_argument(
        "--memory-gb", type=float, default=3.0, help="address space beyond what is there at the start"
    )
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder of the defects")
    options = parser.parse_args()
    chosen = {k: v for k, v in seeds().items() if not options.formats or k in options.formats.split(",")}
    watch = Watch()
    warnings.simplefilter("ignore")  # Pillow warns of large pictures before they are refused
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + int(options.memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    each = -(-options.cases // len(chosen))
    defects, table = 0, {}
    for kind, found in chosen.items():
        began, counts, reasons = time.perf_counter(), collections.Counter(), collections.Counter()
        slowest = 0.0
        with tempfile.TemporaryDirectory() as name:
            for number in range(options.first, options.first + each):
                seed = found[number % len(found)]
                folder = Path(name) / str(number % len(found))
                folder.mkdir(exist_ok=True)
                data = case(seed, number)
                start = time.perf_counter()
                outcome, detail = judge(lay(seed, data, folder), watch)
                slowest = max(slowest, time.perf_counter() - start)
                counts[outcome] += 1
                reasons[detail] += outcome == "refused"
                if outcome == "defect":
                    defects += 1
                    options.keep.mkdir(exist_ok=True, parents=True)
                    (options.keep / f"{kind}_{number}_{seed.name}").write_bytes(data)
                    print(f"{kind} {number}: {detail[:300]}", flush=True)
        seconds = time.perf_counter() - began
        table[kind] = {
            **counts,
            "reasons": len(reasons),
            "seconds": round(seconds, 1),
            "slowest": round(slowest, 2),
        }
        print(kind, json.dumps(table[kind]), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = {k: sum(row.get(k, 0) for row in table.values()) for k in ("read", "refused", "defect")}
    print("total", json.dumps({**total, "peak_mb": round(peak)}))
    return int(defects > 0)


if __name__ == "__main__":
    sys.exit(main())
