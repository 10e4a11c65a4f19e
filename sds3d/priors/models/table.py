"""Finding a model by its name: the built-in table, and the user's own files over it.

./models.yaml wins over ~/.config/sds3d/models.yaml (or $XDG_CONFIG_HOME), which wins over the built-in one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ...config import load, source
from ...config.suggest import nearest
from ...core.errors import ConfigError, Sds3dError
from .entry import ModelEntry, Table

BUILT_IN = Path(__file__).with_name("models.yaml")


class ModelError(Sds3dError):
    """A model is unknown, not on this disk, or cannot be fetched; the text says what to do."""


def user_files() -> list[Path]:
    """Where users' own tables may lie, the stronger one last."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [home / "sds3d" / "models.yaml", Path("models.yaml")]


@cache
def built_in() -> Mapping[str, ModelEntry]:
    """The table that comes with sds3d."""
    return read_table(BUILT_IN)


def read_table(file: Path) -> Mapping[str, ModelEntry]:
    """The models of a YAML file.

    Raises:
        ConfigError: names file, line, key, what was expected and the nearest valid key.
    """
    models = load.validate(Table, source.read(file)).models
    return {name: _placed(entry, file) for name, entry in models.items()}


def _placed(entry: ModelEntry, file: Path) -> ModelEntry:
    """A relative folder lies beside the file that names it."""
    if entry.folder is None or entry.in_the_box:
        return entry
    return entry.model_copy(update={"folder": str(file.parent / Path(entry.folder).expanduser())})


def all_models() -> dict[str, ModelEntry]:
    """Name -> model: the built-in ones, then the users', who may replace ours.

    Raises:
        ConfigError: a user's file is wrong.
    """
    found = dict(built_in())
    for file in user_files():
        if file.is_file():
            found |= read_table(file)
    for name, entry in found.items():
        if entry.base is not None and (entry.base not in found or found[entry.base].base is not None):
            raise ConfigError(
                f"{entry.base!r} is not a model that LoRAs can be added to.",
                file="models.yaml",
                key=f"models.{name}.base",
            )
    return found


def find(word: str) -> ModelEntry | None:
    """The model of that name (case, - and _ do not count), or the one with that repository; None where none has it."""
    table = all_models()
    plain = _plain(word)
    for name, entry in table.items():
        if _plain(name) == plain:
            return entry
    by_repository = [
        e for e in table.values() if e.base is None and any(r.id == word for r in e.repositories)
    ]
    return by_repository[0] if by_repository else None


def name_of(entry: ModelEntry) -> str:
    """The name of an entry of the tables, its title where it has none."""
    return next((name for name, other in all_models().items() if other == entry), entry.title)


def get(word: str) -> ModelEntry:
    """As `find`.

    Raises:
        ModelError: there is none; the text names the nearest.
    """
    entry = find(word)
    if entry is None:
        close = nearest(word, all_models())
        hint = f" Did you mean {close}?" if close else ""
        raise ModelError(f"there is no model {word!r}.{hint} `sds3d models` lists them.")
    return entry


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
