"""Fits that there are of a capture, so that it need not be fitted again to be edited."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import Sds3dError
from . import configs
from .runfolder import RunFolder, list_runs
from .schema import RunConfig


def latest(config: RunConfig, exact: bool = False) -> RunFolder | None:
    """The newest fit of the same photographs that is finished, or else of the same config one that was stopped.

    Args:
        config: of a fit. exact: only one of the same config will do.
    """
    assert config.capture is not None, "only fits are looked for"
    wanted = config.capture.sha256 or ""
    stopped = None
    for folder in list_runs(config.runs):
        own = _config_of(folder, wanted)
        if own is None or own.capture is None or own.capture.sha256 != wanted:
            continue
        same = configs.hash_of(own) == configs.hash_of(config)
        state = folder.status().state
        if state == "finished" and folder.assets() and (same or not exact):
            return folder
        if stopped is None and same and state in ("stopped", "queued"):
            stopped = folder
    return stopped


def _config_of(folder: RunFolder, sha256: str) -> RunConfig | None:
    """The config of a run that speaks of that hash; None of others, and where it cannot be read."""
    try:
        if sha256 not in Path(folder.config_file).read_text(encoding="utf-8"):
            return None
        return folder.config()
    except (OSError, UnicodeDecodeError, Sds3dError):
        return None
