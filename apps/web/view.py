"""What there is to see of a run now, as plain data with addresses below /runs; read from the folder each time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sds3d.apps.report.curves import line_chart, thin
from sds3d.apps.report.page import named

from sds3d.core.errors import Sds3dError
from sds3d.jobs import history as edits
from sds3d.jobs import metrics
from sds3d.jobs.editing import EDITABLE
from sds3d.jobs.queue.queue import Job, State
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.separating import sound_files

from .facts import facts_of, sounds_of

ACTIONS: dict[State, tuple[str, ...]] = {
    "waiting": ("pause", "cancel"),
    "running": ("pause", "keep"),
    "stopping": (),
    "paused": ("run", "keep"),
    "finished": ("edit", "more", "fork"),
    "failed": ("run", "fork"),
    "stopped": ("run", "keep", "fork"),
}
"""What can be done with a run in a state: names of buttons."""
_TAIL = 20_000
_TURNED = ("glb", "3dgs", "splat")
"""Kinds of assets that the page shows from all sides."""


def place(job: Job) -> dict[str, Any]:
    """A line of the queue; a run of somebody else has no name."""
    known = job.folder.config_file.is_file()
    return {
        "name": job.folder.path.name if known else "",
        "prompt": facts_of(job.folder).prompt if known else "",
        "state": job.state,
        "place": job.place,
        "priority": job.ticket.priority,
    }


def card(job: Job) -> dict[str, Any]:
    """A run in a list."""
    folder, status = job.folder, _status(job.folder)
    return {
        "name": folder.path.name,
        "prompt": facts_of(folder).prompt,
        "state": job.state,
        "place": job.place,
        "step": status.step,
        "steps": status.steps,
        "updated": status.updated,
        "reason": status.reason,
        "tags": list(job.ticket.tags),
        "picture": _address(folder, folder.contact) or _address(folder, newest(folder, "render")),
    }


def whole(job: Job) -> dict[str, Any]:
    """Everything about one run."""
    folder = job.folder
    rows, told = tail(folder.metrics_file), card(job)
    recent = pace(rows[-20:])
    per_step = sum(recent) / len(recent) if recent else 0.0
    if rows and job.state == "running":
        told["step"] = rows[-1]["step"]
    known = facts_of(folder)
    words = sounds_of(folder)
    done = job.state not in ("running", "stopping", "waiting")
    assets = folder.assets()
    model = next((assets[kind] for kind in _TURNED if kind in assets), None)
    every = [path for files in folder.particles() for path in files.values()]
    shown = [*every, folder.turntable, folder.contact, folder.report, folder.config_file]
    return told | {
        "seed": known.seed,
        "representation": known.representation,
        "method": known.method,
        "steps_per_s": 1 / per_step if per_step else None,
        "seconds_left": per_step * (told["steps"] - told["step"]) if per_step and not done else None,
        "preview": _address(folder, newest(folder, "render")),
        "x0": _address(folder, newest(folder, "x0")),
        "film": _address(folder, folder.turntable) if done else None,
        "contact": _address(folder, folder.contact) if done else None,
        "report": _address(folder, folder.report) if done else None,
        "before_after": _address(folder, folder.before_after) if done else None,
        "edited": known.edited,
        "model": _address(folder, model) if model else None,
        "hears": bool(words),
        "sounds": _sounds(folder, words) if done else [],
        "files": [_file(folder, p) for p in shown if p.is_file()] if done else [],
        "actions": [a for a in _actions(job) if a != "edit" or set(EDITABLE) & set(assets)],
    }


def _actions(job: Job) -> tuple[str, ...]:
    """What can be done with a run; one that a command line carries out is stopped there."""
    by_hand = job.state == "running" and job.ticket.wish != "run"
    return () if by_hand else ACTIONS[job.state]


def _sounds(folder: RunFolder, words: Sequence[str]) -> list[dict[str, Any]]:
    """The sounds of a run, each with what it is."""
    files = sound_files(folder)
    said = [words[k] if k < len(words) else "" for k in range(len(files))]
    return [_file(folder, path) | {"words": text} for path, text in zip(files, said, strict=True)]


def curves(folder: RunFolder) -> list[str]:
    """The charts that are watched: size of the residual, noise level, score; of several guidances each; SVG."""
    rows = list(metrics.read(folder.metrics_file))
    charts = []
    wanted = (("residual", True), ("t", False), ("alpha", False), ("score", False))
    for key, log_scale in ((key, log) for name, log in wanted for key in named(rows, name)):
        points = [(row["step"], row[key]) for row in rows if isinstance(row.get(key), int | float)]
        charts.append(line_chart(key, thin(points, 160), log_scale))
    return [c for c in charts if c]


def history(folder: RunFolder, visible: Callable[[RunFolder], bool]) -> list[dict[str, Any]]:
    """The tree of edits that a run belongs to, from the file or run that it began with."""
    steps = edits.tree(folder.path, folder.path.parent)
    return [
        {
            "name": step.run.path.name if step.run and visible(step.run) else "",
            "what": facts_of(step.run).prompt if step.run and visible(step.run) else step.file.name,
            "depth": step.depth,
            "here": step.here,
        }
        for step in steps
        if step.run is None or visible(step.run) or step.depth == 0
    ]


def tail(path: Path) -> list[dict[str, Any]]:
    """The last rows of a metrics file, without reading the rest."""
    try:
        with open(path, "rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - _TAIL)
            file.seek(start)
            lines = file.read().split(b"\n")
    except OSError:
        return []
    # the first may be the end of a longer line, the last is unfinished or empty
    whole_lines = lines[1:-1] if start else lines[:-1]
    return [row for line in whole_lines if (row := _row(line)) is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    """A line as a mapping; None for one that is damaged."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def pace(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each of these steps, as far as they tell."""
    told = [row["seconds"].get("total") for row in rows if isinstance(row.get("seconds"), dict)]
    return [s for s in told if isinstance(s, int | float) and 0 < s < math.inf]


def newest(folder: RunFolder, name: str) -> Path | None:
    """The newest preview of a name, None where there is none."""
    return max(folder.previews.glob(f"step_*_{name}.png"), default=None)


def _address(folder: RunFolder, path: Path | None) -> str | None:
    """Where the server hands a file out; it changes when the file does, so that browsers do not show an old one."""
    if path is None or not path.is_file():
        return None
    stamp = path.stat().st_mtime_ns // 1_000_000
    return f"/runs/{quote(folder.path.name)}/{quote(str(path.relative_to(folder.path)))}?{stamp}"


def _file(folder: RunFolder, path: Path) -> dict[str, Any]:
    return {"name": path.name, "url": _address(folder, path), "bytes": path.stat().st_size}


def _status(folder: RunFolder) -> Any:
    from sds3d.jobs.runfolder import Status

    try:
        return folder.status()
    except Sds3dError as error:
        return Status("failed", str(error))
