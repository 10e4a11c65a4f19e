"""sds3d models: the models that a prior can be, where they are, and fetching them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ..priors.models.entry import ModelEntry

EPILOG = (
    "Use one with: sds3d run PROMPT prior=NAME. Your own go into ./models.yaml or ~/.config/sds3d/models.yaml "
    "(docs/models.md). Exit status: 0 done, 1 failed, 2 a models.yaml is wrong."
)

app = typer.Typer(help="The models that a prior can be: list, show, fetch.", epilog=EPILOG)


@app.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the models by name, and whether they are on this disk."""
    if context.invoked_subcommand is None:
        list_all(as_json)


@app.command("list")
def list_all(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the models: what `sds3d models` alone does."""
    from ..priors.models.table import all_models
    from .output import print_json

    models = all_models()
    if as_json:
        print_json({name: facts(name, entry) for name, entry in models.items()})
        return
    rows: list[tuple[str, ...]] = [("NAME", "PICTURE", "FETCH", "VRAM*", "COMMERCIAL", "HERE", "GOOD FOR")]
    rows += [_row(name, entry) for name, entry in models.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())
    typer.echo("* for 4 views with prior.memory=lean; predicted from the architecture, not measured.")


def _row(name: str, entry: ModelEntry) -> tuple[str, ...]:
    from ..priors.models.places import base_of, locate

    base = base_of(entry)
    about = base if base is not None else entry
    here = {"complete": "yes", "partial": "partly", "absent": "no"}[locate(entry).state]
    return (
        name,
        f"{about.size} px" if about.size else "?",
        f"{entry.download_gb:.1f} GB" if entry.download_gb else "none" if entry.in_the_box else "?",
        f"{about.vram_gb:.0f} GB" if about.vram_gb else "?",
        entry.commercial,
        here,
        entry.use,
    )


@app.command()
def show(
    name: str = typer.Argument(..., metavar="NAME", help="Name of a model."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Tell all about one model."""
    from ..priors.models.table import get, name_of
    from .output import print_json, print_table

    entry = get(name)
    told = facts(name_of(entry), entry)
    if as_json:
        print_json(told)
    else:
        told["repositories"] = {r["id"]: _about(r) for r in told["repositories"]}
        print_table((key, value) for key, value in told.items() if value not in (None, "", {}, [], ()))


def _about(repository: dict[str, Any]) -> str:
    known = {"files": "its files were seen", "named": "named by others", "memory": "not verified"}
    parts = [f"revision {repository['revision']}", known[repository["checked"]], repository["note"]]
    return "; ".join(part for part in parts if part)


@app.command()
def fetch(
    names: list[str] = typer.Argument(..., metavar="NAME...", help="Names of models."),
    to: Path | None = typer.Option(
        None, "--to", help="Folder to put them in, one subfolder a model; by default the hub's shared cache."
    ),
) -> None:
    """Fetch models from the hub: only what is read, resumed and checked by hash; a LoRA brings its base along."""
    from ..priors.models.fetch import fetch as fetch_model
    from ..priors.models.places import base_of
    from ..priors.models.table import get

    for entry in [get(name) for name in names]:
        for one in (base_of(entry), entry):
            if one is not None:
                folder = fetch_model(one, to, lambda text: print(text, file=sys.stderr, flush=True))
                typer.echo(folder)


def facts(name: str, entry: ModelEntry) -> dict[str, Any]:
    """An entry and where it lies, as plain values."""
    from ..config.dump import plain
    from ..priors.models.places import locate

    found = locate(entry)
    place = {
        "state": found.state,
        "folder": str(found.folder) if found.folder else None,
        "reason": found.reason,
    }
    return {"name": name, **plain(entry), "readable": entry.readable, "on_this_disk": place}
