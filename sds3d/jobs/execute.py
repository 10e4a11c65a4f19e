"""Carrying out a run: assemble, continue from the last checkpoint, train, export, and leave the status behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..core.devices import settler
from ..core.errors import RunFolderError, Sds3dError, StopRequested
from ..optimize.checkpoint import CheckpointStore
from ..optimize.events import Monitor, Silent
from ..optimize.loop import train
from ..optimize.stage import Stage
from ..optimize.state import RunState
from ..optimize.timing import Stopwatch
from . import metrics, provenance
from .assemble import PriorCache, assemble, priors_of, weight_files
from .device import device_of
from .export import wanted, write_assets
from .pictures import write_pictures
from .record import Recorder
from .runfolder import RunFolder, Status
from .schema import RunConfig

log = logging.getLogger(__name__)

Finisher = Callable[[RunFolder], object]
"""Called with a folder whose assets are written, such as the report page; its failure is the run's."""


def execute(
    folder: RunFolder,
    watcher: Monitor | None = None,
    finishers: Sequence[Finisher] = (),
    cache: PriorCache | None = None,
) -> None:
    """Run or continue a run to its end; the folder's status tells the outcome.

    Args:
        watcher: told of every step. finishers: see Finisher. cache: priors shared by the runs of a batch.

    Raises:
        StopRequested: the watcher asked; the state is saved. KeyboardInterrupt: told so at once.
        Sds3dError: what went wrong, in a paragraph. Other exceptions are defects; all of them leave the status
            "failed" with the reason.
    """
    with folder.lock():
        status = replace(folder.status(), state="running", reason="")
        folder.set_status(status)
        try:
            status = _carry_out(folder, status, watcher or Silent(), cache)
            folder.set_status(replace(status, state="finished"))
            for finish in finishers:
                finish(folder)
        except StopRequested as stop:
            _leave(folder, "stopped", str(stop))
            raise
        except KeyboardInterrupt:
            _leave(folder, "stopped", "interrupted; the last checkpoint is intact")
            raise
        except Exception as error:
            _leave(
                folder,
                "failed",
                str(error) if isinstance(error, Sds3dError) else f"{type(error).__name__}: {error}",
            )
            raise


def _leave(folder: RunFolder, state: str, reason: str) -> None:
    """Note how a run ended; a full disk must not hide the reason for it."""
    try:
        folder.set_status(replace(folder.status(), state=state, reason=reason))
    except Sds3dError as error:
        log.warning("the status could not be written: %s", error)


def _carry_out(folder: RunFolder, status: Status, watcher: Monitor, cache: PriorCache | None) -> Status:
    config = folder.config()
    _use_threads(folder, config)
    watch = Stopwatch(settler(device_of(config)))
    stage = assemble(config, watch, cache)
    export = wanted(config.export, config.representation)
    store = CheckpointStore(folder.checkpoints, config.optimize.keep_checkpoints)
    start = _start(folder, store, stage)
    _note_provenance(folder, config, stage, start)
    metrics.cut_back(folder.metrics_file, start.step if start else 0)
    with metrics.MetricsWriter(folder.metrics_file) as writer:
        recorder = Recorder(folder, writer, watcher, replace(status, steps=config.optimize.steps))
        train(stage, store, recorder, start, watch)
    write_pictures(folder, stage.representation, config, stage.device)
    stage.representation.to(torch.device("cpu"))
    write_assets(
        stage.representation,
        export,
        folder.path / "asset",
        config.prompt or "asset",
        overwrite=True,
        baking=config.baking,
        pictures=config.pictures,
        origin=provenance.origin(config, folder.provenance()),
    )
    return replace(recorder.status, step=config.optimize.steps)


def _use_threads(folder: RunFolder, config: RunConfig) -> None:
    """The config's thread count, else the one that the run began with: results are bit-identical for one number."""
    threads = config.threads or folder.provenance().get("hardware", {}).get("threads")
    if threads and threads != torch.get_num_threads():
        log.info(
            "using %d threads instead of %d, as the run asks or as it began", threads, torch.get_num_threads()
        )
        torch.set_num_threads(threads)


def _start(folder: RunFolder, store: CheckpointStore, stage: Stage) -> RunState | None:
    """The state to continue from, None for a fresh run."""
    state = store.latest()
    if state is None and store.list():
        raise RunFolderError(
            f"{folder.path}: none of its checkpoints can be read; start the run anew with: "
            f"sds3d run {folder.config_file}"
        )
    if state is not None and state.config_hash != stage.config_hash:
        raise RunFolderError(
            f"{folder.path}: config.yaml was changed since the checkpoint at step {state.step}, or the options' "
            f"defaults were; start a new run with: sds3d run {folder.config_file}"
        )
    return state


def _note_provenance(folder: RunFolder, config: RunConfig, stage: Stage, start: RunState | None) -> None:
    judges = [one.config.prior for one in config.apart()]
    facts = provenance.collect(stage.prior.info, weight_files(judges[0]))
    facts["hardware"]["device"] = str(stage.device)
    if len(priors_of(config)) > 1:
        infos = {term.name: term.stage.prior.info for term in stage.terms}
        facts["priors"] = {
            name: provenance.of_prior(info, weight_files(prior))
            for (name, info), prior in zip(infos.items(), judges, strict=True)
        }
    known = folder.provenance()
    if known:
        same = {k: known.get(k) for k in facts} == facts
        known.setdefault("resumed", []).append({"step": start.step if start else 0} | ({} if same else facts))
    folder.write(folder.provenance_file, json.dumps(known or facts, indent=1, ensure_ascii=False).encode())
