"""Whether anything may be asked of the network, and what to say where it may not."""

from __future__ import annotations

import os

from .entry import ModelEntry
from .places import Found, hub_cache, user_folders
from .table import ModelError, name_of

_VARIABLE = "HF_HUB_OFFLINE"


def is_offline() -> bool:
    """Whether --offline or HF_HUB_OFFLINE forbids the network."""
    return os.environ.get(_VARIABLE, "").upper() in ("1", "ON", "YES", "TRUE")


def damaged(entry: ModelEntry, found: Found) -> ModelError:
    """What to say where a model that comes with sds3d is not whole."""
    return ModelError(
        f"{name_of(entry)} comes with sds3d and is not whole here ({found.reason}); reinstall sds3d."
    )


def not_here(entry: ModelEntry, found: Found) -> ModelError:
    """What to say where a model is not on this disk and may not be fetched."""
    name = name_of(entry)
    if entry.in_the_box:
        return damaged(entry, found)
    if entry.folder is not None:
        return ModelError(
            f"{name}: {found.reason or f'there is no folder {entry.folder}'}. models.yaml names this folder."
        )
    places = f"{user_folders()[0] / name}/ (set SDS3D_MODELS to choose another folder), or {hub_cache()}"
    wanted = (
        f"It is there only in part: {found.reason}"
        if found.state == "partial"
        else f"Its files: {found.reason}"
    )
    first = entry.repositories[0]
    return ModelError(
        f"{name} ({entry.title}) is not on this disk, and the network is off (--offline or HF_HUB_OFFLINE). {wanted}. "
        f"Where they go: {places}. On a machine with a network: sds3d models fetch {name} --to FOLDER"
        f" (from {first.id}), then copy FOLDER/{name} there."
    )
