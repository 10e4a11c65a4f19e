"""Do distilled animals have one face, where it belongs? The camera told, and told by view words alone.

usage: python benchmarks/prior_sides.py [--names camera words] [--seeds N] [--runs DIR] [--page]

Contact sheets of all assets are DIR/camera.png and DIR/words.png.

Each animal whose sides can be told in true pictures (see sds3d/training/view_report.py), in one of the colours that
training may have shown on it, is made by an ordinary `sds3d run configs/quickstart.yaml` with the prior in the box;
"words" adds prior.condition_on_camera=false, and then front, side, back and overhead view are all that is said of the
camera. The grid's field is rendered from 24 sides at elevation 15° and each is matched with flat renders of the true
mesh. Numbers are given with all views, and again with lone mistaken ones smoothed over (sds3d/evaluate/headings.py).
Stopped, it goes on; a run is a line of benchmarks/results/prior_sides.jsonl, which is to be deleted, with the runs,
where the code has changed what a run makes. --page writes the table of docs/embedded-prior.md from the lines that there
are, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from compare_page import write_between
from prior_assets import PAGE, ROOT, SIDES, ring_seen, rounded, rows, weights_of
from quality import Job, finished_run
from sds3d.representations.base import Representation

from sds3d.assetio.image_bytes import encode_png
from sds3d.config import load, source
from sds3d.core.cameras import turntable
from sds3d.evaluate.headings import headings, without_lone, wrapped
from sds3d.evaluate.views import render_views
from sds3d.jobs import configs
from sds3d.jobs.export import load_representation
from sds3d.jobs.runfolder import RunFolder
from sds3d.training.options import TrainOptions
from sds3d.training.plan import learned_kinds
from sds3d.training.view_report import ELEVATION_DEG, caption_for, sides_can_be_told

RESULTS = ROOT / "benchmarks" / "results" / "prior_sides.jsonl"
NAMES = {"camera": "camera told", "words": "view words only"}
OVERRIDES = {"camera": [], "words": ["prior.condition_on_camera=false"]}
MODEL = "prior64"


def captions(seed: int) -> list[str]:
    """A sentence for each animal with a front that the prior learned, in another colour for each seed."""
    options = load.validate(TrainOptions, source.read(ROOT / "configs" / "prior" / f"{MODEL}.yaml"))
    animals = [k for k in learned_kinds(options.pictures) if k.group == "animals" and k.fronted]
    return [caption_for(kind, number + 4 * seed) for number, kind in enumerate(animals)]


def carry_out(name: str, seed: int, prompt: str, runs: Path, cache: dict) -> None:
    """One run and its line, unless it is there."""
    words = [
        str(ROOT / "configs" / "quickstart.yaml"), f"prompt={prompt}", f"seed={seed}", f"runs={runs / name}",
        f"prior.model={MODEL}", *OVERRIDES[name],
    ]  # fmt: skip
    job = Job(name, prompt, configs.from_words(words))
    known = {
        "name": name, "seed": seed, "prompt": prompt, "config": configs.hash_of(job.config),
        "weights": weights_of(MODEL),
    }  # fmt: skip
    if any(known.items() <= row.items() for row in rows(RESULTS)):
        return
    folder = finished_run(job, cache)
    representation, _ = load_representation(folder)
    row = known | rounded(sides(representation, prompt)) | {"run": folder.path.name}
    with RESULTS.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(f"{name} {prompt}: {row['error_deg']} degrees off, winding {row['winding']}", flush=True)


def sides(representation: Representation, prompt: str) -> dict:
    """What 24 views of an asset show."""
    camera, seen = ring_seen(representation, prompt)
    found, calm = headings(camera, seen), headings(camera, without_lone(seen))
    off = wrapped(torch.tensor(seen) - torch.tensor(camera)).abs()
    return {
        "error_deg": found.error_deg, "turn_deg": found.turn_deg, "within_15": int((off <= 15).sum()),
        "winding": found.winding, "fronts": found.fronts,
        "winding_without_lone": calm.winding, "fronts_without_lone": calm.fronts,
    }  # fmt: skip


def table(found: Sequence[dict]) -> str:
    """A line for either way of telling the camera, and below the animals whose sides are not as they should be."""
    lines = [
        "| | animals | median of the median errors | animals over 15° | views within 15° | winding number 1 "
        "| lone views smoothed over: winding number 1 | one front |\n|" + "---|" * 8
    ]
    wrong = []
    for name, label in NAMES.items():
        own = [row for row in found if row["name"] == name]
        if not own:
            continue
        lines.append(
            f"| {label} | {len(own)} | {median(row['error_deg'] for row in own):.0f}° "
            f"| {sum(row['error_deg'] > 15 for row in own)} | {fmean(row['within_15'] / SIDES for row in own):.3f} "
            f"| {sum(row['winding'] == 1 for row in own)} | {sum(row['winding_without_lone'] == 1 for row in own)} "
            f"| {sum(row['fronts_without_lone'] == 1 for row in own)} |"
        )
        bad = [
            row
            for row in own
            if row["error_deg"] > 15 or (row["winding_without_lone"], row["fronts_without_lone"]) != (1, 1)
        ]
        said = ", ".join(
            f"{row['prompt']} (turned by {row['turn_deg']:.0f}°, winding number {row['winding_without_lone']}, "
            f"fronts {row['fronts_without_lone']})"
            for row in bad
        )
        wrong.append(f"Not as they should be, {label}: {said or 'none'}.")
    return "\n".join(lines) + "\n\n" + "\n\n".join(wrong)


def save_sheet(name: str, runs: Path) -> None:
    """Front, left side, back and right side of every asset of a name, three assets a row, as DIR/NAME.png."""
    cells = []
    for row in (row for row in rows(RESULTS) if row["name"] == name):
        representation, _ = load_representation(RunFolder.open(runs / name / row["run"]))
        shown = render_views(representation.render, turntable(4, ELEVATION_DEG), (80, 80))["rgb"].clamp(0, 1)
        cells.append(torch.cat(list(shown[..., 10:70, :]), dim=2))
    cells += [torch.ones_like(cells[0])] * (-len(cells) % 3)
    page = torch.cat([torch.cat(cells[i : i + 3], dim=2) for i in range(0, len(cells), 3)], dim=1)
    (runs / f"{name}.png").write_bytes(encode_png(page))


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
        write_between(PAGE, "benchmarks/prior_sides.py", [table(rows(RESULTS))])
        return
    torch.set_num_threads(1)
    cache: dict = {}
    for seed in range(args.seeds):
        for prompt in (p for p in captions(seed) if sides_can_be_told(p)):
            for name in args.names:
                carry_out(name, seed, prompt, args.runs, cache)
    for name in args.names:
        save_sheet(name, args.runs)
    print(table(rows(RESULTS)))


if __name__ == "__main__":
    main()
