"""Where a run takes place: the device that its config means on this machine."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..core.devices import Cuda, check_word, probe, resolve, trial
from ..core.errors import ConfigError
from . import configs
from .runfolder import RunFolder
from .schema import RunConfig


def device_of(
    config: RunConfig,
    look: Callable[[], Cuda] | None = None,
    attempt: Callable[[torch.device], str] = trial,
) -> torch.device:
    """The device of a run's scene, and of its priors that ask for no other.

    auto takes a GPU only where the config's representation can be drawn on it.

    Args:
        look, attempt: see core.devices.resolve; by default this machine is asked.

    Raises:
        ConfigError: a GPU is asked for and cannot be had, or has nothing to draw with; the text says why, and what
            to do.
    """
    return resolve(config.device, look or probe, attempt, config.representation.unserved)


def move_run(folder: RunFolder, word: str) -> None:
    """Note another device in a run's config: its checkpoints lie on the CPU, and any device goes on from them.

    Raises:
        ConfigError: the word names no device, or the device cannot be had here; nothing is changed.
        RunFolderError: a process works on the run now.
    """
    try:
        check_word(word)
    except ValueError as error:
        raise ConfigError(str(error), file="command line", key="--device") from error
    config = folder.config().model_copy(update={"device": word})
    device_of(config)
    with folder.lock():
        folder.write(folder.config_file, configs.to_yaml(config).encode())
