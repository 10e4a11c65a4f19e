"""A run that takes a second: an analytic prior on a tiny grid."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from sds3d.jobs import configs
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import RunConfig
from sds3d.optimize.events import Silent

SMALL = {
    "prompt": "a colour",
    "prior": {"kind": "analytic", "shape": [3, 8, 8]},
    "representation": {
        "kind": "grid",
        "resolutions": [3, 8],
        "samples": 8,
        "picture_samples": 8,
        "blob_bias": 2.0,
    },
    "optimize.steps": 8,
    "optimize.views": 2,
    "optimize.preview_steps": 4,
    "optimize.preview_size": 16,
    "optimize.checkpoint_steps": 3,
    "pictures": {
        "turntable_frames": 2,
        "turntable_size": 32,
        "contact_views": 2,
        "contact_size": 16,
    },
    "threads": 1,
}


def small_config(runs: Path, **changes) -> RunConfig:
    """The small run's config with some keys changed; `optimize__steps=4` sets `optimize.steps`."""
    return configs.from_mapping(
        SMALL | {"runs": str(runs)} | {k.replace("__", "."): v for k, v in changes.items()}
    )


def small_folder(runs: Path, **changes) -> RunFolder:
    """A queued folder of the small run."""
    return RunFolder.create(small_config(runs, **changes))


class StopAt(Silent):
    """Asks to stop after a number of steps."""

    def __init__(self, step: int):
        self.step, self.done = step, 0

    def on_step(self, report):
        self.done = report.step

    def stop_requested(self):
        return self.done >= self.step


def silent(folder):
    """A watcher factory for batches that says nothing."""
    return nullcontext(Silent())
