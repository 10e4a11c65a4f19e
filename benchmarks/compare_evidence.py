"""Every method with the embedded prior at equal network calls: runs and tables of docs/evidence/compare-embedded.md.

usage: python benchmarks/compare_evidence.py [--out DIR] [--report] [NAME ...]

NAME is one of 3d, 3d-words, 2d, 2d-words (all by default): in 3D and as a picture, with the camera told to the prior
and with view words alone. Stopped, it goes on. With --report nothing is run. Results: docs/evidence/compare-embedded.*
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from compare_page import EVIDENCE, compact, load, sheet, table, write_between

from sds3d.cli.main import main as command

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "compare"
WORDS = ["prior.condition_on_camera=false"]
COMPARISONS = {"3d": ("3d", []), "3d-words": ("3d", WORDS), "2d": ("2d", []), "2d-words": ("2d", WORDS)}
SHOWN = {
    "3d": (
        "r1",
        "r5",
        "iou",
        "iou_turned",
        "second_face",
        "judged_faces",
        "consistency",
        "saturation",
        "clipped",
    ),
    "2d": ("r1", "r5", "cosine", "iou", "iou_turned", "saturation", "clipped"),
}
COSTS = ("steps", "calls", "pictures", "seconds", "peak")
DIGITS = {
    "iou": 3,
    "iou_turned": 3,
    "cosine": 3,
    "consistency": 3,
    "steps": 0,
    "calls": 0,
    "pictures": 0,
    "peak": 0,
}


def carry_out(name: str, out: Path, report: bool) -> dict:
    """The comparison of that name; `report` makes the files of what is there."""
    config, words = COMPARISONS[name]
    line = ["compare", str(CONFIGS / f"{config}.yaml"), *words, "--out", str(out / name)]
    try:
        command([*line, *(["--report"] if report else [])])
    except SystemExit as left:
        if left.code == 130:
            raise
    return load(out / name)


def main() -> None:
    """Run what is missing, and write the page's tables, its pictures and the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    parser.add_argument("--report", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    for name in args.names or COMPARISONS:
        carry_out(name, args.out, args.report)
    found = {n: load(args.out / n) for n in COMPARISONS if (args.out / n / "comparison.json").is_file()}
    text = json.dumps({name: compact(value) for name, value in found.items()}, ensure_ascii=False)
    (EVIDENCE / "compare-embedded.json").write_text(text + "\n")
    parts = []
    for name in COMPARISONS:
        if name not in found:
            parts.append("Not run.")
            continue
        scored = sum(run["scores"] is not None for run in found[name]["runs"])
        parts.append(
            f"{scored} of {len(found[name]['runs'])} runs are scored.\n\n"
            + table(found[name], SHOWN[COMPARISONS[name][0]], DIGITS)
        )
        flat = COMPARISONS[name][0] == "2d"
        sheet(args.out / name, EVIDENCE / f"compare-{name}.png", 64 if flat else 56, columns=1 if flat else 2)
    parts.append(
        "\n\n".join(f"{n}:\n\n" + table(found[n], COSTS, DIGITS) for n in ("3d", "2d") if n in found)
    )
    write_between(EVIDENCE / "compare-embedded.md", "compare_evidence.py", parts)


if __name__ == "__main__":
    main()
