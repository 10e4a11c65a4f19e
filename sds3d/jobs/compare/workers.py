"""Carrying out the cells: one after another, or in several processes."""

from __future__ import annotations

import logging
import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ...core.errors import Sds3dError, StopRequested
from ...evaluate.retrieval import Judge
from ...optimize.events import Monitor, Silent
from ..assemble import PriorCache
from ..execute import Finisher
from ..interrupt import StopFlag
from ..runfolder import RunFolder
from .cells import reason_of, run_cell

log = logging.getLogger(__name__)

Told = Callable[[RunFolder, str], None]
"""Called with a cell that has ended and why it failed, "" where it did not."""


class Until(Silent):
    """A monitor that asks to stop when a function says so."""

    def __init__(self, stop: Callable[[], bool]):
        self.stop = stop

    def stop_requested(self) -> bool:
        """See Monitor."""
        return self.stop()


def judge_or_none() -> Judge | None:
    """The bundled judge, None where its weights are not installed."""
    try:
        return Judge.bundled()
    except Sds3dError as error:
        log.warning("nobody ranks captions: %s", error)
        return None


def carry_out(
    folders: Sequence[RunFolder], jobs: int, flag: StopFlag, told: Told, finishers: Sequence[Finisher] = ()
) -> bool:
    """Carry out cells that are not finished; a failure stops none of the others.

    Args:
        jobs: processes; 1 works in this one. flag: set where all shall stop at their next step boundary.
        told: see Told. finishers: see execute; importable functions where there are several processes.

    Returns:
        Whether all ended; False after a stop, which leaves the states saved.
    """
    if jobs <= 1 or len(folders) <= 1:
        return _here(folders, Until(lambda: flag.requested), told, finishers)
    return _apart(folders, min(jobs, len(folders)), flag, told, finishers)


def _here(folders: Sequence[RunFolder], monitor: Monitor, told: Told, finishers: Sequence[Finisher]) -> bool:
    cache_of_priors: PriorCache = {}
    judge = cache(judge_or_none)
    for folder in folders:
        if monitor.stop_requested():
            return False
        try:
            run_cell(folder, monitor, judge, cache_of_priors, finishers)
        except (StopRequested, KeyboardInterrupt):
            return False
        except Exception as error:
            log.debug("a cell failed", exc_info=True)
            told(folder, reason_of(error))
        else:
            told(folder, "")
    return True


def _apart(
    folders: Sequence[RunFolder], jobs: int, flag: StopFlag, told: Told, finishers: Sequence[Finisher]
) -> bool:
    """Workers take cells from one queue; a worker that dies costs the cell that it had in hand."""
    context = multiprocessing.get_context("spawn")
    tasks: Any = context.Queue()
    results: Any = context.Queue()
    stop = context.Event()
    for folder in folders:
        tasks.put(str(folder.path))
    workers = [
        context.Process(target=_worker, args=(k, tasks, results, stop, tuple(finishers)), daemon=True)
        for k in range(jobs)
    ]
    with _interrupts_held():
        for worker in workers:
            worker.start()
    try:
        return _collect(workers, results, len(folders), flag, stop, told)
    finally:
        stop.set()
        tasks.cancel_join_thread()
        for worker in workers:
            worker.join(timeout=60.0)
            if worker.is_alive():
                worker.terminate()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started inside never see Ctrl-C, not even while they import; here it comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _collect(workers: list[Any], results: Any, left: int, flag: StopFlag, stop: Any, told: Told) -> bool:
    in_hand: dict[int, str] = {}
    dead: set[int] = set()
    while left and len(dead) < len(workers):
        if flag.requested:
            stop.set()
        try:
            number, path, state, reason = results.get(timeout=0.2)
        except queue.Empty:
            for number, worker in enumerate(workers):
                if number not in dead and not worker.is_alive():
                    dead.add(number)
                    if number in in_hand and worker.exitcode:
                        left -= 1
                        why = f"its process ended with status {worker.exitcode}; is there too little memory?"
                        told(RunFolder.open(in_hand.pop(number)), why)
            continue
        if state == "begun":
            in_hand[number] = path
            continue
        in_hand.pop(number, None)
        if state == "ended":
            left -= 1
            told(RunFolder.open(path), reason)
    return left == 0


def _worker(number: int, tasks: Any, results: Any, stop: Any, finishers: tuple[Finisher, ...]) -> None:
    """The body of a worker process: cells until there are no more, or until it is told to stop."""
    # Ctrl-C reaches every process of a terminal; only the parent decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    monitor, judge = Until(stop.is_set), cache(judge_or_none)
    priors: PriorCache = {}
    while not stop.is_set():
        try:
            path = tasks.get(timeout=0.5)
        except queue.Empty:
            return
        results.put((number, path, "begun", ""))
        try:
            run_cell(RunFolder.open(Path(path)), monitor, judge, priors, finishers)
        except StopRequested:
            results.put((number, path, "stopped", ""))
        except Exception as error:
            results.put((number, path, "ended", reason_of(error)))
        else:
            results.put((number, path, "ended", ""))
