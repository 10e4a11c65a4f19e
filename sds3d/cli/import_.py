"""sds3d import: configs of other tools as ours."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

EPILOG = "Exit status: 0 converted, 1 it asks for something that does not exist here, 2 it cannot be read."

app = typer.Typer(help="Configs of other tools as ours.", epilog=EPILOG)


@app.callback()
def _group() -> None:
    """Configs of other tools as ours."""


@app.command()
def threestudio(
    file: Path = typer.Argument(
        ..., metavar="CONFIG.YAML", help="A config of threestudio or of an extension of it."
    ),
    out: Path | None = typer.Option(None, "--out", help="File to write; standard output by default."),
    partial: bool = typer.Option(False, "--partial", help="Write it even where something is missing here."),
    as_json: bool = typer.Option(False, "--json", help="Print config and notes as JSON."),
) -> int:
    """Convert a config; every difference and every key that means nothing here is told."""
    from ..jobs.imports.threestudio import convert, warnings_of
    from ..jobs.imports.writing import check, to_yaml
    from .output import print_json

    outcome = convert(file)
    if not outcome.missing:
        check(outcome)
    usable = partial or not outcome.missing
    if as_json:
        print_json({"config": outcome.config, **warnings_of(outcome)})
    else:
        for title, lines in (
            ("Means something else here", outcome.differences),
            ("Not converted", outcome.unread),
            ("Missing here", outcome.missing),
        ):
            if lines:
                print(f"{title}:", *(f"  - {line}" for line in lines), sep="\n", file=sys.stderr)
        if usable and out is None:
            typer.echo(to_yaml(outcome, file), nl=False)
    if usable and out is not None:
        from ..assetio.files import write_atomic

        write_atomic(out, to_yaml(outcome, file).encode(), overwrite=False)
        typer.echo(out)
    if not usable:
        print("nothing was written; --partial writes what could be converted", file=sys.stderr)
    return 0 if not outcome.missing else 1
