"""metrics.jsonl: one JSON line a step, cut back to the checkpoint when a run is resumed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import RunFolderError


def cut_back(path: Path, step: int) -> None:
    """Drop the lines after `step`, and a last line that was torn by a crash."""
    if not path.exists():
        return
    kept = 0
    with open(path, "rb") as stream:
        for line in stream:
            if not line.endswith(b"\n") or _step(line) is None or _step(line) > step:  # type: ignore[operator]
                break
            kept += len(line)
    os.truncate(path, kept)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines as mappings, in order; a torn last line is left out."""
    if not path.is_file():
        return
    with open(path, "rb") as stream:
        for line in stream:
            if _step(line) is not None:
                yield json.loads(line)


def _step(line: bytes) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return None


class MetricsWriter:
    """Appends a line a step; used as a context manager."""

    def __init__(self, path: Path):
        self.path = path
        self._stream: BinaryIO | None = None

    def __enter__(self) -> MetricsWriter:
        # unbuffered: a line is one write, and closing has nothing left that could fail
        self._stream = open(self.path, "ab", buffering=0)  # type: ignore[assignment]
        return self

    def __exit__(self, *exc: object) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def append(self, row: dict[str, Any]) -> None:
        """Write one line, at once visible to others.

        Raises:
            RunFolderError: the disk is full or refuses.
        """
        assert self._stream is not None, "use the writer in a with block"
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        try:
            if self._stream.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RunFolderError(
                f"{self.path}: cannot be written: {error.strerror}. Free some space on that disk (old run folders "
                f"hold previews/ and checkpoints/ that can go), then resume the run from its last checkpoint."
            ) from error
