"""Where an edit comes from, and what else was made of the same: read from run folders, nothing else is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..assetio.files import read_bytes, write_atomic
from ..core.errors import AssetError, ConfigError, RunFolderError
from .runfolder import RunFolder, list_runs


@dataclass(frozen=True)
class Step:
    """A file or an edit in a tree of edits.

    Args:
        file: the asset, which may be gone by now. run: the edit that made it, None for a file to begin with.
        depth: edits between the beginning and it. here: it is what was asked about.
    """

    file: Path
    run: RunFolder | None
    depth: int
    here: bool


def run_of(file: Path) -> RunFolder | None:
    """The run whose asset a file is; None for a file that lies in no run folder."""
    return RunFolder(file.parent) if (file.parent / "config.yaml").is_file() else None


def source_file(run: RunFolder) -> tuple[Path, str]:
    """The file that an edit began with, and its SHA-256.

    Raises:
        RunFolderError: the run edits nothing.
    """
    edit = run.config().edit
    if edit is None or edit.file is None or edit.sha256 is None:
        raise RunFolderError(f"{run.path}: is no edit, so that there is nothing before it.")
    return Path(edit.file), edit.sha256


def is_edit(run: RunFolder) -> bool:
    """Whether a run edits something; one whose config cannot be read does not count."""
    try:
        # most runs edit nothing, which their text tells without its being understood
        text = read_bytes(run.config_file)
        return (
            re.search(rb"^edit:(?!\s*null\s*$)", text, re.MULTILINE) is not None
            and run.config().edit is not None
        )
    except (AssetError, ConfigError):
        return False


def beginning(run: RunFolder) -> tuple[Path, list[RunFolder]]:
    """The file that a chain of edits began with, and the runs from there to this one.

    A run that made something new begins with its own asset and is not among them.
    """
    chain: list[RunFolder] = []
    file = next(iter(run.assets().values()), run.path / "asset")
    here: RunFolder | None = run
    while here is not None and is_edit(here) and here not in chain:
        chain.insert(0, here)
        file, _ = source_file(here)
        here = run_of(file)
    return file, chain


def tree(target: Path, runs: Path) -> list[Step]:
    """All edits that go back to the file that the target goes back to, each below what it was made of.

    Args:
        target: a file, or a run folder. runs: where further edits are looked for.
    """
    run = RunFolder(target) if (target / "config.yaml").is_file() else run_of(target)
    root, chain = (target, []) if run is None else beginning(run)
    places = {*runs.resolve().glob("*"), *(p for one in chain for p in one.path.resolve().parent.glob("*"))}
    folders = {place.parent for place in places}
    edits = [r for folder in sorted(folders) for r in reversed(list_runs(folder)) if is_edit(r)]
    here = run.path.resolve() if run is not None else None
    steps = [Step(root, run_of(root), 0, here is None or not chain)]
    _below(root, edits, 1, here, steps)
    return steps


def _below(file: Path, edits: Sequence[RunFolder], depth: int, here: Path | None, steps: list[Step]) -> None:
    """Append what was made of a file, and of that in turn."""
    content = hashlib.sha256(read_bytes(file)).hexdigest() if file.is_file() else ""
    for run in edits:
        made_of, sha256 = source_file(run)
        known = any(
            step.run is not None and step.run.path.resolve() == run.path.resolve() for step in steps[1:]
        )
        if known or not (made_of.resolve() == file.resolve() or sha256 == content):
            continue
        asset = next(iter(run.assets().values()), run.path / "asset")
        steps.append(Step(asset, run, depth, run.path.resolve() == here))
        _below(asset, edits, depth + 1, here, steps)


def undo(run: RunFolder, out: Path | None = None) -> Path:
    """The asset as it was before an edit; nothing is deleted, and the edit stays.

    Args:
        out: where to put a copy of it; nothing that exists is replaced.

    Returns:
        The file before, or the copy.

    Raises:
        RunFolderError: the run edits nothing, or the file before is gone. AssetError: the copy cannot be written.
    """
    file, sha256 = source_file(run)
    try:
        data = read_bytes(file)
    except AssetError as error:
        raise RunFolderError(f"{run.path}: what it was made of is gone: {error}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunFolderError(
            f"{run.path}: {file} was changed since this edit was made of it, so that what was before is gone."
        )
    if out is None:
        return file
    write_atomic(out, data)
    return out
