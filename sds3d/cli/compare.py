"""sds3d compare: the same prompts and seeds by several methods, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ..jobs.compare.plan import Comparison
    from ..jobs.compare.summary import Summary
    from ..jobs.runfolder import RunFolder

EPILOG = (
    'Examples: sds3d compare prompts.yaml --methods sds,csd,ism,vsd --seeds 3 · sds3d compare "a red car" --methods '
    "sds,cfd --mode 2d --equal nfe --budget 150. The file is that of `sds3d run`, and may hold methods, seeds, equal, "
    "budget and mode, such as `methods: {ism: {cfg_scale: 7.5}}`. The same command again goes on where it stopped, and "
    "uses what is finished. Exit status: 0 done, 1 a run failed, 2 wrong configuration, 130 stopped."
)


def command(
    words: list[str] = typer.Argument(
        ...,
        metavar="FILE|PROMPT [KEY=VALUE]...",
        help="A YAML file with prompts, or a sentence; then options of the runs as key=value.",
    ),
    methods: str | None = typer.Option(
        None, "--methods", "-m", help="Names with commas; differences are taken to the first."
    ),
    seeds: int | None = typer.Option(None, "--seeds", min=1, help="Runs a prompt and method; 3 by default."),
    equal: str | None = typer.Option(
        None, "--equal", metavar="steps|nfe", help="The same steps for all, or the same network calls."
    ),
    budget: int | None = typer.Option(
        None,
        "--budget",
        min=1,
        help="With --equal nfe: predictions a view over the run. Default: what the first method needs.",
    ),
    mode: str | None = typer.Option(
        None, "--mode", metavar="2d|3d", help="2d: a picture, for quick study. Default: as the file says."
    ),
    sets: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="An option of all runs; repeatable."
    ),
    jobs: int = typer.Option(
        1, "--jobs", "-j", min=1, help="Runs at the same time, each in its own process."
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Folder of the result and its runs. Default: runs/compare-NAME."
    ),
    report: bool = typer.Option(False, "--report", help="Run nothing; write the result of what is there."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON; no progress."),
) -> int:
    """Compare methods fairly: same noise and cameras, equal steps or equal network calls."""
    from ..jobs.compare.asked import read
    from ..jobs.compare.plan import placed, plan

    given = {"methods": methods, "seeds": seeds, "equal": equal, "budget": budget, "mode": mode}
    asked = plan(read([*words, *sets], given))
    folder = out or Path(asked.cells[0].config.runs) / f"compare-{asked.name}"
    asked = placed(asked, folder / "cells")
    for refusal in asked.refused:
        print(f'"{refusal.prompt}": refused: {refusal.reason}', file=sys.stderr)
    ended = report or _carry_out(asked, folder, jobs, quiet or as_json)
    return _conclude(asked, folder, as_json, ended)


def _carry_out(asked: Comparison, folder: Path, jobs: int, quiet: bool) -> bool:
    """Run what is missing; whether all ended."""
    from sds3d.apps.report import write_report

    from ..jobs.compare.cells import folder_of, read_result
    from ..jobs.compare.workers import carry_out
    from ..jobs.interrupt import stop_on_signals

    cells = [folder_of(cell.config) for cell in asked.cells]
    missing = [cell for cell in cells if read_result(cell) is None]
    if not quiet:
        print(f"{folder}: {len(cells)} runs, {len(cells) - len(missing)} of them done", file=sys.stderr)
    count = 0

    def told(cell: RunFolder, reason: str) -> None:
        nonlocal count
        count += 1
        if reason or not quiet:
            text = f"failed: {reason}" if reason else "done"
            print(f"{count}/{len(missing)} {cell.path.name}: {text}", file=sys.stderr, flush=True)

    with stop_on_signals() as flag:
        return carry_out(missing, jobs, flag, told, [write_report])


def _conclude(asked: Comparison, folder: Path, as_json: bool, ended: bool) -> int:
    """Write and print the result; the exit status."""
    from ..core.errors import RunFolderError
    from ..jobs.compare.summary import summarise
    from .output import print_json

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: no result can be written there: {error.strerror}.") from error
    summary = summarise(asked)
    files = _write(summary, folder)
    if as_json:
        from ..jobs.compare.files import as_dict

        print_json({"files": [str(f) for f in files], **as_dict(summary)})
    else:
        _tell(summary, files)
    if not ended:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return int(summary.done < len(asked.cells) or bool(asked.refused))


def _write(summary: Summary, folder: Path) -> list[Path]:
    from sds3d.apps.report.compare import write_comparison

    from ..jobs.compare.files import write_csv, write_json

    files = [folder / f"comparison.{suffix}" for suffix in ("html", "json", "csv")]
    for write, file in zip((write_comparison, write_json, write_csv), files, strict=True):
        write(summary, file)
    return files


def _tell(summary: Summary, files: list[Path]) -> None:
    """The table of means, then the files."""
    from ..jobs.compare.files import in_words

    shown = [m for m in summary.measures if m.name not in ("pictures", "cosine")]
    lines: list[list[Any]] = [["", *(m.label for m in shown)]]
    for label in summary.comparison.labels:
        cells = (in_words(summary.means[label].get(m.name), m).partition(" ")[0] for m in shown)
        lines.append([label, *cells])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    for line in lines:
        typer.echo(
            "  ".join(
                text.rjust(w) if k else text.ljust(w)
                for k, (text, w) in enumerate(zip(line, widths, strict=True))
            )
        )
    for file in files:
        typer.echo(file)
