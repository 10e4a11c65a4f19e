"""sds3d undo: the asset as it was before an edit."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = (
    "Nothing is deleted: the edit stays, and can be edited again. Exit status: 0 done, 1 the run is no edit."
)


def command(
    run: str = typer.Argument(..., metavar="RUN", help="Run folder of an edit, or a name under runs/."),
    out: Path | None = typer.Option(None, "--out", help="Also put a copy of the file there."),
) -> None:
    """Print the file that an edit was made of, as it was and still is."""
    from ..jobs.history import undo
    from .find import find_run

    typer.echo(undo(find_run(run), out))
