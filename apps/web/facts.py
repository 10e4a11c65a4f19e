"""What a run's config says of it, read once: lists and watchers ask for it many times a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from sds3d.config import source
from sds3d.core.errors import Sds3dError
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import REPRESENTATIONS
from sds3d.jobs.separating import heard


@dataclass(frozen=True)
class Facts:
    """Prompt, seed, kind of representation and method of a run, and whether it edits something."""

    prompt: str = ""
    seed: int = 0
    representation: str = ""
    method: str = ""
    edited: bool = False


def facts_of(folder: RunFolder) -> Facts:
    """The facts of a run; empty ones where its config cannot be read."""
    try:
        stamp = folder.config_file.stat().st_mtime_ns
    except OSError:
        return Facts()
    return _read(folder.path, stamp)


@lru_cache(maxsize=4096)
def _read(path: Path, stamp: int) -> Facts:
    """The facts of the config as it was at that time.

    Its text is read as it stands, which takes a tenth of the time of understanding it all, and works for a config that
    another version wrote; a thousand runs are searched at once.
    """
    try:
        data = _loader()((path / "config.yaml").read_bytes()).get_single_data()
    except (OSError, ValueError, yaml.YAMLError):
        return Facts()
    if not isinstance(data, dict):
        return Facts()
    prompt, seed = str(data.get("prompt") or ""), data.get("seed")
    kind, method = (
        _word(data.get("representation"), "kind"),
        _word(data.get("guidance"), "method") or "several",
    )
    edited = data.get("edit") is not None
    return Facts(prompt, seed if isinstance(seed, int) else 0, kind, method, edited)


@cache
def _loader() -> Any:
    """The C reader where there is one, with the scalars of our own files."""
    return source.resolver_for(getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _word(section: Any, key: str) -> str:
    return str(section.get(key) or "") if isinstance(section, dict) else str(section or "")


def sounds_of(folder: RunFolder) -> tuple[str, ...]:
    """What is heard in a run, in words; () where nothing is."""
    kind = facts_of(folder).representation
    if "sound" not in getattr(REPRESENTATIONS.choices().get(kind), "forms", ()):
        return ()
    try:
        return heard(folder.config())
    except (Sds3dError, OSError):
        return ("",)  # of another version: a sound, of which nothing more is known
