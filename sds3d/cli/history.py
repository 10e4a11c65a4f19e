"""sds3d history: the edits that a run or a file belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..jobs.history import Step

EPILOG = (
    "Each edit stands below what it was made of; * marks the one that was asked about. Any of them can be edited "
    "again: sds3d edit RUN. Exit status: 0 done, 1 there is no such run or file."
)


def command(
    what: str = typer.Argument(..., metavar="RUN|FILE", help="Run folder, a name under runs/, or a file."),
    runs: Path = typer.Option(Path("runs"), "--runs", help="Folder in which further edits are looked for."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Tell where an edited asset comes from, and what else was made of it."""
    from ..jobs import history
    from .find import find_run
    from .output import print_json

    path = Path(what)
    target = path if path.is_file() else find_run(what, str(runs)).path
    steps = history.tree(target, runs)
    if as_json:
        print_json([_facts(step) for step in steps])
        return
    for step in steps:
        facts = _facts(step)
        mark = "*" if step.here else " "
        name = facts["run"] or facts["file"]
        told = f'  "{facts["prompt"]}"  {facts["state"]}' if facts["prompt"] else ""
        typer.echo(f"{mark} {'  ' * step.depth}{name}{told}")


def _facts(step: Step) -> dict[str, object]:
    config = None if step.run is None else step.run.config()
    return {
        "file": str(step.file),
        "run": None if step.run is None else str(step.run.path),
        "prompt": None if config is None else config.prompt,
        "keep": None if config is None or config.edit is None else config.edit.keep,
        "state": None if step.run is None else step.run.status().state,
        "depth": step.depth,
        "here": step.here,
    }
