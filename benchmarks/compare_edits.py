"""Editing methods on six edits at equal network calls: docs/evidence/compare-edits.*

usage: python benchmarks/compare_edits.py [--out DIR] [--calls N] [--report]

Assets of the catalogue, the embedded prior, one seed. Every method has the same number of predictions a view; a method
that takes fewer steps of it takes larger ones. Each cell leaves a JSON file and a strip of views below DIR: stopped,
it goes on. With --report nothing is run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from compare_page import EVIDENCE, write_between

from sds3d import assetio
from sds3d.assetio.splat import SH_C0
from sds3d.core.assets import Mesh, Splats, sample_surface
from sds3d.core.cameras import turntable
from sds3d.core.errors import Sds3dError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of
from sds3d.jobs import configs
from sds3d.jobs.assemble import PriorCache, assemble
from sds3d.jobs.counting import steps_for
from sds3d.jobs.regions import settled
from sds3d.jobs.schema import RunConfig
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch
from sds3d.priors.scorer import load_scorer

SIDE, VIEWS, TRAVEL = 64, 8, 60.0
"""Side and number of the views that are judged; steps times learning rate of every run."""


@dataclass(frozen=True)
class Edit:
    """One edit: its name, both sentences, what is kept, and whether the asset is given as splats."""

    name: str
    source: str
    target: str
    keep: str = "shape"
    splats: bool = False


EDITS = (
    Edit("car", "a red car", "a blue car"),
    Edit("snowman", "a snowman with a black hat", "a snowman with a red hat"),
    Edit("cube", "a red cube", "a red sphere", "colour", splats=True),
    Edit("duck", "a yellow duck", "a green duck"),
    Edit("chair", "a brown chair", "a white chair"),
    Edit("mushroom", "a red mushroom", "a purple mushroom"),
)
METHODS: dict[str, dict[str, Any]] = {
    "dds": {},
    "dds auto": {"method": "dds"},
    "pds": {},
    "dreamcatalyst": {},
    "ssd_edit": {},
    "csd_edit": {},
    "csd_collab": {},
    "lusd": {},
    "sdedit": {"moves": 4},
    "dataset_update": {"moves": 5, "every": 2},
}
"""Label -> options; with the region `auto` where the label ends so, which costs calls of its own."""


def asset(edit: Edit, folder: Path) -> Path:
    """The file of an edit."""
    path = folder / f"{edit.name}.{'ply' if edit.splats else 'glb'}"
    if path.is_file():
        return path
    mesh = mesh_of(edit.source)
    if not edit.splats:
        assetio.write(mesh, path)
        return path
    count, scale = 1500, 0.03
    points, _ = sample_surface(mesh, count, Streams(0).uniform((3,), "splats", ids=range(count)).float())
    assert mesh.colors is not None
    near = torch.cdist(points, mesh.vertices).argmin(1)
    splats = Splats(
        points.float(),
        torch.full((count, 3), scale),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        torch.full((count,), 0.9),
        ((mesh.colors[near] - 0.5) / SH_C0)[:, None],
    )
    assetio.write(splats, path, "3dgs")
    return path


def mesh_of(caption: str) -> Mesh:
    """The catalogue's object of that sentence."""
    truth = truth_of(caption)
    assert truth is not None, caption
    return truth.mesh


def carry_out(
    edit: Edit, label: str, folder: Path, calls: int, cache: PriorCache, known: dict[str, int]
) -> dict[str, Any]:
    """One cell: its scores; the views are written beside. `known` holds the steps of methods that were counted."""
    given = {"method": label, **METHODS[label]}
    values = {
        "prompt": edit.target,
        "edit": {"source": str(asset(edit, folder)), "prompt": edit.source, "keep": edit.keep, "up": "+y"},
        "guidance": given,
        "optimize": {"views": 2, "preview_steps": 0},
        "threads": 1,
    }
    if label.endswith("auto"):
        values["edit"]["region"] = ["auto"]
    if label == "dataset_update":
        values["cameras"] = {"places": VIEWS}
    if not edit.splats:
        values["representation"] = {"kind": "edited_mesh", "shading": "pbr"}
    config = settled(configs.from_mapping(values), cache)
    steps = known.get(label) or steps_for(config, calls)
    session, spent = run(config, values, steps, cache)
    if abs(spent - calls) > 0.2 * calls:
        # how often LUSD draws anew depends on what the prior answers; the count takes it to keep its first draws
        steps = max(1, round(steps * calls / spent))
        session, spent = run(config, values, steps, cache)
    known[label] = steps
    assert session.stage.original is not None
    before, after = (shown(s) for s in (session.stage.original.representation, session.stage.representation))
    found = scores(edit, before["rgb"], after["rgb"], session.stage.representation)
    torch.save(after["rgb"][::2], folder / f"{edit.name}-{label}.pt".replace(" ", "-"))
    torch.save(before["rgb"][::2], folder / f"{edit.name}.pt")
    return {**found, "steps": steps, "calls": spent}


def run(config: RunConfig, values: dict[str, Any], steps: int, cache: PriorCache) -> tuple[Session, float]:
    """The edit carried out, and its predictions a view."""
    loop = {"views": 2, "steps": steps, "lr": TRAVEL / steps}
    optimize = configs.from_mapping(values | {"optimize": loop}).optimize
    session = Session(assemble(config.model_copy(update={"optimize": optimize}), Stopwatch(), cache))
    spent = 0.0
    while session.step < steps:
        grads = session.gradients()
        spent += float(grads.log["nfe"])
        session.apply(grads)
    return session, spent


@torch.no_grad()
def shown(scene: Any) -> dict[str, torch.Tensor]:
    """Views of a scene on white."""
    look = Look(turntable(VIEWS, 15.0), (SIDE, SIDE), torch.ones(VIEWS, 3))
    return {name: scene.render(look)[name].clamp(0, 1) for name in ("rgb", "alpha")}


def scores(edit: Edit, before: torch.Tensor, after: torch.Tensor, scene: Any) -> dict[str, float | None]:
    """Share of the views in which the scorer prefers the new words, and mean change where the truth does not change."""
    cosine = load_scorer().score(after, [edit.source, edit.target])
    out: dict[str, float | None] = {
        "prefers": float((cosine[:, 1] > cosine[:, 0]).float().mean()),
        "outside": None,
    }
    if edit.keep == "shape":
        pair = []
        for caption in (edit.source, edit.target):
            mesh = mesh_of(caption)
            moved = replace(mesh, vertices=scene.frame.to_world(mesh.vertices).float())
            pair.append(render_mesh(moved, turntable(VIEWS, 15.0), (SIDE, SIDE)))
        same = (pair[0]["rgb"] - pair[1]["rgb"]).abs().amax(1, keepdim=True) < 1e-3
        stays = (same & (pair[0]["alpha"] > 0.99)).expand_as(after)
        # nothing of a chair in one colour stays: no number then
        out["outside"] = float((after - before).abs()[stays].mean()) if bool(stays.any()) else None
    return out


def sheet(folder: Path, path: Path) -> None:
    """Two views of everything: a row an edit, first what it was."""
    from PIL import Image, ImageDraw

    edits = [e for e in EDITS if (folder / f"{e.name}.pt").is_file()]
    labels = ["before", *METHODS]
    wide, head = 2 * SIDE + 4, 14
    page = Image.new("RGB", (len(labels) * wide, head + len(edits) * (SIDE + 2)), "white")
    draw = ImageDraw.Draw(page)
    for column, label in enumerate(labels):
        draw.text((column * wide + 2, 1), label, fill="black")
        for row, edit in enumerate(edits):
            name = edit.name if label == "before" else f"{edit.name}-{label}".replace(" ", "-")
            if not (folder / f"{name}.pt").is_file():
                continue
            views = torch.load(folder / f"{name}.pt")[[0, 1]]
            for k, view in enumerate(views):
                pixels = (view.permute(1, 2, 0) * 255).round().byte().numpy()
                page.paste(Image.fromarray(pixels), (column * wide + k * SIDE, head + row * (SIDE + 2)))
    page.save(path, optimize=True)


def tables(found: dict[str, dict[str, Any]]) -> str:
    """A row a method: each edit's two numbers, then their means, steps and calls."""
    head = ["method", *(e.name for e in EDITS), "mean", "steps", "calls"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for label in METHODS:
        cells = [found.get(f"{e.name}-{label}") for e in EDITS]
        there = [c for c in cells if c and "prefers" in c]
        if not there:
            lines.append(f"| {label} | " + " | ".join("" for _ in head[1:]) + " |")
            continue
        away = [c["outside"] for c in there if c["outside"] is not None]
        mean = f"{sum(c['prefers'] for c in there) / len(there):.2f}" + (
            f" / {sum(away) / len(away):.3f}" if away else ""
        )
        numbers = [_cell(c) for c in cells]
        steps, calls = (sorted({round(c[n]) for c in there}) for n in ("steps", "calls"))
        ends = [f"{v[0]}" if len(v) == 1 else f"{v[0]}–{v[-1]}" for v in (steps, calls)]
        lines.append(f"| {label} | " + " | ".join([*numbers, mean, *ends]) + " |")
    return "\n".join(lines)


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if "refused" in cell:
        return "refused"
    return f"{cell['prefers']:.2f}" + ("" if cell["outside"] is None else f" / {cell['outside']:.3f}")


def main() -> None:
    """Run what is missing, and write the page's table and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/compare-edits"))
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cache: PriorCache = {}
    found: dict[str, dict[str, Any]] = {}
    known: dict[str, int] = {}
    for edit in EDITS:
        for label in METHODS:
            if label.endswith("auto") and edit.keep != "shape":
                continue
            file = args.out / f"{edit.name}-{label}.json".replace(" ", "-")
            if not file.is_file() and not args.report:
                try:
                    cell = carry_out(edit, label, args.out, args.calls, cache, known)
                except Sds3dError as error:
                    cell = {"refused": str(error)}
                file.write_text(json.dumps(cell))
                print(edit.name, label, cell, flush=True)
            if file.is_file():
                found[f"{edit.name}-{label}"] = json.loads(file.read_text())
    (EVIDENCE / "compare-edits.json").write_text(json.dumps(found, indent=0) + "\n")
    sheet(args.out, EVIDENCE / "compare-edits.png")
    write_between(EVIDENCE / "compare-edits.md", "compare_edits.py", [tables(found)])


if __name__ == "__main__":
    main()
