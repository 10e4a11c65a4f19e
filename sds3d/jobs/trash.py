"""Deleting runs so that they can come back, and packing them: runs/.trash holds what was deleted."""

from __future__ import annotations

import itertools
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from ..core.errors import RunFolderError
from .runfolder import RunFolder

TRASH = ".trash"
_LEFT_OUT = {".lock"}


def discard(folder: RunFolder) -> Path:
    """Move a run into the trash beside it; returns where it lies now.

    Raises:
        RunFolderError: a process works on it, or the disk refuses.
    """
    with folder.lock():
        return _move(folder.path, folder.path.parent / TRASH)


def restore(path: Path) -> RunFolder:
    """Move a run out of the trash again, under its name or, where that is taken, with a number.

    Raises:
        RunFolderError: it does not lie in a trash, or the disk refuses.
    """
    if path.parent.name != TRASH or not (path / "config.yaml").is_file():
        raise RunFolderError(f"{path}: is no deleted run; those lie in {TRASH} of a folder of runs")
    return RunFolder(_move(path, path.parent.parent))


def deleted(runs: Path) -> list[Path]:
    """The runs in the trash of a folder, by name."""
    return sorted(p.parent for p in (runs / TRASH).glob("*/config.yaml"))


def _move(path: Path, to: Path) -> Path:
    try:
        to.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            target = to / (path.name if number == 1 else f"{path.name}-{number}")
            if not target.exists():
                os.rename(path, target)
                return target
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be moved to {to}: {error.strerror}.") from error
    raise AssertionError("unreachable")


def pack(folder: RunFolder, out: BinaryIO, checkpoints: bool = False) -> None:
    """Write a run as a zip archive; equal runs give equal bytes but for the status.

    Args:
        checkpoints: put them in too, so that the run can go on elsewhere; they are the larger part.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.path.rglob("*") if p.is_file() and not p.is_symlink()):
            inside = path.relative_to(folder.path)
            if inside.name in _LEFT_OUT or (inside.parts[0] == "checkpoints" and not checkpoints):
                continue
            entry = zipfile.ZipInfo(f"{folder.path.name}/{inside}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
