"""sds3d export: asset files from a run's last checkpoint."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

EPILOG = (
    "Example: sds3d export RUN --to glb,usdz --texture 1024. Exit status: 0 done, 1 failed, 2 unknown kind."
)


class Shading(StrEnum):
    """See BakingOptions."""

    auto = "auto"
    unlit = "unlit"
    lit = "lit"


def command(
    run: str = typer.Argument(..., metavar="RUN", help="Run folder, or a name under runs/."),
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
    out: Path | None = typer.Option(None, "--out", help="Folder to write to; the run folder by default."),
    overwrite: bool = typer.Option(False, "--overwrite", help="With --out: replace files that exist."),
    as_json: bool = typer.Option(False, "--json", help="Print the paths as JSON."),
) -> None:
    """Write asset files of a run in other formats."""
    from contextlib import nullcontext

    from ..jobs.export import drop_others, load_stage, parse_kinds, wanted, write_assets
    from ..jobs.provenance import origin
    from ..jobs.schema import BakingOptions
    from .find import find_run
    from .output import print_json

    kinds = parse_kinds(to)
    folder = find_run(run)
    config = folder.config()
    asked = {"texture": texture, "faces": faces, "shading": shading}
    changes = {key: value for key, value in asked.items() if value is not None}
    baking = BakingOptions(**(config.baking.model_dump() | changes))
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
            baking=baking,
            pictures=config.pictures,
            origin=origin(stage.model_copy(update={"seed": config.seed}), folder.provenance()),
        )
    if as_json:
        print_json({"run": str(folder.path), "step": step, "files": [str(f) for f in files]})
    else:
        for file in files:
            typer.echo(file)
