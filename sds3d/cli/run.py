"""sds3d run: a sentence or a file becomes assets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..jobs.schema import RunConfig

EPILOG = (
    'Examples: sds3d run "a blue mushroom" · sds3d run picture.png · sds3d run prompt.yaml seed=3 guidance.cfg_scale=6 '
    "export=glb,3dgs. `sds3d schema` lists every key. Exit status: 0 done, 1 a run failed, 2 wrong configuration, 130 "
    "stopped."
)


def command(
    words: list[str] = typer.Argument(
        ...,
        metavar="PROMPT|PICTURE|FILE [KEY=VALUE]...",
        help="A sentence, a picture (PNG, JPEG, WebP) or a YAML file, then options as key=value.",
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcomes as JSON; no progress."),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Tell steps, network calls, predicted memory and time, and files; make nothing.",
    ),
    gpu_gb: float | None = typer.Option(
        None,
        "--gpu-gb",
        min=0.1,
        help="With --dry-run: memory of the GPU to plan for; by default this machine's.",
    ),
) -> int:
    """Make a 3D asset from a sentence, a picture or a config file."""
    from ..jobs import configs
    from ..jobs.batch import create_folders
    from .lint import tell as warn
    from .work import carry_out

    config = configs.from_words(words)
    warn(config)
    if not quiet and not as_json:
        _tell_read(config)
    if dry_run:
        from .dry_run import dry_run as tell

        return tell(config, gpu_gb, as_json)
    folders, refused = create_folders(config)
    return carry_out(folders, quiet, as_json, refused)


def _tell_read(config: RunConfig) -> None:
    """Say which prompt was read in the picture, and what else it might be."""
    read = config.reference.captions if config.reference else ()
    if read and config.prompt == read[0]:
        others = " or ".join(f'"{caption}"' for caption in read[1:])
        print(
            f'read in the picture: "{read[0]}" (next: {others}); say it yourself with prompt=...',
            file=sys.stderr,
        )
