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
from . import configs, metrics, provenance
from .assemble import Place, PriorCache, assemble, priors_of, weight_files
from .conversion import check_stages, converted
from .device import device_of
from .export import drop_others, wanted, write_assets
from .fitting import judge_of
from .pictures import write_before_after, write_pictures, write_region
from .record import Leg, Recorder
from .referencing import write_reference
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
    stages, names = config.in_stages(), config.stage_names()
    check_stages(config)
    export = wanted(config.export, stages[-1].representation)
    _use_threads(folder, config)
    loaded: PriorCache = {} if cache is None else cache
    store = CheckpointStore(folder.checkpoints, stages[0].optimize.keep_checkpoints)
    state = _start(folder, store, config)
    first = state.stage if state else 0
    metrics.cut_back(folder.metrics_file, _steps_before(stages, first) + (state.step if state else 0))
    status, scene = replace(status, steps=config.total_steps()), None
    with metrics.MetricsWriter(folder.metrics_file) as writer:
        for index in range(first, len(stages)):
            own, watch = stages[index], Stopwatch(settler(device_of(stages[index])))
            if scene is not None:
                scene = converted(scene, stages[index - 1].representation, own)
            place = Place(index, configs.hash_of_stage(config, index), scene)
            stage = assemble(own, watch, loaded, place)
            _note_provenance(folder, own, stage, state, names[index])
            leg = Leg(_steps_before(stages, index), config.total_steps(), names[index])
            recorder = Recorder(folder, writer, watcher, status, leg)
            judge = judge_of(own, stage.representation, stage.device, recorder)
            train(stage, store, judge or recorder, state, watch)
            if judge is not None:
                judge.sheet(folder.held_out)
            status, state, scene = recorder.status, None, stage.representation
            _write_results(folder, stage, own, names[index], export if own is stages[-1] else None)
    return replace(status, step=config.total_steps())


def _steps_before(stages: Sequence[RunConfig], index: int) -> int:
    return sum(one.optimize.steps for one in stages[:index])


def _write_results(
    folder: RunFolder, stage: Stage, config: RunConfig, name: str, export: Sequence[str] | None
) -> None:
    """Pictures and files of a finished stage; those of the last one, which `export` is given for, are the run's."""
    # later stages draw by seeds made of the run's, which is the one that makes the asset again
    asked = config.model_copy(update={"seed": folder.config().seed})
    scene, origin = stage.representation, provenance.origin(asked, folder.provenance())
    places = [] if export is None else [folder]
    if name:
        places.insert(0, folder.of_stage(name))
    for place in places:
        write_pictures(place, scene, _sheet_only(config) if place is not folder else config, stage.device)
    if stage.original is not None:
        write_before_after(folder, stage.original.representation, scene, config, stage.device)
        if config.edit is not None and config.edit.region:
            write_region(folder.region, scene, config, stage.device)
    if stage.reference is not None:
        side = max(config.pictures.contact_size, stage.size(config.optimize.steps - 1)[0])
        write_reference(folder.reference_view, stage.reference, scene, side, stage.device)
    scene.to(torch.device("cpu"))
    for place in places:
        drop_others(place, config.representation)
        write_assets(
            scene,
            export or wanted(None, config.representation),
            place.path / "asset",
            config.prompt or "asset",
            overwrite=True,
            baking=config.baking,
            pictures=config.pictures,
            origin=origin,
        )


def _sheet_only(config: RunConfig) -> RunConfig:
    """The config without a film."""
    return config.model_copy(update={"pictures": config.pictures.model_copy(update={"turntable_frames": 0})})


def _use_threads(folder: RunFolder, config: RunConfig) -> None:
    """The config's thread count, else the one that the run began with: results are bit-identical for one number."""
    threads = config.threads or folder.provenance().get("hardware", {}).get("threads")
    if threads and threads != torch.get_num_threads():
        log.info(
            "using %d threads instead of %d, as the run asks or as it began", threads, torch.get_num_threads()
        )
        torch.set_num_threads(threads)


def _start(folder: RunFolder, store: CheckpointStore, config: RunConfig) -> RunState | None:
    """The state to continue from, None for a fresh run."""
    state = store.latest()
    if state is None and store.list():
        raise RunFolderError(
            f"{folder.path}: none of its checkpoints can be read; start the run anew with: "
            f"sds3d run {folder.config_file}"
        )
    if state is None:
        return None
    known = state.stage < len(config.stage_names())
    if not known or state.config_hash != configs.hash_of_stage(config, state.stage):
        again = ", or run the changed stage again with --from-stage NAME" if config.stages else ""
        raise RunFolderError(
            f"{folder.path}: config.yaml was changed since the checkpoint at step {state.step}, or the options' "
            f"defaults were; start a new run with: sds3d run {folder.config_file}{again}"
        )
    return state


def _note_provenance(
    folder: RunFolder, config: RunConfig, stage: Stage, start: RunState | None, name: str
) -> None:
    judges = [one.config.prior for one in config.apart()]
    facts = provenance.collect(stage.prior.info, [] if config.capture else weight_files(judges[0]))
    facts["hardware"]["device"] = str(stage.device)
    if config.capture is None and len(priors_of(config)) > 1:
        infos = {term.name: term.stage.prior.info for term in stage.terms}
        facts["priors"] = {
            term: provenance.of_prior(info, weight_files(prior))
            for (term, info), prior in zip(infos.items(), judges, strict=True)
        }
    known = folder.provenance()
    if stage.index:
        known.setdefault("stages", {})[name] = {k: facts.pop(k) for k in ("prior", "priors") if k in facts}
    if known and (start is not None or not stage.index):
        same = {k: known.get(k) for k in facts} == facts
        known.setdefault("resumed", []).append({"step": start.step if start else 0} | ({} if same else facts))
    folder.write(folder.provenance_file, json.dumps(known or facts, indent=1, ensure_ascii=False).encode())
