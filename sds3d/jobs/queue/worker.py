"""A worker process: does the runs that it is handed, one after another, and keeps the last priors loaded.

It is told by a pipe, never by a signal: "stop" asks the run to save and end at the next step; the pipe's end, when
the server dies, lets the present run come to its own end. All that it prints goes to worker.log of the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ..execute import Finisher
    from ..runfolder import RunFolder

LOG = "worker.log"
STOP = "stop"
NICENESS = 5
"""Below the server, so that its page stays quick while a run takes all cores."""
_PRIORS_KEPT = 2

Task = Literal["run", "keep"]


@dataclass(frozen=True)
class Order:
    """What a worker is asked for: the run folder, and whether to run it or to write out what there is."""

    path: str
    task: Task = "run"


def main(pipe: Connection, finishers: Sequence[Finisher]) -> None:
    """Take orders until the pipe ends; each is answered by its path when it is done, however it went.

    Args:
        finishers: called with each folder whose assets are written, such as the report page.
    """
    import faulthandler

    os.setsid()  # a Ctrl-C at the server's terminal must not tear a run
    os.nice(NICENESS)
    cache: dict[str, Any] = {}
    while True:
        try:
            order: Order = pipe.recv()
        except (EOFError, OSError):
            return
        if order == STOP:  # meant for a run that has just ended
            continue
        _log_to(Path(order.path) / LOG)
        faulthandler.enable()
        _carry_out(order, pipe, finishers, cache)
        while len(cache) > _PRIORS_KEPT:
            cache.pop(next(iter(cache)))
        try:
            pipe.send(order.path)
        except OSError:  # the server is gone; the run folder tells the outcome
            return


def _log_to(path: Path) -> None:
    """Everything printed from now on, by C code too, is appended to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _carry_out(order: Order, pipe: Connection, finishers: Sequence[Finisher], cache: dict[str, Any]) -> None:
    from ...core.errors import Sds3dError, StopRequested
    from ..execute import execute
    from ..runfolder import RunFolder

    folder = RunFolder(Path(order.path))
    try:
        if order.task == "keep":
            keep(folder, finishers)
        else:
            execute(folder, _asked_by(pipe), finishers, cache)
    except (StopRequested, Sds3dError) as error:
        print(error, file=sys.stderr)
    except Exception:
        import traceback

        traceback.print_exc()


def _asked_by(pipe: Connection) -> Any:
    """A monitor that stops when the pipe says so; a pipe that has ended says nothing any more."""
    from ...optimize.events import Silent

    class Listener(Silent):
        asked = False

        def stop_requested(self) -> bool:
            try:
                while not self.asked and pipe.poll():
                    self.asked = pipe.recv() == STOP
            except (EOFError, OSError):
                return False
            return self.asked

    return Listener()


def keep(folder: RunFolder, finishers: Sequence[Finisher]) -> None:
    """Write pictures, assets and report of a stopped run from its last checkpoint; the run can still go on.

    Raises:
        RunFolderError: there is no checkpoint yet, or a process works on the run.
    """
    from ..device import device_of
    from ..export import load_stage, wanted, write_assets
    from ..pictures import write_pictures
    from ..provenance import origin

    with folder.lock():
        scene, step, stage = load_stage(folder)
        config = folder.config()
        last = config.in_stages()[-1].representation
        write_pictures(folder, scene, config, device_of(config))
        write_assets(
            scene,
            wanted(config.export if stage.representation == last else None, stage.representation),
            folder.path / "asset",
            config.prompt or "asset",
            overwrite=True,
            baking=config.baking,
            pictures=config.pictures,
            origin=origin(stage.model_copy(update={"seed": config.seed}), folder.provenance()),
        )
        folder.set_status(replace(folder.status(), state="stopped", reason=f"kept as it was at step {step}"))
    for finish in finishers:
        finish(folder)
