"""The acceptance table: the quality of finished runs on the 14 prompts, in every representation, and R-precision.

usage: python benchmarks/quality.py --config NAME=FILE [--config NAME=FILE ...] [--prompts all|acceptance|seen|held-out]
                                    [--runs DIR] [override ...]

NAME labels a column of the table (grid, gaussians …), FILE is a run config whose prompt is replaced; overrides
are those of `sds3d run`. Runs that are finished, and rows that are in the results file under the same config, are
kept, so a stopped benchmark continues. Results: benchmarks/results/quality.json; contact sheets (own renders above
the exported mesh) in each run's folder and, all prompts under each other, in DIR/NAME.png.

- IoU: silhouettes (alpha > .5, 128 px) over 8 views at elevation 15° against the mean shape of the generator that
  made the prior's training data; of the representation's own renders, and of the exported mesh. "turn": the best
  over the eight headings, which tells a wrong heading from a wrong shape.
- Chamfer: visible surfaces of the exported mesh and of that shape, in percent of the shape's bounding-box diagonal.
- R@1: the judge's rank of the caption among 1404, 16 views pooled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from reference import HELD_OUT, PROMPTS, SEEN, kind_of, reference_mesh

from sds3d.assetio import read
from sds3d.core.assets import Mesh
from sds3d.core.errors import Sds3dError
from sds3d.core.streams import Streams
from sds3d.evaluate.chamfer import visible_chamfer
from sds3d.evaluate.mesh_quality import mesh_quality
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.retrieval import Judge
from sds3d.evaluate.silhouette import silhouette_iou
from sds3d.evaluate.views import judge_cameras, outline_cameras, render_views
from sds3d.jobs import configs, metrics
from sds3d.jobs.execute import execute
from sds3d.jobs.export import load_representation
from sds3d.jobs.runfolder import RunFolder, list_runs

RESULTS = Path(__file__).parent / "results" / "quality.json"
BASELINE = Path(__file__).parent / "results" / "prototype_baseline.json"
MORE = (
    "a green sphere", "a white mug", "a yellow star", "a red heart", "a blue vase", "a brown chair",
    "a green cactus", "a gray elephant", "a pink pig", "a red apple",
)  # fmt: skip
GROUPS = {"all": PROMPTS + MORE, "acceptance": PROMPTS, "seen": SEEN, "held-out": HELD_OUT}
SIZE = 128


@dataclass(frozen=True)
class Job:
    """One run of the table: NAME, prompt, and its config."""

    name: str
    prompt: str
    config: object

    @property
    def key(self) -> str:
        """Its row in the results file."""
        return f"{self.name}/{self.prompt}"


def finished_run(job: Job, cache: dict) -> RunFolder:
    """The run's folder; a run of the same config that is there is used, or continued where it stopped."""
    same = configs.hash_of(job.config)
    known = [f for f in list_runs(job.config.runs) if configs.hash_of(f.config()) == same]
    folder = known[0] if known else RunFolder.create(job.config)
    if folder.status().state != "finished":
        execute(folder, cache=cache)
    return folder


def seconds_of_training(folder: RunFolder) -> float:
    """Sum of the step times in the run's metrics."""
    return sum(row["seconds"]["total"] for row in metrics.read(folder.metrics_file))


def measure(folder: RunFolder, prompt: str, judge: Judge) -> dict:
    """The numbers of one finished run, and its contact sheet as contact_quality.png in its folder."""
    representation, steps = load_representation(folder)
    truth, cameras = reference_mesh(kind_of(prompt)), outline_cameras()
    expected = render_mesh(truth, cameras, (SIZE, SIZE))["alpha"]
    own = render_views(representation.render, cameras, (SIZE, SIZE))
    judged = render_views(representation.render, judge_cameras(), (64, 64))["rgb"]
    verdict = judge.rank(judged.clamp(0, 1), prompt)
    row = {
        "iou": float(silhouette_iou(own["alpha"], expected).mean()),
        # a quarter turn off or the wrong way round: what the outline would give if only the heading were right
        "iou_best_turn": max(float(silhouette_iou(own["alpha"].roll(k, 0), expected).mean()) for k in range(8)),
        "rank": verdict.rank, "best": verdict.best, "view_hits": verdict.view_hits, "score": verdict.score,
        "steps": steps, "seconds": round(seconds_of_training(folder), 1), "run": folder.path.name,
    }  # fmt: skip
    mesh = read(folder.assets()["glb"]).mesh
    shown = render_mesh(mesh, cameras, (SIZE, SIZE), samples=2)
    quality = mesh_quality(mesh)
    row |= {
        "iou_mesh": float(silhouette_iou(shown["alpha"], expected).mean()),
        "chamfer_percent": chamfer_percent(mesh, truth),
        "watertight": quality.watertight, "components": quality.components, "faces": quality.faces,
    }  # fmt: skip
    save_sheet(folder.path / "contact_quality.png", own["rgb"], shown["rgb"])
    return row


def chamfer_percent(mesh: Mesh, truth: Mesh) -> float:
    """Distance of the visible surfaces in percent of the diagonal; a mesh too small to be seen counts as 100."""
    try:
        return 100 * visible_chamfer(mesh, truth, Streams(0)).mean / truth.bounds().diagonal
    except ValueError:
        return 100.0


def save_sheet(path: Path, *rows: torch.Tensor) -> None:
    """Rows of pictures (B, 3, H, W) under each other, as PNG."""
    from PIL import Image

    image = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(0, 1)
    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)


def stack_sheets(runs: Path, name: str) -> None:
    """The contact sheets of one NAME in the order of the prompts, as DIR/NAME.png."""
    from PIL import Image

    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    keys = [f"{name}/{prompt}" for prompt in GROUPS["all"] if f"{name}/{prompt}" in results]
    files = [runs / name / results[key]["run"] / "contact_quality.png" for key in keys]
    sheets = [Image.open(file) for file in files if file.exists()]
    if sheets:
        page = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
        for number, sheet in enumerate(sheets):
            page.paste(sheet, (0, sum(s.height for s in sheets[:number])))
        page.save(runs / f"{name}.png")


def summary(results: dict, name: str, prompts: Sequence[str]) -> dict[str, float]:
    """Means over the prompts of one NAME that are in the results."""
    rows = [results[f"{name}/{p}"] for p in prompts if f"{name}/{p}" in results]
    if not rows:
        return {}
    keys = (
        "iou",
        "iou_best_turn",
        "iou_mesh",
        "chamfer_percent",
        "view_hits",
        "watertight",
        "components",
        "seconds",
    )
    means = {key: sum(float(row[key]) for row in rows) / len(rows) for key in keys}
    return means | {
        "n": len(rows),
        "R@1": sum(row["rank"] == 1 for row in rows) / len(rows),
        "R@5": sum(row["rank"] <= 5 for row in rows) / len(rows),
    }


def table(results: dict, names: Sequence[str]) -> str:
    """The acceptance table as text: a line a prompt, then the means, beside the prototype's own."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    bars = {kind: baseline[kind] for kind in ("prior32", "prior64") if kind in baseline}
    lines = [
        "prompt".ljust(18) + "".join(f" proto {k[-2:]}" for k in bars) + "".join(f" | {n:34s}" for n in names)
    ]
    lines.append(" " * (18 + 9 * len(bars)) + " |   IoU  turn  mesh  Cham% rank  wt" * len(names))
    for prompt in GROUPS["all"]:
        line = prompt.ljust(18) + "".join(
            f"{bar[prompt]['iou']:9.3f}" if prompt in bar else " " * 9 for bar in bars.values()
        )
        for name in names:
            row = results.get(f"{name}/{prompt}")
            line += " | " + (
                f"{row['iou']:5.3f} {row['iou_best_turn']:5.3f} {row['iou_mesh']:5.3f} {row['chamfer_percent']:6.2f}"
                f" {row['rank']:4d}  {'y' if row['watertight'] else '-'}" if row else ""
            ).ljust(34)  # fmt: skip
        lines.append(line)
    for kind, bar in bars.items():
        lines.append(
            f"{kind} prototype: mean IoU {sum(r['iou'] for r in bar.values()) / len(bar):.3f} ({len(bar)})"
        )
    for name in names:
        for group in ("acceptance", "seen", "held-out", "all"):
            means = summary(results, name, GROUPS[group])
            lines.append(f"{name} {group}: " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()))
    return "\n".join(lines)


def main() -> None:
    """Carry out and measure what is missing; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--prompts", default="acceptance", choices=GROUPS)
    parser.add_argument("--runs", type=Path, default=Path("out/quality"))
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    judge, cache, names = Judge.bundled(), {}, [pair.split("=", 1)[0] for pair in args.config]
    for prompt in GROUPS[args.prompts]:
        for name, file in (pair.split("=", 1) for pair in args.config):
            words = [file, f"prompt={prompt}", f"runs={args.runs / name}", *args.overrides]
            job = Job(name, prompt, configs.from_words(words))
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            config_hash = configs.hash_of(job.config)
            if results.get(job.key, {}).get("config") == config_hash:
                continue
            try:
                folder = finished_run(job, cache)
            except Sds3dError as error:
                print(f"{job.key}: failed: {error}", flush=True)
                continue
            row = measure(folder, prompt, judge) | {"config": config_hash}
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            results[job.key] = row
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{job.key}: IoU {row['iou']:.3f} rank {row['rank']} ({row['seconds']:.0f} s)", flush=True)
    for name in names:
        stack_sheets(args.runs, name)
    print(table(json.loads(RESULTS.read_text()) if RESULTS.exists() else {}, names))


if __name__ == "__main__":
    main()
