"""nerfstudio's run folders: the newest checkpoint of one, and a new one beside it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .plain_pickle import load_plain
from .splats import ExchangeError

MODELS = "nerfstudio_models"
TRANSFORMS = "dataparser_transforms.json"
_STAMP = re.compile(r"^timestamp: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A run of ns-train, named by its config.yml."""

    config: Path

    @property
    def folder(self) -> Path:
        """outputs/EXPERIMENT/METHOD/TIMESTAMP."""
        return self.config.parent

    def checkpoint(self) -> Path:
        """The newest checkpoint.

        Raises:
            ExchangeError: there is none.
        """
        found = sorted((self.folder / MODELS).glob("step-*.ckpt"))
        if not found:
            raise ExchangeError(
                f"{self.folder}: has no checkpoint in {MODELS}/. Train it first: ns-train splatfacto …"
            )
        return found[-1]

    def state(self) -> dict[str, Any]:
        """What the newest checkpoint holds; only tensors and plain values are read, never code.

        Raises:
            ExchangeError: it cannot be read.
        """
        path = self.checkpoint()
        try:
            state = load_plain(path)
        except Exception as error:
            raise ExchangeError(f"{path}: cannot be read: {str(error)[:200]}") from error
        if not isinstance(state, dict) or not isinstance(state.get("pipeline"), dict):
            raise ExchangeError(f"{path}: is no checkpoint of nerfstudio: it has no pipeline.")
        return state

    def beside(self, name: str, pipeline: dict[str, Any]) -> Run:
        """A new run beside this one that differs in its pipeline alone; nothing that exists is changed.

        Args:
            name: what is put behind the timestamp. pipeline: its state.

        Raises:
            ExchangeError: config.yml has no timestamp, or there is such a run.
        """
        text = self.config.read_text(encoding="utf-8")
        stamp = f"{self.folder.name}-{name}"
        # nerfstudio finds a run by the timestamp in its config, not by where the config lies
        if len(_STAMP.findall(text)) != 1:
            raise ExchangeError(
                f"{self.config}: has no line `timestamp:`, so that it is no config of ns-train."
            )
        folder = self.folder.with_name(stamp)
        if folder.exists():
            raise ExchangeError(f"{folder}: exists already, and was left as it is. Give another --name.")
        state = self.state()
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / MODELS).mkdir(parents=True)
        if (self.folder / TRANSFORMS).is_file():
            shutil.copy2(self.folder / TRANSFORMS, part / TRANSFORMS)
        kept = {"step": state.get("step", 0), "pipeline": pipeline}
        torch.save(kept, part / MODELS / self.checkpoint().name)
        (part / "config.yml").write_text(_STAMP.sub(f"timestamp: {stamp}", text), encoding="utf-8")
        part.rename(folder)
        return Run(folder / "config.yml")


def open_run(path: Path) -> Run:
    """The run of a config.yml, or of the folder that holds one.

    Raises:
        ExchangeError: there is none.
    """
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise ExchangeError(
            f"{path}: there is no config.yml of ns-train; give outputs/…/splatfacto/…/config.yml."
        )
    return Run(config)
