"""sds3d separate: a recording becomes the sounds that are in it."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = (
    'Example: sds3d separate mix.wav --sources "a drum" "a bell". The sources are asset.wav, asset_2.wav … of the '
    "run folder, in the order of the sentences. Exit status: 0 done, 1 it failed, 2 wrong configuration, 130 stopped."
)


def command(
    mixture: Path = typer.Argument(..., help="A WAV or FLAC file."),
    words: list[str] = typer.Argument(
        None, metavar="[SENTENCE|KEY=VALUE]...", help="Further sources, and options as key=value."
    ),
    sources: list[str] = typer.Option([], "--sources", help="What is in it, a sentence for each sound."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcomes as JSON; no progress."),
) -> int:
    """Take a recording apart into the sounds that sentences name."""
    from ..assetio.sounds import load_sound
    from ..config.overrides import is_override
    from ..jobs.batch import create_folders
    from ..jobs.separating import separation
    from .work import carry_out

    given = words or []
    named = [*sources, *(w for w in given if not is_override(w))]
    load_sound(mixture)  # what is wrong with it is told before a run folder is made
    config = separation(mixture.absolute(), named, [w for w in given if is_override(w)])
    folders, refused = create_folders(config)
    return carry_out(folders, quiet, as_json, refused)
