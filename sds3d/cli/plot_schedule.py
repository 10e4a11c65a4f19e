"""sds3d plot-schedule: what changes over a run, before anything runs."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = "Exit status: 0 done, 2 wrong configuration. Nothing is loaded and nothing runs."


def command(
    words: list[str] = typer.Argument(..., metavar="PROMPT|FILE [KEY=VALUE]...", help="As for `sds3d run`."),
    out: Path | None = typer.Option(None, "--out", help="SVG file to write; any browser shows it."),
) -> None:
    """Draw t, its weight, guidance scale, resolution and learning rates over the steps; warn of bad combinations."""
    from sds3d.apps.report.schedules import drawing, panels

    from ..assetio.files import write_atomic
    from ..core.errors import ConfigError
    from ..jobs import configs
    from .lint import tell

    config = configs.from_words(words)
    found = panels(config)
    if out is not None and out.suffix.lower() != ".svg":
        raise ConfigError(f"writes SVG, so the file has to end in .svg, got {out}.", key="--out")
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    steps = config.optimize.steps
    rows = [("", *(f"step {round(share * steps)}" for share in shares))]
    rows += [(panel.title, *map(panel.at, shares)) for panel in found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    tell(config)
    if out is not None:
        write_atomic(out, drawing(found, steps).encode(), overwrite=True)
        typer.echo(out)
