"""The embedded prior distilled: 24 prompts against the meshes that the generator makes of the same sentences.

usage: python benchmarks/prior_assets.py [--names grid gaussians] [--seeds N] [--model prior64] [--runs DIR] [--only N]
                                         [--page]

Every run is an ordinary `sds3d run` at quickstart effort. Stopped, it goes on: finished runs are kept, and a measured
one is a line of benchmarks/results/prior_assets.jsonl. Contact sheets (the run's own renders, the exported mesh, the
typical true mesh) lie in the run's folder and, all under each other, in DIR/NAME.png. --page writes the tables of
docs/embedded-prior.md from the lines that there are, and runs nothing.

- R@1: the bundled judge's rank of the caption among 1404, 16 views pooled; beside it the scorer's, among those of them
  whose words it knows. No run here is steered by either.
- IoU, Chamfer: see evaluate.likeness; against the typical build and four varied ones.
- azimuth: 24 views at elevation 15° matched as `sds3d prior eval --views` does it; only where true pictures of other
  builds are all found in that way.

Eight prompts are pairs of colour and kind that training never saw: they are on the fixed list in objects/held_out.py,
which the shipped models' training heeded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median

import torch
from compare_page import write_between
from quality import Job, finished_run, save_sheet, seconds_of_training
from sds3d.representations.base import Representation

from sds3d.assetio import read
from sds3d.core.cameras import turntable
from sds3d.core.errors import Sds3dError
from sds3d.evaluate.azimuth import azimuths_seen
from sds3d.evaluate.captions import candidates
from sds3d.evaluate.headings import headings
from sds3d.evaluate.likeness import likeness
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.retrieval import Judge
from sds3d.evaluate.truth import truth_of, truths_of
from sds3d.evaluate.views import judge_cameras, outline_cameras, render_views
from sds3d.jobs import configs
from sds3d.jobs.export import load_representation
from sds3d.jobs.runfolder import RunFolder
from sds3d.priors.kinds.embedded import Options, weight_files
from sds3d.priors.scorer import load_scorer
from sds3d.training.evaluation import readable
from sds3d.training.view_report import ELEVATION_DEG, sides_can_be_told, truth_views

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "prior_assets.jsonl"
PAGE = ROOT / "docs" / "embedded-prior.md"
CONFIGS = {"grid": "quickstart.yaml", "gaussians": "gaussians.yaml"}
HELD_OUT = (
    "a green duck", "a purple teapot", "a pink car", "a blue mushroom", "a purple cube", "a pink rocket",
    "a red elephant", "a cyan torus",
)  # fmt: skip
PROMPTS = (
    "a red car", "a green duck", "a red cube", "a brown chair", "a purple teapot", "a yellow duck", "a pink car",
    "a gray elephant", "a blue mushroom", "a brown table", "a pink pig", "a purple cube", "a white mug",
    "a pink rocket", "a white snowman", "a blue torus", "a red elephant", "a yellow star", "a red mushroom",
    "a cyan torus", "a green cactus", "a blue vase", "a brown horse", "a blue teapot",
)  # fmt: skip
SIZE, VARIED, SIDES = 128, 4, 24


def rows(path: Path = RESULTS) -> list[dict]:
    """The measured runs, the first one first."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def weights_of(model: str) -> str:
    """What tells one training's weights from another's under the same name."""
    place = {"folder": Path(model)} if Path(model).is_dir() else {"model": model}
    data = b"".join(file.read_bytes() for file in weight_files(Options(**place)))
    return hashlib.sha256(data).hexdigest()[:12]


def judges() -> dict[str, Judge]:
    """Both bundled models, each over the candidates that it can read."""
    scorer = load_scorer()
    return {"rank": Judge.bundled(), "rank_scorer": Judge(scorer, readable(scorer, candidates()))}


def measure(folder: RunFolder, prompt: str, asked: dict[str, Judge]) -> dict:
    """The numbers of a finished run; its contact sheet as contact_truth.png in its folder."""
    representation, steps = load_representation(folder)
    mesh, builds = read(folder.assets()["glb"]).mesh, [t.mesh for t in truths_of(prompt, VARIED)]
    own = render_views(representation.render, outline_cameras(), (SIZE, SIZE))
    judged = render_views(representation.render, judge_cameras(), (64, 64))["rgb"]
    verdicts = {name: judge.rank(judged.clamp(0, 1), prompt) for name, judge in asked.items()}
    pictures = [render_mesh(m, outline_cameras(), (SIZE, SIZE), samples=2)["rgb"] for m in (mesh, builds[0])]
    save_sheet(folder.path / "contact_truth.png", own["rgb"], *pictures)
    return {
        **{name: v.rank for name, v in verdicts.items()}, "best": verdicts["rank"].best,
        **asdict(likeness(own["alpha"], mesh, builds)),
        "azimuth": azimuth(representation, prompt), "steps": steps,
        "seconds": seconds_of_training(folder), "run": folder.path.name,
    }  # fmt: skip


def azimuth(representation: Representation, prompt: str) -> dict | None:
    """Which sides the asset shows; None where its kind has no front that could be told."""
    if not truth_of(prompt).fronted or not sides_can_be_told(prompt):
        return None
    found = headings(*ring_seen(representation, prompt))
    return {
        "error_deg": found.error_deg, "turn_deg": found.turn_deg, "turned_error_deg": found.turned_error_deg,
        "winding": found.winding, "fronts": found.fronts,
    }  # fmt: skip


def ring_seen(representation: Representation, prompt: str) -> tuple[list[float], list[float]]:
    """Azimuths in degrees of 24 views of an asset, and those of the true object that they look like."""
    ring = turntable(SIDES, ELEVATION_DEG)
    shown = render_views(representation.render, ring, (64, 64))["rgb"].clamp(0, 1)
    return ring.azimuth_deg.tolist(), azimuths_seen(shown, truth_views(prompt)).tolist()


def rounded(value):
    """Four digits are enough."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def carry_out(name: str, seed: int, prompt: str, args: argparse.Namespace, asked: dict, cache: dict) -> None:
    """One run and its line, unless it is there."""
    model = "folder" if Path(args.model).is_dir() else "model"
    words = [
        str(ROOT / "configs" / CONFIGS[name]), f"prompt={prompt}", f"seed={seed}", f"runs={args.runs / name}",
        f"prior.{model}={args.model}",
    ]  # fmt: skip
    job = Job(name, prompt, configs.from_words(words))
    mark, weights = configs.hash_of(job.config), weights_of(args.model)
    if any((row["config"], row["weights"]) == (mark, weights) for row in rows()):
        return
    try:
        folder = finished_run(job, cache)
    except Sds3dError as error:
        print(f"{name} {prompt}: failed: {error}", flush=True)
        return
    known = {
        "name": name, "model": Path(args.model).name, "seed": seed, "prompt": prompt,
        "held_out": prompt in HELD_OUT, "config": mark, "weights": weights,
    }  # fmt: skip
    row = known | rounded(measure(folder, prompt, asked))
    with RESULTS.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(
        f"{name} {prompt}: IoU {row['iou']} rank {row['rank']}, {row['rank_scorer']} ({row['seconds']:.0f} s)",
        flush=True,
    )


def means(found: Sequence[dict], label: str) -> str:
    """One line of the first table."""
    sides = [row["azimuth"] for row in found if row["azimuth"]]
    cells = [
        *(f"{sum(row[key] == 1 for row in found)} of {len(found)}" for key in ("rank", "rank_scorer")),
        *(f"{fmean(row[key] for row in found):.3f}" for key in ("iou", "iou_best", "iou_turned")),
        *(f"{fmean(row[key] for row in found):.1f}" for key in ("chamfer", "chamfer_best", "chamfer_turned")),
    ]
    cells += (
        [
            f"{median(s['error_deg'] for s in sides):.0f}°",
            f"{sum(s['winding'] == 1 for s in sides)} of {len(sides)}",
        ]
        if sides
        else ["", ""]
    )
    return f"| {label} | " + " | ".join(cells) + " |"


def summary(found: Sequence[dict]) -> str:
    """The table of means."""
    head = (
        "| | R@1 | by the scorer | IoU, mean over builds | best build | at the best heading | Chamfer %, mean "
        "| best build | at the best heading | azimuth error, median | winding 1 |\n|" + "---|" * 11
    )
    lines = [head]
    for key in dict.fromkeys((row["model"], row["name"]) for row in found):
        own = [row for row in found if (row["model"], row["name"]) == key]
        label = f"{key[1]}, {key[0]}"
        lines.append(means(own, label))
        for sort, held in (("seen pairs", False), ("held-out pairs", True)):
            some = [row for row in own if row["held_out"] == held]
            lines += [means(some, f"{label}, {sort}")] if some else []
    return "\n".join(lines)


def each(found: Sequence[dict]) -> str:
    """A line a run."""
    lines = [
        "| run | seed | rank, by the scorer | IoU, mean (best) | Chamfer %, mean (best) | turned by "
        "| azimuth error, winding |\n|" + "---|" * 7
    ]
    for row in found:
        side = row["azimuth"]
        seen = f"{side['error_deg']:.0f}°, {side['winding']}" if side else ""
        # a cube looks nearly alike at every quarter: the best of those turns says nothing
        turn = row["turn_deg"] if row["iou_turned"] - row["iou"] >= 0.01 else 0.0
        lines.append(
            f"| {row['name']}, {row['prompt']}{' (held out)' if row['held_out'] else ''} | {row['seed']} "
            f"| {row['rank']}, {row['rank_scorer']} "
            f"| {row['iou']:.2f} ({row['iou_best']:.2f}) | {row['chamfer']:.1f} ({row['chamfer_best']:.1f}) "
            f"| {turn:.0f}° | {seen} |"
        )
    return "\n".join(lines)


def stack_sheets(runs: Path, name: str) -> None:
    """Every other view of the contact sheets of one name, in the order of the prompts, as DIR/NAME.png."""
    from PIL import Image, ImageDraw

    found = [(row, runs / name / row["run"] / "contact_truth.png") for row in rows() if row["name"] == name]
    sheets = [(row["prompt"], Image.open(path)) for row, path in found if path.exists()]
    side, columns = SIZE // 2, 2
    wide, high = 8 * side + 8, 3 * side + 14
    page = Image.new("RGB", (columns * wide, -(-len(sheets) // columns) * high), "white")
    pen = ImageDraw.Draw(page)
    for k, (prompt, sheet) in enumerate(sheets):
        x, y = k % columns * wide, k // columns * high
        page.paste(sheet.resize((8 * side, 3 * side), Image.LANCZOS), (x, y + 12))
        pen.text((x + 2, y), prompt, fill="black")
    if sheets:
        page.save(runs / f"{name}.png")


def main() -> None:
    """Carry out and measure what is missing; print the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="+", default=list(CONFIGS), choices=CONFIGS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="prior64", help="prior32, prior64 or a model folder")
    parser.add_argument("--runs", type=Path, default=Path("out/prior_assets"))
    parser.add_argument("--only", type=int, default=len(PROMPTS), help="the first N prompts")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.page:
        write_between(PAGE, "benchmarks/prior_assets.py", [summary(rows()), each(rows())])
        return
    torch.set_num_threads(1)
    asked, cache = judges(), {}
    for seed in range(args.seeds):
        for name in args.names:
            for prompt in PROMPTS[: args.only]:
                carry_out(name, seed, prompt, args, asked, cache)
            stack_sheets(args.runs, name)
    print(summary(rows()))


if __name__ == "__main__":
    main()
