"""Where a model lies on this disk: the user's own folders, then the cache that the hub's tools share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...core.errors import Sds3dError
from ..kinds.embedded import assets_folder
from .entry import ModelEntry, Repository, trust_of
from .needed import usual_files
from .table import get, name_of

FOLDERS = "SDS3D_MODELS"
"""Environment variable: folders that hold models, separated as in PATH."""


@dataclass(frozen=True)
class Found:
    """What there is of a model on this disk.

    Args:
        state: "complete", "partial" or "absent". folder: where, None where absent. reason: what is missing.
    """

    state: Literal["complete", "partial", "absent"]
    folder: Path | None = None
    reason: str = ""


def user_folders() -> list[Path]:
    """The folders that SDS3D_MODELS names, then ./models."""
    named = [Path(p).expanduser() for p in os.environ.get(FOLDERS, "").split(os.pathsep) if p]
    return [*named, Path("models")]


def hub_cache() -> Path:
    """The folder of the hub's cache on this disk."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE)


def snapshot(repository: Repository) -> Path | None:
    """A repository's files in the hub's cache: of its revision, or of a commit with that name; None where none is."""
    root = hub_cache() / f"models--{repository.id.replace('/', '--')}"
    reference = root / "refs" / repository.revision
    commit = reference.read_text().strip() if reference.is_file() else repository.revision
    folder = root / "snapshots" / commit
    return folder if folder.is_dir() else None


def candidates(entry: ModelEntry) -> list[Path]:
    """Folders that exist and may hold the model, the user's first."""
    if entry.folder is not None:
        return [assets_folder() / entry.in_the_box if entry.in_the_box else Path(entry.folder)]
    names = [name_of(entry)]
    for repository in entry.repositories:
        names += [repository.id, repository.id.rpartition("/")[2]]
    own = [root / name for root in user_folders() for name in dict.fromkeys(names)]
    cached = [snapshot(repository) for repository in entry.repositories]
    return [path for path in (*own, *cached) if path is not None and path.is_dir()]


def locate(entry: ModelEntry) -> Found:
    """The best of the candidates: a complete one, else one that is partly there."""
    partial = Found("absent", reason=", ".join(usual_files(entry)) if entry.readable else "")
    for folder in candidates(entry):
        reason = missing_in(entry, folder)
        if not reason:
            return Found("complete", folder)
        if partial.state == "absent":
            partial = Found("partial", folder, reason)
    return partial


def missing_in(entry: ModelEntry, folder: Path) -> str:
    """What is wrong with a folder as a home of the model, "" if nothing is."""
    if entry.loras:
        absent = [name for name in entry.loras if not (folder / name).is_file()]
        return f"{folder}: missing: {', '.join(absent)}" if absent else ""
    if entry.control is not None:
        from ..control import ControlOptions, control_files

        try:
            control_files(ControlOptions(folder=str(folder), map=entry.control))
        except Sds3dError as error:
            return str(error)
        return ""
    if not entry.readable:
        return "" if any(folder.iterdir()) else f"{folder}: empty"
    from ..model_folder import check_folder

    try:
        check_folder(folder, trust=trust_of(entry))
    except Sds3dError as error:
        return str(error)
    return ""


def base_of(entry: ModelEntry) -> ModelEntry | None:
    """The model that a LoRA's or a ControlNet's entry is added to."""
    return None if entry.base is None else get(entry.base)
