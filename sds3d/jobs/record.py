"""The monitor that writes a run folder while the loop runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ..assetio.image_bytes import encode_png
from ..optimize.events import Monitor, StepReport
from .metrics import MetricsWriter
from .runfolder import RunFolder, Status

STATUS_SECONDS = 2.0
"""How often the step in status.json is brought up to date."""


@dataclass(frozen=True)
class Leg:
    """A stage's part of the run.

    Args:
        before: steps of the stages before it. total: steps of all, 0 for those of this stage. name: of the stage.
    """

    before: int = 0
    total: int = 0
    name: str = ""


ALL = Leg()
"""A run of one stage."""


class Recorder:
    """Writes metrics, previews and the status, and passes every event on; steps are counted over the whole run.

    Args:
        folder: the run. metrics: an open writer. watcher: who else is told.
        status: the status to keep up to date. leg: which part of the run is recorded.
    """

    def __init__(
        self, folder: RunFolder, metrics: MetricsWriter, watcher: Monitor, status: Status, leg: Leg = ALL
    ):
        self.folder, self.metrics, self.watcher, self.status = folder, metrics, watcher, status
        self.leg, self._written = leg, time.monotonic()

    def on_step(self, report: StepReport) -> None:
        """Append the step's numbers and times."""
        leg = self.leg
        report = replace(report, step=leg.before + report.step, total=leg.total or report.total)
        seconds = {k: round(v, 6) for k, v in report.seconds.items()}
        stage = {"stage": leg.name} if leg.name else {}
        self.metrics.append({"step": report.step, **stage, **report.metrics, "seconds": seconds})
        self.status = replace(self.status, step=report.step, steps=report.total)
        if time.monotonic() - self._written >= STATUS_SECONDS:
            self._write_status()
        self.watcher.on_step(report)

    def _write_status(self) -> None:
        self.folder.set_status(self.status)
        self._written = time.monotonic()

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Write previews/step_000025_render.png and the like; whoever looks in sees whole files only."""
        step += self.leg.before
        for name, image in images.items():
            self.folder.write(self.folder.preview_file(step, name), encode_png(image))
        self.watcher.on_preview(step, images)

    def on_checkpoint(self, step: int, path: str) -> None:
        """Bring the status up to date."""
        self._write_status()
        self.watcher.on_checkpoint(self.leg.before + step, path)

    def stop_requested(self) -> bool:
        """Whether the watcher wants to stop."""
        return self.watcher.stop_requested()
