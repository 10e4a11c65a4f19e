"""Worker processes: started when there is work, handed one order at a time, and their deaths told with a reason."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..execute import Finisher
from . import worker
from .worker import LOG, Order

_LAST_WORDS = 1500


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    order: Order | None = None
    asked_to_stop: bool = False


@dataclass(frozen=True)
class Ended:
    """An order that came to its end; `death` says why its process died on it, "" where it did not."""

    order: Order
    death: str = ""


class Pool:
    """At most `size` processes; not for several threads at once.

    Args:
        size: how many runs at one time. finishers: see worker.main; they must be importable functions.
    """

    def __init__(self, size: int, finishers: Sequence[Finisher] = ()):
        self.size, self.finishers = size, tuple(finishers)
        self._workers: list[_Worker] = []

    @property
    def free(self) -> int:
        """How many more orders can begin now."""
        return self.size - len(self.busy())

    def busy(self) -> list[str]:
        """Paths of the orders at work."""
        return [w.order.path for w in self._workers if w.order]

    def begin(self, order: Order) -> None:
        """Hand an order to an idle worker, or to a new one."""
        idle = next((w for w in self._workers if w.order is None and w.process.is_alive()), None)
        chosen = idle or self._start()
        chosen.order, chosen.asked_to_stop = order, False
        # one that dies at this moment leaves a broken pipe; `ended` tells
        with contextlib.suppress(OSError):
            chosen.pipe.send(order)

    def _start(self) -> _Worker:
        # a forked child would inherit the server's threads' locks; a spawned one begins clean
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker.main, args=(theirs, self.finishers), name="sds3d worker")
        process.start()
        theirs.close()
        made = _Worker(process, ours)
        self._workers.append(made)
        return made

    def stop(self, path: str) -> None:
        """Ask the run at a path to save and end at its next step."""
        for w in self._workers:
            if w.order and w.order.path == path and not w.asked_to_stop:
                w.asked_to_stop = True
                with contextlib.suppress(OSError):
                    w.pipe.send(worker.STOP)

    def ended(self) -> list[Ended]:
        """The orders that have ended since this was last asked."""
        out = []
        for w in list(self._workers):
            try:
                done = w.pipe.recv() if w.pipe.poll() else None
            except (EOFError, OSError):
                done = None
                w.process.join()
            if done is not None and w.order is not None:
                out.append(Ended(w.order))
                w.order = None
            elif not w.process.is_alive():
                self._workers.remove(w)
                if w.order is not None:
                    out.append(Ended(w.order, _why(w.process.exitcode, Path(w.order.path))))
        return out

    def close(self) -> None:
        """End the idle workers; those at work end after their run, or at the next step if they were asked to stop."""
        for w in self._workers:
            w.pipe.close()

    def join(self) -> None:
        """Wait until all workers have ended."""
        for w in self._workers:
            w.process.join()


def _why(exit_code: int | None, folder: Path) -> str:
    """How a worker died, for the run's status."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        end = f"its process was ended by {name}"
        end += ", as the system does when memory runs out" if name == "SIGKILL" else ""
    else:
        end = f"its process ended with status {exit_code}"
    log = folder / LOG
    words = log.read_text(errors="replace").strip()[-_LAST_WORDS:] if log.is_file() else ""
    return f"{end}.\n{words}".strip()
