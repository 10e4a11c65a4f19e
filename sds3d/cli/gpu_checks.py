"""What `sds3d doctor --gpu` prints and writes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .output import print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..testing.gpu.bench import Gpu, Sizes
    from ..testing.gpu.finding import Finding

COLOURS = {"ok": "green", "wrong": "bold red", "skipped": "dim"}


def examine_gpu(
    prior: str | None,
    as_json: bool,
    save: Path | None,
    gpu: Gpu | None = None,
    sizes: Sizes | None = None,
) -> int:
    """Examine the GPU, print findings as they come and then tables, write JSON; 0 where nothing is wrong.

    Args:
        prior: the model, as for `doctor --prior`; None for the built-in one.
        save: file for the JSON, replaced if it is there. gpu: the device; by default the first. sizes: of what
            is computed there.

    Raises:
        Sds3dError: the prior's config file is wrong, or the JSON cannot be written.
    """
    from ..jobs.prior_word import prior_options
    from ..testing.gpu.bench import AGREE, SPEED, Bench, Gpu, Sizes
    from ..testing.gpu.examination import examine, is_ok, report

    console = _console(as_json)
    folder = Path(tempfile.mkdtemp(prefix="sds3d-doctor-"))
    try:
        options = prior_options(prior or "embedded")
        bench = Bench(gpu or Gpu(), folder, options, sizes or Sizes(AGREE, SPEED))
        findings = examine(bench, lambda finding: _tell(console, finding))
        told = report(bench, findings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(told)
    else:
        _sum_up(console, findings, is_ok(findings))
    if save is not None:
        _save(save, json.dumps(told, indent=1, ensure_ascii=False))
    return 0 if is_ok(findings) else 1


def _console(quiet: bool) -> Console:
    from rich.console import Console

    return Console(quiet=quiet, highlight=False, soft_wrap=True)


def _save(path: Path, text: str) -> None:
    from ..assetio.files import write_atomic

    write_atomic(path, text.encode(), overwrite=True)


def _tell(console: Console, finding: Finding) -> None:
    if finding.verdict == "skipped" and finding.detail.startswith("not run"):
        return  # the table at the end has them
    from rich.markup import escape

    colour = COLOURS[finding.verdict]
    console.print(f"[{colour}]{finding.verdict:<8}[/] {escape(f'{finding.name}: {finding.detail}')}")
    if finding.advice:
        console.print(f"{'':9}[yellow]do:[/] {escape(finding.advice)}")


def _sum_up(console: Console, findings: Sequence[Finding], ok: bool) -> None:
    rows = [f.numbers for f in findings if "implementation" in f.numbers]
    if rows:
        console.print(_agreement(rows))
    left = [f for f in findings if f.verdict == "skipped"]
    if left:
        console.print(f"[dim]not run: {', '.join(f.name for f in left)}[/]")
    wrong = [f.name for f in findings if f.verdict == "wrong"]
    if ok:
        console.print("[green]sds3d can run on this GPU.[/]")
    elif "driver" in wrong:
        console.print(
            "[bold red]There is no GPU here that sds3d can use.[/] Without one, everything runs on the CPU."
        )
    else:
        console.print(f"[bold red]Something is wrong on this GPU[/]: {', '.join(wrong)}.")


def _agreement(rows: Sequence) -> Table:
    """The kernels: how far from their twins, and how fast."""
    from rich.table import Table

    table = Table(title="Kernels against plain PyTorch (float64 where it serves as the definition)")
    for name in ("function", "by"):
        table.add_column(name)
    for name in ("value", "gradient", "again", "ms", "ms on the CPU", "times faster"):
        table.add_column(name, justify="right")
    for row in rows:
        errors = [f"{row[name]:.1e}" for name in ("value", "gradient", "again")]
        times = [f"{row[name]:.2f}" if name in row else "-" for name in ("ms", "cpu_ms")]
        faster = f"{row['cpu_ms'] / max(row['ms'], 1e-6):.1f}" if "cpu_ms" in row else "-"
        table.add_row(row["function"], row["implementation"], *errors, *times, faster)
    return table
