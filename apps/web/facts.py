"""What a run's config says of it, read once: lists and watchers ask for it many times a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sds3d.core.errors import Sds3dError
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.separating import heard


@dataclass(frozen=True)
class Facts:
    """Prompt, seed, kind of representation and method of a run, whether it edits something, and what is heard in it."""

    prompt: str = ""
    seed: int = 0
    representation: str = ""
    method: str = ""
    edited: bool = False
    sounds: tuple[str, ...] = ()


def facts_of(folder: RunFolder) -> Facts:
    """The facts of a run; empty ones where its config cannot be read."""
    try:
        stamp = folder.config_file.stat().st_mtime_ns
    except OSError:
        return Facts()
    return _read(folder.path, stamp)


@lru_cache(maxsize=4096)
def _read(path: Path, stamp: int) -> Facts:
    """The facts of the config as it was at that time."""
    try:
        config = RunFolder(path).config()
    except (Sds3dError, OSError):
        return Facts()
    kind = str(config.representation.kind)  # type: ignore[attr-defined]
    method = getattr(config.guidance, "method", "several")
    return Facts(config.prompt or "", config.seed, kind, method, config.edit is not None, heard(config))
