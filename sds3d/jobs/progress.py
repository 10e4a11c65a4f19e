"""Progress as plain text lines, for logs, pipes and notebooks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TextIO

from torch import Tensor

from ..optimize.events import StepReport
from .interrupt import StopFlag
from .runfolder import RunFolder

_MEMORY = 0.97


class Pace:
    """Steps a second, smoothed, and the time that is left."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def update(self, seconds: float) -> None:
        """Take in the wall time of one step."""
        old = self._seconds
        self._seconds = seconds if old is None else _MEMORY * old + (1 - _MEMORY) * seconds

    def rate(self) -> float:
        """Steps a second."""
        return 1.0 / self._seconds if self._seconds else 0.0

    def left(self, steps: int) -> float:
        """Seconds for that many more steps."""
        return steps * (self._seconds or 0.0)


def clock(seconds: float) -> str:
    """`0:42`, `12:05` or `1:02:33`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class PlainProgress:
    """A monitor that prints a line now and then.

    Args:
        folder: the run, for the paths of previews. stream: where to print.
        flag: asks to stop. every: seconds between two lines.
    """

    def __init__(self, folder: RunFolder, stream: TextIO, flag: StopFlag | None = None, every: float = 5.0):
        self.folder, self.stream, self.flag, self.every = folder, stream, flag or StopFlag(), every
        self.pace, self._printed, self._preview = Pace(), time.monotonic(), ""

    def on_step(self, report: StepReport) -> None:
        """Print step, rate, time left and the newest preview."""
        self.pace.update(report.seconds["total"])
        now = time.monotonic()
        if now - self._printed < self.every and report.step != report.total:
            return
        self._printed = now
        left = clock(self.pace.left(report.total - report.step))
        preview = f", preview {self._preview}" if self._preview else ""
        print(
            f"step {report.step}/{report.total}, {self.pace.rate():.1f} it/s, {left} left{preview}",
            file=self.stream,
            flush=True,
        )

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Remember the path for the next line."""
        self._preview = str(self.folder.preview_file(step, "render"))

    def on_checkpoint(self, step: int, path: str) -> None:
        """Say nothing: checkpoints are frequent."""

    def stop_requested(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.flag.requested
