"""Do distilled animals have one face, where it belongs? The camera told, and told by view words alone.

usage: python benchmarks/prior_sides.py [--names camera words] [--seeds N] [--runs DIR] [--page]

Each animal whose sides can be told in true pictures (see sds3d/training/view_report.py), in one of the colours that
training may have shown on it, is made by an ordinary `sds3d run configs/quickstart.yaml` with the prior in the box;
"words" adds prior.condition_on_camera=false, and then front, side, back and overhead view are all that is said of the
camera. The grid's field is rendered from 24 sides at elevation 15° and each is matched with flat renders of the true
mesh. Stopped, it goes on; a run is a line of benchmarks/results/prior_sides.jsonl. --page writes the table of
docs/embedded-prior.md from the lines that there are, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from compare_page import write_between
from prior_assets import PAGE, ROOT, azimuth, rounded, weights_of
from quality import Job, finished_run

from sds3d.config import load, source
from sds3d.jobs import configs
from sds3d.jobs.export import load_representation
from sds3d.training.options import TrainOptions
from sds3d.training.plan import learned_kinds
from sds3d.training.view_report import caption_for, sides_can_be_told

RESULTS = ROOT / "benchmarks" / "results" / "prior_sides.jsonl"
NAMES = {"camera": [], "words": ["prior.condition_on_camera=false"]}
MODEL = "prior64"


def rows() -> list[dict]:
    """The measured runs, the first one first."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def captions(seed: int) -> list[str]:
    """A sentence for each animal with a front that the prior learned, in another colour for each seed."""
    options = load.validate(TrainOptions, source.read(ROOT / "configs" / "prior" / f"{MODEL}.yaml"))
    animals = [k for k in learned_kinds(options.pictures) if k.group == "animals" and k.fronted]
    return [caption_for(kind, number + 4 * seed) for number, kind in enumerate(animals)]


def carry_out(name: str, seed: int, prompt: str, runs: Path, cache: dict) -> None:
    """One run and its line, unless it is there."""
    words = [
        str(ROOT / "configs" / "quickstart.yaml"), f"prompt={prompt}", f"seed={seed}", f"runs={runs / name}",
        f"prior.model={MODEL}", *NAMES[name],
    ]  # fmt: skip
    job = Job(name, prompt, configs.from_words(words))
    known = {
        "name": name, "seed": seed, "prompt": prompt, "config": configs.hash_of(job.config),
        "weights": weights_of(MODEL),
    }  # fmt: skip
    if any(known.items() <= row.items() for row in rows()):
        return
    folder = finished_run(job, cache)
    representation, _ = load_representation(folder)
    row = known | {"azimuth": rounded(azimuth(representation, prompt)), "run": folder.path.name}
    with RESULTS.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(f"{name} {prompt}: {row['azimuth']}", flush=True)


def table(found: Sequence[dict]) -> str:
    """A line for either way of telling the camera, and below the animals whose sides are not as they should be."""
    lines = ["| | runs | median error | over 15° | winding number 1 | one front |\n|" + "---|" * 6]
    wrong = []
    for name in NAMES:
        own = [row for row in found if row["name"] == name]
        if not own:
            continue
        seen = [row["azimuth"] for row in own]
        lines.append(
            f"| {name} | {len(own)} | {median(s['error_deg'] for s in seen):.0f}° "
            f"| {sum(s['error_deg'] > 15 for s in seen)} | {sum(s['winding'] == 1 for s in seen)} "
            f"| {sum(s['fronts'] == 1 for s in seen)} |"
        )
        bad = [row for row in own if row["azimuth"]["winding"] != 1 or row["azimuth"]["error_deg"] > 15]
        said = ", ".join(
            f"{row['prompt']} ({row['azimuth']['error_deg']:.0f}°, {row['azimuth']['winding']})"
            for row in bad
        )
        wrong.append(f"Not as they should be, {name} (error, winding number): {said or 'none'}.")
    return "\n".join(lines) + "\n\n" + "\n\n".join(wrong)


def main() -> None:
    """Carry out and measure what is missing; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("out/prior_sides"))
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.page:
        write_between(PAGE, "benchmarks/prior_sides.py", [table(rows())])
        return
    torch.set_num_threads(1)
    cache: dict = {}
    for seed in range(args.seeds):
        for prompt in (p for p in captions(seed) if sides_can_be_told(p)):
            for name in args.names:
                carry_out(name, seed, prompt, args.runs, cache)
    print(table(rows()))


if __name__ == "__main__":
    main()
