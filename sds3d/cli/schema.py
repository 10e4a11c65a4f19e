"""sds3d schema: the JSON schema of config files, for completion and checks in editors."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = "In VS Code, the first line of a config may be: # yaml-language-server: $schema=sds3d.schema.json"


def command(
    out: Path | None = typer.Option(None, "--out", help="File to write; standard output by default."),
) -> None:
    """Print the JSON schema of a config file."""
    import json

    from ..assetio.files import write_atomic
    from ..jobs import configs
    from .output import print_json

    if out is None:
        print_json(configs.schema())
    else:
        write_atomic(
            out, (json.dumps(configs.schema(), indent=1, ensure_ascii=False) + "\n").encode(), overwrite=True
        )
        typer.echo(out)
