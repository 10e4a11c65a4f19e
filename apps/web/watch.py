"""Starting a run in a process of its own, and reading what its folder says: the page holds no state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from sds3d.jobs import configs, metrics
from sds3d.jobs.batch import create_folder
from sds3d.jobs.runfolder import RunFolder, Status

LOG_NAME = "worker.log"


def start(words: list[str], runs: Path) -> RunFolder:
    """Make a run folder and start a worker process on it.

    Args:
        words: as on the command line: a sentence, then overrides. runs: folder of the run folders.

    Raises:
        ConfigError: the words are wrong. PromptError: the prior cannot serve the prompt. Nothing was made.
    """
    folder = create_folder(configs.from_words([*words, f"runs={runs}"]))
    with open(folder.path / LOG_NAME, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sds3d.cli.main", "resume", str(folder.path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the server's terminal must not tear a run
        )
    threading.Thread(target=_reap, args=(process, folder), daemon=True).start()
    return folder


def _reap(process: subprocess.Popen, folder: RunFolder) -> None:
    """Wait for a worker; one that died before it could say why is noted as failed, with its last words."""
    process.wait()
    status = folder.status()
    if process.returncode and status.state in ("queued", "running"):
        words = (folder.path / LOG_NAME).read_text(errors="replace").strip()[-2000:]
        reason = words or f"the worker ended with status {process.returncode} and said nothing"
        folder.set_status(replace(status, state="failed", reason=reason))


def request_stop(folder: RunFolder) -> None:
    """Ask the worker to save and stop at the next step boundary, as Ctrl-C does; nothing when none runs."""
    status = folder.status()
    if status.state == "running" and folder.is_running():
        os.kill(status.pid, signal.SIGINT)


@dataclass(frozen=True)
class Glance:
    """What can be seen of a run now.

    Args:
        status: its status. running: a process still works on it.
        preview, x0: newest pictures, or None. seconds_per_step: mean of the last 20 steps.
        model, film: the GLB and the turntable when finished. files: all results.
    """

    status: Status
    running: bool
    preview: Path | None
    x0: Path | None
    seconds_per_step: float
    model: Path | None
    film: Path | None
    files: tuple[Path, ...]

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.status.state in ("finished", "failed", "stopped") and not self.running

    def line(self) -> str:
        """One line for people."""
        s = self.status
        if s.state == "running":
            left = self.seconds_per_step * (s.steps - s.step)
            return f"Step {s.step} of {s.steps}, {left:.0f} s left" if self.seconds_per_step else "Starting …"
        if s.state == "queued":
            return "Starting …"
        return f"{s.state.capitalize()} at step {s.step} of {s.steps}." + (f" {s.reason}" if s.reason else "")


def glance(folder: RunFolder) -> Glance:
    """Read the folder."""
    rows = list(metrics.read(folder.metrics_file))
    last = rows[-20:]
    pace = sum(r.get("seconds", {}).get("total", 0.0) for r in last) / len(last) if last else 0.0
    running = folder.is_running()  # asked first: what a run leaves last is then seen once it has ended
    status = folder.status()
    if rows and status.state == "running":
        status = Status(
            status.state, status.reason, rows[-1]["step"], status.steps, status.pid, status.updated
        )
    assets = folder.assets()
    files = [*assets.values(), folder.turntable, folder.contact, folder.report]
    return Glance(
        status,
        running,
        _newest(folder, "render"),
        _newest(folder, "x0"),
        pace,
        assets.get("glb"),
        folder.turntable if folder.turntable.is_file() else None,
        tuple(f for f in files if f.is_file()),
    )


def _newest(folder: RunFolder, name: str) -> Path | None:
    found = sorted(folder.previews.glob(f"*{name}*.png")) if folder.previews.is_dir() else []
    return found[-1] if found else None
