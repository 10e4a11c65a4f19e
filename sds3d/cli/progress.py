"""The progress bar of a terminal: step, it/s, time left, path of the newest preview."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ..jobs.interrupt import StopFlag
from ..jobs.progress import Pace, PlainProgress, clock
from ..jobs.runfolder import RunFolder
from ..optimize.events import Monitor, Silent, StepReport


class Quiet(Silent):
    """Says nothing but lets Ctrl-C through."""

    def __init__(self, flag: StopFlag):
        self.flag = flag

    def stop_requested(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.flag.requested


class Bar:
    """A monitor that draws on a rich progress bar."""

    def __init__(self, bar: Any, task: Any, folder: RunFolder, flag: StopFlag):
        self.bar, self.task, self.folder, self.flag, self.pace = bar, task, folder, flag, Pace()

    def on_step(self, report: StepReport) -> None:
        """Move the bar."""
        self.pace.update(report.seconds["total"])
        left = clock(self.pace.left(report.total - report.step))
        text = f"{self.pace.rate():.1f} it/s, {left} left"
        if report.step == report.total:
            text = f"{self.pace.rate():.1f} it/s, writing the asset …"
        elif self.flag.requested:
            text = "stopping at the end of this step …"
        self.bar.update(self.task, completed=report.step, total=report.total, text=text)

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Show the picture's path."""
        self.bar.update(self.task, preview=str(self.folder.preview_file(step, "render")))

    def on_checkpoint(self, step: int, path: str) -> None:
        """Nothing to show."""

    def stop_requested(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.flag.requested


@contextmanager
def shown(folder: RunFolder, flag: StopFlag, quiet: bool) -> Iterator[Monitor]:
    """The monitor that fits: a bar in a terminal, plain lines elsewhere, nothing when quiet."""
    if not quiet:
        print(f"{folder.path}: {folder.config().prompt}", file=sys.stderr, flush=True)
    if quiet:
        yield Quiet(flag)
    elif not sys.stderr.isatty():
        yield PlainProgress(folder, sys.stderr, flag)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TextColumn("[dim]{task.fields[preview]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            total = folder.status().steps or None
            yield Bar(
                bar, bar.add_task("", total=total, text="loading the prior …", preview=""), folder, flag
            )
