"""The queue over a folder of runs. All that it knows lies in the run folders, so that a new server goes on as the old.

A run with a ticket (job.json) is in one of these states, see `State`:

    waiting   its turn has not come           running    a process works on it
    stopping  it was asked to stop            paused     it waits until somebody says go on
    finished, failed, stopped                 as its status says
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...core.errors import RunFolderError, Sds3dError
from ..batch import create_folder
from ..execute import Finisher
from ..lock import locked
from ..runfolder import RunFolder, list_runs
from ..schema import RunConfig
from . import ticket as tickets
from .pool import Pool
from .ticket import Ticket, Wish
from .worker import Order

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "stopping", "paused", "finished", "failed", "stopped"]

MOST_TRIES = 3
"""A run whose process vanished that often, server and all, is not begun again by itself."""
_TICK_S = 0.2


@dataclass(frozen=True)
class Job:
    """A run in the queue: its folder, ticket and state; `place` counts from 1 among those that wait, else 0."""

    folder: RunFolder
    ticket: Ticket
    state: State
    place: int = 0


def state_of(ticket: Ticket, status: str, live: bool) -> State:
    """The state of a run.

    Args:
        status: state of the run folder. live: whether a process works on it, or was just told to.
    """
    if live:
        return "running" if ticket.wish == "run" else "stopping"
    if status in ("finished", "failed"):
        return status  # type: ignore[return-value]
    if ticket.wish == "run":
        return "waiting"
    return "paused" if ticket.wish == "pause" else "stopped"


class Queue:
    """Works off the runs of a folder.

    Args:
        runs: the folder. workers: how many at a time; one takes all cores, or the one GPU.
        finishers: see execute; importable functions.
    """

    def __init__(self, runs: Path, workers: int = 1, finishers: Sequence[Finisher] = ()):
        self.runs, self.pool = runs, Pool(workers, finishers)
        self._open: dict[str, RunFolder] = {}  # runs for which something is still to be done
        self._latest = 0.0  # when the newest run came
        self._told: dict[str, str] = {}  # path -> the last trouble with it
        self._change = threading.RLock()
        self._wake, self._closing = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def serving(self) -> Iterator[Queue]:
        """Work in the background while the block runs; then running ones save and stop, to go on with the next server.

        Raises:
            RunFolderError: another server works on this folder.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        with locked(self.runs / ".queue.lock"):
            self._open = {f.path.name: f for f in list_runs(self.runs) if self._unfinished(f)}
            known = [t.submitted for f in self._open.values() if (t := _ticket(f)) is not None]
            self._latest = max(known, default=0.0)
            thread = threading.Thread(target=self._work, name="queue", daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._closing.set()
                self._wake.set()
                thread.join()

    def submit(self, config: RunConfig, owner: str = "", priority: int = 0) -> RunFolder:
        """Add a run.

        Raises:
            ConfigError, PromptError, ModelError, RunFolderError: see batch.create_folder; nothing was made.
        """
        return self.add(create_folder(config.model_copy(update={"runs": str(self.runs)})), owner, priority)

    def add(self, folder: RunFolder, owner: str = "", priority: int = 0) -> RunFolder:
        """Add a run folder that was made already."""
        with self._change:
            # never before those that came before, though the clock be set back
            self._latest = max(time.time(), math.nextafter(self._latest, math.inf))
            tickets.write(folder, Ticket(owner, priority, self._latest))
            self._watch(folder)
        return folder

    def wish(self, folder: RunFolder, wish: Wish) -> None:
        """Say what shall become of a run; "run" also begins a run again that was stopped, failed, or begun by hand."""
        with self._change:
            known = tickets.read(folder) or Ticket(submitted=time.time())
            tries = 0 if wish == "run" else known.tries
            tickets.write(folder, replace(known, wish=wish, tries=tries))
            status = folder.status()
            if wish == "run" and status.state == "failed":
                folder.set_status(replace(status, state="stopped", reason=""))
            self._watch(folder)

    def set_priority(self, folder: RunFolder, priority: int) -> None:
        """Let a run go before those of lower priority."""
        with self._change:
            tickets.write(folder, replace(tickets.read(folder) or Ticket(), priority=priority))

    def tag(self, folder: RunFolder, tags: Sequence[str]) -> None:
        """Set the words that a run is found by; one that never was in a queue does not enter it."""
        with self._change:
            known = tickets.read(folder) or Ticket(submitted=time.time(), wish="cancel")
            tickets.write(folder, replace(known, tags=tuple(tags)))

    def jobs(self) -> list[Job]:
        """What runs, and then what waits in the order of its turns."""
        with self._change:
            all_open = [(f, t) for f in self._open.values() if (t := _ticket(f)) is not None]
        busy = set(self.pool.busy())
        seen = [(f, t, state_of(t, _status(f), str(f.path) in busy or f.is_running())) for f, t in all_open]
        waiting = sorted((row for row in seen if row[2] == "waiting"), key=lambda row: _turn(row[1]))
        running = [Job(*row) for row in seen if row[2] in ("running", "stopping")]
        return running + [Job(*row, place=k) for k, row in enumerate(waiting, 1)]

    def job(self, folder: RunFolder) -> Job:
        """One run, in the queue or not."""
        return self.jobs_of([folder])[0]

    def jobs_of(self, folders: Sequence[RunFolder]) -> list[Job]:
        """Several runs, in the queue or not; the queue is looked at once."""
        here = {job.folder.path: job for job in self.jobs()}
        return [here.get(folder.path) or _not_here(folder) for folder in folders]

    def _watch(self, folder: RunFolder) -> None:
        with self._change:
            self._open[folder.path.name] = folder
        self._wake.set()

    def _work(self) -> None:
        """The thread: look, act, sleep."""
        while not self._closing.is_set():
            try:
                self.tick()
            except Exception:  # one run's trouble, or a defect, must not end the others' turns
                log.exception("the queue of %s", self.runs)
            self._wake.wait(_TICK_S)
            self._wake.clear()
        for path in self.pool.busy():
            self.pool.stop(path)
        while self.pool.busy():
            for ended in self.pool.ended():
                self._note(ended.order, "")
            time.sleep(0.05)
        self.pool.close()
        self.pool.join()

    def tick(self) -> None:
        """One look at the queue: note what ended, ask to stop what shall stop, begin what can begin."""
        for ended in self.pool.ended():
            with self._apart(ended.order.path):
                self._note(ended.order, ended.death)
        for job in self.jobs():
            if job.state == "stopping":
                self.pool.stop(str(job.folder.path))
        with self._change:
            for name, folder in list(self._open.items()):
                with self._apart(str(folder.path)):
                    self._settle(name, folder)
        for job in self.jobs():
            if job.state == "waiting" and self._room():
                with self._apart(str(job.folder.path)):
                    self._begin(job)

    @contextlib.contextmanager
    def _apart(self, path: str) -> Iterator[None]:
        """One run's trouble (a damaged file, a full disk) is told once, and the others get their turn."""
        try:
            yield
        except Sds3dError as error:
            if self._told.get(path) != str(error):
                self._told[path] = str(error)
                log.warning("%s", error)

    def _room(self) -> bool:
        """Whether one more run can begin; workers of a server that died still count."""
        busy = set(self.pool.busy())
        with self._change:
            here = list(self._open.values())
        orphans = sum(f.is_running() for f in here if str(f.path) not in busy)
        return self.pool.free > orphans

    def _begin(self, job: Job) -> None:
        folder, ticket = job.folder, job.ticket
        if ticket.tries >= MOST_TRIES:
            reason = (
                f"its process vanished {ticket.tries} times, the server with it; not begun again by itself"
            )
            folder.set_status(replace(folder.status(), state="failed", reason=reason))
            return
        with self._change:
            now = tickets.read(folder)
            if now is None or now.wish != "run":
                return
            tickets.write(folder, replace(now, tries=now.tries + 1))
        self.pool.begin(Order(str(folder.path)))

    def _settle(self, name: str, folder: RunFolder) -> None:
        """Forget a run for which nothing is to be done; begin to write out one that was stopped to be kept."""
        if str(folder.path) in self.pool.busy() or folder.is_running():
            return
        if not folder.path.is_dir() or (ticket := _ticket(folder)) is None:
            del self._open[name]
        elif ticket.wish == "keep":
            if any(folder.checkpoints.glob("*.safetensors")) and self.pool.free > 0:
                tickets.write(folder, replace(ticket, wish="cancel"))
                self.pool.begin(Order(str(folder.path), "keep"))
            elif not any(folder.checkpoints.glob("*.safetensors")):
                tickets.write(folder, replace(ticket, wish="cancel"))
        elif state_of(ticket, _status(folder), False) != "waiting":
            if ticket.wish == "cancel" and folder.status().state == "queued":
                folder.set_status(
                    replace(folder.status(), state="stopped", reason="cancelled before it began")
                )
            del self._open[name]

    def _note(self, order: Order, death: str) -> None:
        """A run's process is done with it; a death in the middle is the run's failure, told with its reason."""
        folder = RunFolder(Path(order.path))
        if not folder.path.is_dir() or folder.is_running():
            return
        status = folder.status()
        if death and status.state not in ("finished", "failed"):
            folder.set_status(replace(status, state="failed", reason=death))
        elif order.task == "run" and status.state in ("queued", "running"):
            # the worker lives and says that it is done, but the run never got as far as to say how it went
            folder.set_status(replace(status, state="failed", reason=_last_words(folder)))
        else:
            with self._change:
                if (ticket := _ticket(folder)) is not None:
                    tickets.write(folder, replace(ticket, tries=0))

    def _unfinished(self, folder: RunFolder) -> bool:
        ticket = _ticket(folder)
        if ticket is None:
            return False
        return ticket.wish == "keep" or state_of(ticket, _status(folder), folder.is_running()) in (
            "waiting", "running", "stopping",
        )  # fmt: skip


def _not_here(folder: RunFolder) -> Job:
    """A run that is not in the queue."""
    known, live = _ticket(folder), folder.is_running()
    if known is None and live:
        return Job(folder, Ticket(wish="cancel"), "running")  # by a command line, of which nothing was asked
    known = known or Ticket(wish="cancel")
    return Job(folder, known, state_of(known, _status(folder), live))


def _turn(ticket: Ticket) -> tuple[int, float]:
    """What waiting runs are ordered by."""
    return -ticket.priority, ticket.submitted


def _ticket(folder: RunFolder) -> Ticket | None:
    """The ticket; a damaged one counts as none, and is told."""
    try:
        return tickets.read(folder)
    except RunFolderError as error:
        log.warning("%s", error)
        return None


def _status(folder: RunFolder) -> str:
    """State of the run folder; one whose status is damaged counts as failed."""
    try:
        return folder.status().state
    except RunFolderError:
        return "failed"


def _last_words(folder: RunFolder) -> str:
    from .worker import LOG

    path = folder.path / LOG
    words = path.read_text(errors="replace").strip()[-1500:] if path.is_file() else ""
    return words or "it could not begin, and nothing says why"
