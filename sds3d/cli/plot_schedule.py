"""sds3d plot-schedule: what changes over a run, before anything runs."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = "Exit status: 0 done, 2 wrong configuration. Nothing is loaded and nothing runs."

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a run of one stage is told; of several stages it is the beginning and the end of each."""


def command(
    words: list[str] = typer.Argument(..., metavar="PROMPT|FILE [KEY=VALUE]...", help="As for `sds3d run`."),
    out: Path | None = typer.Option(None, "--out", help="SVG file to write; any browser shows it."),
) -> None:
    """Draw t, its weight, guidance scale, resolution and learning rates over the steps; warn of bad combinations."""
    from sds3d.apps.report.schedules import drawing, lengths, panels

    from ..assetio.files import write_atomic
    from ..core.errors import ConfigError
    from ..jobs import configs
    from .lint import tell

    if out is not None and out.suffix.lower() != ".svg":
        raise ConfigError(f"writes SVG, so the file has to end in .svg, got {out}.", key="--out")
    config = configs.from_words(words)
    found = panels(config)
    stages = lengths(config)
    columns = [
        (index, share) for index in range(len(stages)) for share in ((0.0, 1.0) if config.stages else SHARES)
    ]
    rows = [("", *(_heading(stages, index, share) for index, share in columns))]
    rows += [(panel.title, *(panel.at(share, index) for index, share in columns)) for panel in found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    tell(config)
    if out is not None:
        write_atomic(out, drawing(found, stages).encode(), overwrite=True)
        typer.echo(out)


def _heading(stages: list[tuple[str, int]], index: int, share: float) -> str:
    """Such as "step 200", or "paint 0"."""
    name, steps = stages[index]
    return f"{name or 'step'} {round(share * steps)}"
