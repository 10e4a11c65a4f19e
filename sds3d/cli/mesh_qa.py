"""sds3d mesh-qa: whether a mesh file is fit for printing, games and painting."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = (
    "Vertices at equal positions count as one, so that seams are no holes. Exit status: 0 nothing bad, 1 something bad "
    "or a file that cannot be read."
)


def command(
    file: Path = typer.Argument(..., metavar="FILE", help="GLB, glTF, OBJ, USDZ, STL or PLY file."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check a mesh: closed, manifold, degenerate faces, pieces, texture coordinates."""
    from dataclasses import asdict

    from ..assetio import read
    from ..core.errors import AssetError
    from ..evaluate.mesh_verdicts import verdicts
    from .output import print_json

    mesh = read(file).mesh
    if mesh is None:
        raise AssetError(f"{file}: holds no mesh to check.")
    lines, shape, texture = verdicts(mesh)
    if as_json:
        facts = {"shape": shape.as_dict(), "texture": None if texture is None else texture.as_dict()}
        print_json({"file": str(file), "verdicts": [asdict(line) for line in lines], **facts})
    else:
        width = max(len(line.name) for line in lines)
        value = max(len(line.value) for line in lines)
        for line in lines:
            text = f"{line.verdict:<4}  {line.name:<{width}}  {line.value:<{value}}  {line.meaning}"
            typer.echo(text.rstrip())
    if any(line.verdict == "bad" for line in lines):
        raise typer.Exit(1)
