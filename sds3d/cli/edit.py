"""sds3d edit: change something that exists, by words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

EPILOG = (
    'Example: sds3d edit car.glb --from "a red car" --to "a blue car" --keep shape. The file is never written: each '
    "edit is a run with the result in its folder, in the file's own format and place. Further options as for `sds3d "
    "run`, such as guidance=pds optimize.steps=400. Exit status: 0 done, 1 the edit failed, 2 wrong usage, 130 stopped."
)


def command(
    source: str = typer.Argument(
        ...,
        metavar="FILE|RUN|CAPTURE",
        help="A mesh or splat file, a run, whose asset is meant, or photographs, which are fitted first.",
    ),
    words: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="Options of the run."),
    to: str = typer.Option(..., "--to", metavar="WORDS", help="What it shall become."),
    from_: str = typer.Option("", "--from", metavar="WORDS", help="What it shows now."),
    keep: str = typer.Option("", "--keep", help="shape, colour or nothing: what stays, to the byte."),
    region: list[str] = typer.Option(
        [],
        "--region",
        help="Where changes are allowed: auto, text:hat, box:…, mask:FILE.png@azimuth,elevation …; repeatable.",
    ),
    strength: float | None = typer.Option(
        None, "--strength", min=0.0, max=1.0, help="How far it may go; 1 is the method as it is."
    ),
    method: str = typer.Option("", "--method", help="Guidance: dds, pds or another (`sds3d methods`)."),
    up: str = typer.Option("", "--up", help="Up axis of the file: +y, -y, +z, -z, +x, -x."),
    front: float | None = typer.Option(None, "--front", help="Azimuth in degrees that sees its front."),
    preview_strip: Path | None = typer.Option(
        None, "--preview-strip", metavar="FILE.png", help="Only draw short edits at several strengths."
    ),
    show_region: Path | None = typer.Option(
        None, "--show-region", metavar="FILE.png", help="Only draw where changes would be allowed."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcome as JSON; no progress."),
) -> int:
    """Change a mesh, splats, a run's asset or a captured scene by words."""
    from ..jobs import configs
    from ..jobs.batch import create_folder
    from .fit import fit_first
    from .lint import tell as warn
    from .work import carry_out

    fitted, words = fit_first(source, words or [], quiet or as_json)
    asked: dict[str, Any] = {
        "edit.source": fitted,
        "edit.prompt": from_,
        "edit.keep": {"color": "colour"}.get(keep, keep),
        "edit.strength": strength,
        "edit.up": up,
        "edit.front_deg": front,
        "guidance.method": method,
    }
    given = {key: value for key, value in asked.items() if value not in (None, "")}
    given |= {"edit.region": list(region)} if region else {}
    config = configs.from_words(words, {"prompt": to, **given})
    warn(config)
    drawn = _pictures(config, preview_strip, show_region)
    if drawn is not None:
        typer.echo(drawn)
        return 0
    return carry_out([create_folder(config)], quiet, as_json)


def _pictures(config: Any, strip: Path | None, region: Path | None) -> Path | None:
    """The one picture that is asked for in the place of an edit; None where the edit itself is."""
    if strip is not None:
        from ..jobs.strip import write_strip

        return write_strip(config, strip)
    if region is not None:
        from ..jobs.regions import show

        return show(config, region)
    return None
