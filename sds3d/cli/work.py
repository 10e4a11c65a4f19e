"""Carrying out runs from the command line, and telling how they ended."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from .output import print_json

if TYPE_CHECKING:
    from ..jobs.batch import Outcome, Refusal
    from ..jobs.runfolder import RunFolder


def carry_out(
    folders: Sequence[RunFolder], quiet: bool, as_json: bool, refused: Sequence[Refusal] = ()
) -> int:
    """Run the folders in order; prints outcomes, returns the exit status.

    Args:
        refused: prompts without a folder; told at once, and again at the end if runs lie between.
    """
    from sds3d.apps.report import write_report

    from ..jobs.batch import run_batch
    from ..jobs.interrupt import stop_on_signals
    from . import progress

    if not as_json:
        _tell_refused(refused)
    with stop_on_signals() as flag:
        outcomes = run_batch(
            folders, lambda folder: progress.shown(folder, flag, quiet or as_json), [write_report]
        )
    if as_json:
        print_json([*(as_dict(o) for o in outcomes), *map(_refused_as_dict, refused)])
    else:
        for outcome in outcomes:
            _tell(outcome)
        _tell_refused(refused if outcomes else ())
    states = {o.state for o in outcomes}
    return 130 if "stopped" in states else int("failed" in states or bool(refused))


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
    folder = outcome.folder
    from ..jobs.fitting import held_out_psnr

    found = held_out_psnr(folder)
    return {
        "run": str(folder.path),
        "prompt": folder.config().prompt,
        "state": outcome.state,
        "reason": outcome.reason,
        "assets": {kind: str(path) for kind, path in folder.assets().items()},
        **({} if found is None else {"psnr_held_out": round(found, 3)}),
    }


def _refused_as_dict(refusal: Refusal) -> dict[str, Any]:
    """A refused prompt in the form of `as_dict`: there is no run."""
    return {
        "run": None,
        "prompt": refusal.prompt,
        "state": "refused",
        "reason": refusal.reason,
        "assets": {},
    }


def _tell_refused(refused: Sequence[Refusal]) -> None:
    for refusal in refused:
        print(f'"{refusal.prompt}": refused: {refusal.reason}', file=sys.stderr)


def _tell(outcome: Outcome) -> None:
    from ..jobs.fitting import held_out_psnr

    folder = outcome.folder
    if outcome.state == "finished":
        others = [p for p in (folder.turntable, folder.contact, folder.report) if p.is_file()]
        for path in folder.assets().values():
            typer.echo(path)
        for path in others:
            typer.echo(path)
        if (found := held_out_psnr(folder)) is not None:
            print(f"{folder.path}: PSNR {found:.2f} dB on views that were not fitted", file=sys.stderr)
        return
    print(f"{folder.path}: {outcome.state}: {outcome.reason}", file=sys.stderr)
    if outcome.state in ("stopped", "queued") or any(folder.checkpoints.glob("*.safetensors")):
        print(f"  continue with: sds3d resume {folder.path}", file=sys.stderr)
