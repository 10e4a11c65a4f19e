"""Several runs one after another; one that fails does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import assetio
from ..core.errors import AssetError, ConfigError, PromptError, Sds3dError, StopRequested
from ..optimize.events import Monitor
from .assemble import PriorCache, check_guidance, check_model, check_prompt
from .conversion import check_stages
from .device import device_of
from .editing import check_edit
from .execute import Finisher, execute
from .export import wanted
from .fitting import check_capture
from .referencing import check_reference
from .regions import settled
from .runfolder import RunFolder
from .schema import RunConfig

log = logging.getLogger(__name__)

LOOKED_AT = 64 << 20
"""Bytes up to which a file that a run starts from is read once before anything is made; most take a moment."""


@dataclass(frozen=True)
class Outcome:
    """How one run ended: state "finished", "failed", "stopped" or "queued" (never begun), and why."""

    folder: RunFolder
    state: str
    reason: str = ""
    error: BaseException | None = None


@dataclass(frozen=True)
class Refusal:
    """A prompt that the prior cannot serve: nothing was made for it. `reason` says why and what to do."""

    prompt: str
    reason: str


def create_folder(config: RunConfig) -> RunFolder:
    """A queued run folder for a config of one prompt.

    Raises:
        ConfigError: a file kind is asked of a representation that has no such form, or the guidance needs what it
            does not give, or the device cannot be had.
        PromptError: the prior cannot serve the prompt. ModelError: its model is not on this disk. Nothing was made.
        RunFolderError: the place cannot be written.
    """
    config = settled(config)
    check_choices(config)
    for index, stage in enumerate(() if config.capture else config.in_stages()):
        check_prompt(stage)
        with _stage_named(config, index):
            check_model(stage)
    return RunFolder.create(config)


def create_folders(config: RunConfig) -> tuple[list[RunFolder], list[Refusal]]:
    """A queued run folder for each prompt of a config that the prior can serve, and the prompts that it cannot.

    Raises:
        PromptError: the config names one prompt, and it cannot be served.
        ConfigError: see `create_folder`. In both cases nothing was made.
        RunFolderError: the place cannot be written.
    """
    if config.prompt is not None:
        return [create_folder(config)], []
    configs, refused = served(config)
    check_choices(config)
    for index, stage in enumerate(config.in_stages() if configs else ()):
        with _stage_named(config, index):
            check_model(stage)
    return [RunFolder.create(settled(one)) for one in configs], refused


def served(config: RunConfig) -> tuple[list[RunConfig], list[Refusal]]:
    """One config a prompt that the priors can serve in all stages, and the prompts that they cannot."""
    configs, refused = [], []
    for one in config.one_each():
        try:
            for stage in one.in_stages():
                check_prompt(stage)
            configs.append(one)
        except PromptError as error:
            refused.append(Refusal(one.prompt or "", str(error)))
    return configs, refused


def check_choices(config: RunConfig, here: bool = True) -> None:
    """Refuse what cannot go together in a stage, or from one to the next, before anything is made.

    Args:
        here: also refuse a device that this machine has not.

    Raises:
        ConfigError: says what, and what to take instead.
    """
    check_stages(config)
    check_edit(config)
    check_capture(config)
    stages = config.in_stages()
    for index, stage in enumerate(stages):
        if here:
            device_of(stage)
        with _stage_named(config, index):
            if stage.capture is None:
                check_guidance(stage)
            check_reference(stage)
            _check_files(stage)
    wanted(config.export, stages[-1].representation)


@contextmanager
def _stage_named(config: RunConfig, index: int) -> Iterator[None]:
    """A stage's errors begin with it."""
    try:
        yield
    except ConfigError as error:
        if not config.stages:
            raise
        key = f"stages[{index}].{error.key}".rstrip(".")
        raise ConfigError(
            error.message, file=error.file, line=error.line, key=key, hint=error.hint
        ) from error


def _check_files(stage: RunConfig) -> None:
    """Refuse a representation that starts from a file which is not there, or, below `LOOKED_AT` bytes, is broken."""
    for key, file in stage.representation.start_files().items():
        path, key = Path(file), f"representation.{key}"
        if not path.is_file():
            hint = f"Paths are relative to the folder that you are in, {Path.cwd()}."
            raise ConfigError(f"there is no file {file}.", key=key, hint=hint)
        if path.stat().st_size > LOOKED_AT:
            continue
        try:
            assetio.read(path)
        except AssetError as error:
            raise ConfigError(str(error), key=key) from error


def run_batch(
    folders: Sequence[RunFolder],
    watch: Callable[[RunFolder], AbstractContextManager[Monitor]],
    finishers: Sequence[Finisher] = (),
) -> list[Outcome]:
    """Carry out the runs in order.

    Args:
        watch: opens the monitor of a run just before it begins; closed when the run has ended.

    Returns:
        One outcome a run; after a stop, the runs that have not begun stay queued.
    """
    outcomes: list[Outcome] = []
    cache: PriorCache = {}
    for position, folder in enumerate(folders):
        try:
            with watch(folder) as watcher:
                execute(folder, watcher, finishers, cache)
        except (StopRequested, KeyboardInterrupt) as stop:
            reason = str(stop) or "interrupted"
            outcomes.append(Outcome(folder, "stopped", reason, stop))
            outcomes += [Outcome(f, "queued", "not begun") for f in folders[position + 1 :]]
            return outcomes
        except Sds3dError as error:
            outcomes.append(Outcome(folder, "failed", str(error), error))
        except Exception as error:
            log.debug("run failed", exc_info=True)
            outcomes.append(Outcome(folder, "failed", f"{type(error).__name__}: {error}", error))
        else:
            outcomes.append(Outcome(folder, "finished"))
    return outcomes
