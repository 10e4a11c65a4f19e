"""A run that goes on from where another one stands, with other options; the first one is left as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace

from sds3d.representations.base import Representation

from ..config import overrides, source
from ..core.errors import ConfigError, RunFolderError
from ..optimize.checkpoint import CheckpointStore
from ..optimize.state import RunState
from . import configs, metrics
from .assemble import build_representation
from .batch import create_folder
from .runfolder import RunFolder
from .schema import RunConfig

_JUDGES = ("prior", "guidance", "particles")
"""Sections that a guidance's memory belongs to: with another of them it begins anew."""


def fork(folder: RunFolder, changes: Sequence[str]) -> RunFolder:
    """A queued run that starts at the other's newest checkpoint: its scene, its optimizer and its step.

    More steps: `optimize.steps=800`. What follows progress (times, rates) follows the new number of steps. The
    guidance's memory goes along where guidance and prior stay the same.

    Args:
        changes: overrides such as "guidance.cfg_scale=6".

    Raises:
        RunFolderError: there is no checkpoint yet. ConfigError: a change is wrong, or the scene of the checkpoint
            does not fit it. PromptError: the prior cannot serve a changed prompt. Nothing was made.
    """
    state = CheckpointStore(folder.checkpoints).latest() if folder.checkpoints.is_dir() else None
    if state is None:
        raise RunFolderError(f"{folder.path}: has no checkpoint to go on from yet")
    config = changed(folder, changes)
    before, after = folder.config().in_stages(), config.in_stages()
    if state.stage >= len(after):
        raise ConfigError(
            f"the run stands in its stage {state.stage + 1}; there are {len(after)} now", key="stages"
        )
    own = after[state.stage]
    _check_capture(folder.config(), config)
    _check_steps(state, own)
    _check_fits(state, own)
    if any(getattr(before[state.stage], name) != getattr(own, name) for name in _JUDGES):
        state = replace(state, guidance=None)
    made = create_folder(config)
    CheckpointStore(made.checkpoints).save(
        replace(state, config_hash=configs.hash_of_stage(config, state.stage))
    )
    done = sum(one.optimize.steps for one in after[: state.stage]) + state.step
    if folder.metrics_file.is_file():
        shutil.copy(folder.metrics_file, made.metrics_file)
        metrics.cut_back(made.metrics_file, done)
    facts = folder.provenance() | {"forked": {"from": folder.path.name, "step": done}}
    made.write(made.provenance_file, json.dumps(facts, indent=1, ensure_ascii=False).encode())
    made.set_status(replace(made.status(), step=done))
    return made


def changed(folder: RunFolder, changes: Sequence[str]) -> RunConfig:
    """The config of a run with overrides; its folder of runs is where the run lies.

    Raises:
        ConfigError: see configs.from_words.
    """
    document = source.read(folder.config_file)
    overrides.apply(document, RunConfig, list(changes))
    return configs.from_document(document).model_copy(update={"runs": str(folder.path.parent)})


def _check_capture(before: RunConfig, after: RunConfig) -> None:
    """Refuse another place of the photographs: the Gaussians of the checkpoint stand where they were."""
    free = {"size", "holdout", "source", "file", "images"}
    one, other = (c.capture and c.capture.model_dump(exclude=free) for c in (before, after))
    if one != other:
        raise ConfigError(
            "says otherwise how the photographs stand, and a fork goes on with the scene where it is.",
            key="capture",
            hint="Begin a new fit; a fork may change capture.size and capture.holdout.",
        )


def _check_steps(state: RunState, config: RunConfig) -> None:
    if config.optimize.steps <= state.step:
        raise ConfigError(
            f"is {config.optimize.steps}, but the run stands at step {state.step} of it.",
            key="optimize.steps",
            hint=f"Say how many there shall be in all, such as optimize.steps={2 * state.step}.",
        )


def _check_fits(state: RunState, config: RunConfig) -> None:
    """Refuse a representation that the checkpoint's scene cannot be put into."""
    try:
        scene: Representation = build_representation(config)
        scene.load_state_dict(state.representation)
    except (RunFolderError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"the scene of the checkpoint does not fit these options ({error}).",
            key="representation",
            hint="A fork goes on with the scene as it is: leave its kind and sizes, or start a new run.",
        ) from error
