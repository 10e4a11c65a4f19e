"""One process at a time on a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import RunFolderError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file while the block runs.

    The operating system drops the lock when the process ends, however it ends, so there are no stale locks.

    Raises:
        RunFolderError: another process holds it (its pid is named), or the folder cannot be written.
    """
    handle = _open(path)
    try:
        if not _try_lock(handle):
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise RunFolderError(
                f"{path.parent}: another process (pid {holder}) is working on this run; wait for it, or stop it "
                f"with: kill -INT {holder}"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock now."""
    if not path.exists():
        return False
    handle = _open(path)
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunFolderError(f"{path.parent}: cannot be locked for writing: {error.strerror}.") from error


def _try_lock(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunFolderError(
            f"this disk offers no file locks ({error.strerror}); put the runs on a local disk with runs=FOLDER."
        ) from error
    return True
