"""Does a short training run lie on the curve of the shipped one?

usage: sds3d prior train configs/prior/prior64.yaml folder=out/check parts=out/prior64 seed=1 images=20000 decay_share=0
       python benchmarks/prior_curve.py out/check/curve.jsonl

Another seed draws other weights, captions, noise and cameras' order. Both curves are means over 50 steps; the spread of
such a mean is taken from the recorded curve's own jumps between neighbours, late in its steady part.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

RECORDED = Path(__file__).parent / "results" / "prior64_curve.jsonl"
FIRST = 200
"""Steps of the warm-up, which are left out."""


def losses(path: Path) -> dict[int, float]:
    """Step -> mean loss of the 50 steps before; of a repeated step the last line counts."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines}


def spread(curve: dict[int, float], until: int) -> float:
    """Relative standard deviation of one mean, from the median jump between neighbours of the later half."""
    steady = [curve[s] for s in sorted(curve) if until / 2 < s <= until]
    jumps = [abs(b / a - 1) for a, b in pairwise(steady)]
    return median(jumps) / 0.6745 / 2**0.5


def main() -> None:
    """Print the two curves beside each other, and how far they are apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curve", type=Path)
    parser.add_argument("--recorded", type=Path, default=RECORDED, help="the curve of the whole run")
    parser.add_argument(
        "--steady", type=int, default=3125, help="steps before the rate of the recorded run falls"
    )
    args = parser.parse_args()
    if not args.recorded.is_file():
        parser.error(f"{args.recorded} is not there: name the curve.jsonl of the whole run by --recorded")
    recorded, short = losses(args.recorded), losses(args.curve)
    both = sorted(s for s in recorded.keys() & short.keys() if s >= FIRST)
    if not both:
        parser.error(f"{args.curve} has no step after {FIRST} in common with the recorded one")
    ratios = [short[s] / recorded[s] - 1 for s in both]
    for step, ratio in zip(both, ratios, strict=True):
        print(
            f"step {step:5d}: recorded {recorded[step]:.4f}, this run {short[step]:.4f} ({100 * ratio:+.1f} %)"
        )
    print(f"mean difference {100 * fmean(ratios):+.1f} %, largest {100 * max(map(abs, ratios)):.1f} %")
    print(f"spread of one mean in the recorded run: {100 * spread(recorded, args.steady):.1f} %")


if __name__ == "__main__":
    main()
