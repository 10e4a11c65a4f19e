"""Carrying out runs from the command line, and telling how they ended."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from .output import print_json

if TYPE_CHECKING:
    from ..jobs.batch import Outcome
    from ..jobs.runfolder import RunFolder


def carry_out(folders: Sequence[RunFolder], quiet: bool, as_json: bool) -> int:
    """Run the folders in order; prints outcomes, returns the exit status."""
    from sds3d.apps.report import write_report

    from ..jobs.batch import run_batch
    from ..jobs.interrupt import stop_on_signals
    from . import progress

    with stop_on_signals() as flag:
        outcomes = run_batch(
            folders, lambda folder: progress.shown(folder, flag, quiet or as_json), [write_report]
        )
    if as_json:
        print_json([as_dict(o) for o in outcomes])
    else:
        for outcome in outcomes:
            _tell(outcome)
    states = {o.state for o in outcomes}
    return 130 if "stopped" in states else int("failed" in states)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
    folder = outcome.folder
    return {
        "run": str(folder.path),
        "prompt": folder.config().prompt,
        "state": outcome.state,
        "reason": outcome.reason,
        "assets": {kind: str(path) for kind, path in folder.assets().items()},
    }


def _tell(outcome: Outcome) -> None:
    folder = outcome.folder
    if outcome.state == "finished":
        others = [p for p in (folder.turntable, folder.contact, folder.report) if p.is_file()]
        for path in folder.assets().values():
            typer.echo(path)
        for path in others:
            typer.echo(path)
        return
    print(f"{folder.path}: {outcome.state}: {outcome.reason}", file=sys.stderr)
    if outcome.state in ("stopped", "queued") or any(folder.checkpoints.glob("*.safetensors")):
        print(f"  continue with: sds3d resume {folder.path}", file=sys.stderr)
