"""Checkpoints: one file each, written to a temporary name, synced and renamed, so that a crash or a full disk
leaves the previous one whole. Tensors and plain values live in one safetensors file (the latter, and the
state's hash, in its metadata): one rename, no pair that could disagree.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from pathlib import Path

from ..core.errors import RunFolderError
from ..core.tree import join, split
from .state import RunState

log = logging.getLogger(__name__)
FORMAT = "sds3d-checkpoint-1"
_NAME = re.compile(r"stage(\d+)_step(\d{6,})\.safetensors$")


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made if missing.
        keep: how many recent ones stay; the last of each earlier stage and pinned ones stay as well.
    """

    def __init__(self, folder: str | Path, keep: int = 2):
        self.folder, self.keep = Path(folder), keep
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, state: RunState) -> Path:
        """File of a state."""
        return self.folder / f"stage{state.stage}_step{state.step:06d}.safetensors"

    def list(self) -> list[Path]:
        """Checkpoint files, oldest first."""
        found = [(m, p) for p in self.folder.iterdir() if (m := _NAME.match(p.name))]
        return [p for _, p in sorted(found, key=lambda f: (int(f[0][1]), int(f[0][2])))]

    def pin(self, path: Path) -> None:
        """Keep a checkpoint for good."""
        path.with_suffix(".pinned").touch()

    def save(self, state: RunState) -> Path:
        """Write a checkpoint atomically, then drop those that are no longer kept.

        Raises:
            RunFolderError: the disk is full or the folder cannot be written; earlier checkpoints are intact.
        """
        path = self.path(state)
        write_state(state, path)
        self._prune()
        return path

    def _prune(self) -> None:
        files = self.list()
        last_of_stage = {_NAME.match(p.name)[1]: p for p in files}  # type: ignore[index]
        for p in files[: -self.keep]:
            if p not in last_of_stage.values() and not p.with_suffix(".pinned").exists():
                p.unlink()

    def last_of(self, stage: int) -> Path | None:
        """The newest file of a stage, or None."""
        return max((p for p in self.list() if _stage_of(p) == stage), default=None, key=lambda p: p.name)

    def forget_from(self, stage: int) -> None:
        """Remove the checkpoints of a stage and of those after it, pinned ones too."""
        for path in self.list():
            if _stage_of(path) >= stage:
                path.unlink()
                path.with_suffix(".pinned").unlink(missing_ok=True)

    def latest(self) -> RunState | None:
        """The newest checkpoint that reads back whole, or None; broken ones are named in the log."""
        for path in reversed(self.list()):
            try:
                return read_state(path)
            except RunFolderError as error:
                log.warning("%s; trying the one before it", error)
        return None


def _stage_of(path: Path) -> int:
    match = _NAME.match(path.name)
    assert match is not None, path
    return int(match[1])


def write_state(state: RunState, path: Path) -> None:
    """Write one state to one file, atomically; raises RunFolderError when the disk refuses."""
    from safetensors.torch import save

    tensors, plain = split(state.tree())
    # safetensors refuses shared memory and strided tensors: each leaf gets its own contiguous copy
    payload = save(
        {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()},
        {"format": FORMAT, "plain": json.dumps(plain), "hash": state.hash()},
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as f:
            f.write(payload)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFolderError(_why(error, path, len(payload))) from error


def _why(error: OSError, path: Path, need: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free
        return (
            f"{path}: the disk is full: a checkpoint needs {need / 1e6:.1f} MB and {free / 1e6:.1f} MB are free. "
            f"Free at least {(2 * need) / 1e6:.0f} MB on that disk (old run folders hold previews/ and "
            f"checkpoints/ that can go), then resume: the previous checkpoint is intact."
        )
    return f"{path}: the checkpoint cannot be written: {error.strerror}; the previous one is intact."


def read_state(path: Path) -> RunState:
    """Read one checkpoint and verify its hash.

    Raises:
        RunFolderError: truncated, damaged or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as f:
            meta = f.metadata() or {}
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"{path}: this checkpoint is damaged or truncated ({error})") from error
    if meta.get("format") != FORMAT:
        raise RunFolderError(
            f"{path}: not a checkpoint of this version (format {meta.get('format')!r}, not {FORMAT!r})"
        )
    state = RunState.from_tree(join(tensors, json.loads(meta["plain"])))
    if state.hash() != meta["hash"]:
        raise RunFolderError(f"{path}: this checkpoint is damaged: its contents do not match its hash")
    return state
