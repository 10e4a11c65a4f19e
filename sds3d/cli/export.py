"""sds3d export: asset files from a run's last checkpoint, or from a mesh or splat file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ..core.frame import Axis

EPILOG = (
    "Example: sds3d export RUN --to glb,usdz --texture 1024, or sds3d export scan.ply --to colmap. "
    "Exit status: 0 done, 1 failed, 2 unknown kind."
)


class Up(StrEnum):
    """See core.frame.Axis."""

    px = "+x"
    nx = "-x"
    py = "+y"
    ny = "-y"
    pz = "+z"
    nz = "-z"


class Shading(StrEnum):
    """See BakingOptions."""

    auto = "auto"
    unlit = "unlit"
    lit = "lit"


def command(
    run: str = typer.Argument(
        ..., metavar="RUN|FILE", help="Run folder, or a name under runs/; or a mesh or splat file."
    ),
    to: str = typer.Option(
        "",
        "--to",
        help="Kinds: glb, obj, usdz, stl, ply (mesh); 3dgs, compressed, splat, spz (splats); gif; nerfstudio, colmap.",
    ),
    texture: int | None = typer.Option(
        None,
        "--texture",
        min=0,
        max=4096,
        help="Bake the colours into a texture of that many texels a side, such as 1024.",
    ),
    faces: int | None = typer.Option(None, "--faces", min=4, help="Most triangles of the mesh."),
    shading: Shading | None = typer.Option(
        None,
        "--shading",
        help="Whether viewers light the mesh: auto, unlit (colours as they are), lit (matte).",
    ),
    up: Up | None = typer.Option(None, "--up", help="Of a file: its up axis, from which views are level."),
    out: Path | None = typer.Option(
        None, "--out", help="Folder to write to; the run folder by default, or the file's."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="With --out: replace files that exist."),
    as_json: bool = typer.Option(False, "--json", help="Print the paths as JSON."),
) -> None:
    """Write asset files of a run, or a file, in other formats."""
    from ..core.errors import ConfigError
    from ..jobs.bare_export import is_bare
    from ..jobs.export import parse_kinds

    kinds = parse_kinds(to)
    asked = {"texture": texture, "faces": faces, "shading": shading}
    changes = {key: value for key, value in asked.items() if value is not None}
    if is_bare(run):
        _export_file(Path(run), kinds, changes, up, out, overwrite, as_json)
    elif up is None:
        _export_run(run, kinds, changes, out, overwrite, as_json)
    else:
        raise ConfigError(
            "is of files; a run knows how its asset stands.",
            file="command line",
            key="--up",
            hint="Leave it out.",
        )


def _export_file(
    file: Path,
    kinds: Sequence[str],
    baking: dict[str, Any],
    up: Up | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """A file that no run made."""
    from ..jobs.bare_export import export_bare
    from ..jobs.schema import BakingOptions

    axis: Axis | None = None if up is None else up.value
    files = export_bare(file, kinds, out or file.parent, overwrite, BakingOptions(**baking), axis)
    _tell({"file": str(file)}, files, as_json)


def _export_run(
    run: str, kinds: Sequence[str], baking: dict[str, Any], out: Path | None, overwrite: bool, as_json: bool
) -> None:
    """What a run has made so far."""
    from contextlib import nullcontext

    from ..jobs.export import drop_others, load_stage, wanted, write_assets
    from ..jobs.provenance import origin
    from ..jobs.schema import BakingOptions
    from .find import find_run

    folder = find_run(run)
    config = folder.config()
    # writing beside a running process would race with its own export
    with folder.lock() if out is None else nullcontext():
        representation, step, stage = load_stage(folder)
        kinds = wanted(kinds or config.export, stage.representation)
        stem = folder.path / "asset" if out is None else out / folder.path.name
        if out is None:
            drop_others(folder, stage.representation)
        files = write_assets(
            representation,
            kinds,
            stem,
            stage.prompt or "asset",
            overwrite or out is None,
            baking=BakingOptions(**(config.baking.model_dump() | baking)),
            pictures=config.pictures,
            origin=origin(stage.model_copy(update={"seed": config.seed}), folder.provenance()),
        )
    _tell({"run": str(folder.path), "step": step}, files, as_json)


def _tell(source: dict[str, Any], files: list[Path], as_json: bool) -> None:
    """Print what was written."""
    from .output import print_json

    if as_json:
        print_json({**source, "files": [str(f) for f in files]})
        return
    for file in files:
        typer.echo(file)
