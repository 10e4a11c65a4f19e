"""sds3d lint: combinations of options that are known to go wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..jobs.schema import RunConfig

EPILOG = "Exit status: 0 nothing known, 1 warnings, 2 wrong configuration."


def command(
    words: list[str] = typer.Argument(..., metavar="PROMPT|FILE [KEY=VALUE]...", help="As for `sds3d run`."),
) -> int:
    """Warn of combinations of options that are known to go wrong."""
    from ..jobs import configs

    config = configs.from_words(words)
    count = tell(config)
    if not count:
        stages = f" of {len(config.stages)} stages" if config.stages else ""
        typer.echo(f"nothing known against this config{stages}")
    return int(count > 0)


def tell(config: RunConfig) -> int:
    """Print a config's warnings; returns how many there are."""
    from ..jobs.lint import warnings

    found = warnings(config)
    for text in found:
        print(f"warning: {text}", file=sys.stderr)
    return len(found)
