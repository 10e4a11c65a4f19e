"""A short run on the GPU: steps, memory, where the time goes, the same picture without a GPU, files."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch

from sds3d.representations.base import Representation

from ...assetio.kinds import read
from ...core.cameras import turntable
from ...jobs import configs
from ...jobs.assemble import assemble, build_representation, load_prior
from ...jobs.export import wanted, write_assets
from ...jobs.pictures import render_views, write_pictures
from ...jobs.runfolder import RunFolder
from ...jobs.schema import PRIORS, RunConfig
from ...optimize.checkpoint import CheckpointStore
from ...optimize.events import Silent, StepReport
from ...optimize.loop import train
from ...optimize.timing import Stopwatch
from ...priors.kinds.diffusers import DiffusersPrior
from ...priors.models.architecture import of_layout
from ...priors.models.tiers import predict_tier, workload_of
from ...priors.self_check import CAPTION
from .bench import Bench, Done
from .finding import REPORT, Outcome

LEAST_PSNR_DB = 40.0
MEMORY_RATIO = (0.4, 1.2)
MOST_REST = 0.5


class _Kept(Silent):
    """Keeps what every step reports."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []

    def on_step(self, report: StepReport) -> None:
        self.reports.append(report)


def run_config(bench: Bench) -> tuple[RunConfig, str]:
    """The run's config, and a word on its prior where that is not the asked one."""
    gpu, note, prior = bench.gpu, "", bench.prior
    if not bench.priors:
        prior, note = PRIORS.make_default(), ", with the built-in prior since the other did not load"
    given = {
        "prompt": CAPTION,
        "prior": prior.model_dump(mode="json", exclude_unset=True) | {"kind": prior.kind},  # type: ignore[attr-defined]
        "representation": {"kind": "gaussians", "rasterizer": gpu.rasterizer},
        "export": ["glb", "3dgs"],
        "device": str(gpu.device),
        "runs": str(bench.folder),
        "optimize.steps": bench.sizes.steps,
        "optimize.preview_steps": 0,
        "pictures.turntable_frames": 8,
    }
    return configs.from_mapping(given | dict(bench.sizes.run)), note


@dataclass(frozen=True)
class Steps:
    """A run of a few steps."""

    name: str = "steps"
    does: str = "train Gaussians for a few steps under the prior, on the GPU"
    needs: tuple[str, ...] = ("driver", "warp")

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        config, note = run_config(bench)
        folder, watch, kept = RunFolder.create(config), Stopwatch(bench.gpu.settle), _Kept()
        stage = assemble(config, watch, bench.priors)
        bench.gpu.restart_peak()
        state = train(stage, CheckpointStore(folder.checkpoints), kept, watch=watch)
        bench.done = Done(config, folder, stage, state, kept.reports, bench.gpu.peak())
        seconds = [report.seconds["total"] for report in kept.reports]
        usual = statistics.median(seconds[len(seconds) // 4 :])
        told = f"{state.step} steps, {usual:.3f} s a step, the first {seconds[0]:.2f} s{note}"
        return Outcome(told, numbers={"steps": state.step, "seconds": usual, "first": seconds[0]})


def _done(bench: Bench) -> Done:
    assert bench.done is not None, "checks of the run need it"
    return bench.done


@dataclass(frozen=True)
class PeakMemory:
    """Predicted against measured."""

    name: str = "peak memory"
    does: str = "compare the memory that the steps held with what was predicted for them"
    needs: tuple[str, ...] = ("steps",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        done, gb = _done(bench), 1e9
        prior = load_prior(done.config.prior, bench.priors, bench.gpu.device)
        numbers: dict[str, Any] = {"measured": done.peak, "predicted": predicted_peak(prior, done.config)}
        told = f"{done.peak / gb:.2f} GB measured"
        if numbers["predicted"] is None:
            return Outcome(f"{told}; there is no prediction for {prior.info.name}", numbers=numbers)
        ratio = done.peak / numbers["predicted"]
        told += f", {numbers['predicted'] / gb:.2f} GB predicted"
        if ratio > MEMORY_RATIO[1]:
            return Outcome(
                told, f"More than predicted: set prior.memory=lean where memory is short. {REPORT}", numbers
            )
        if ratio < MEMORY_RATIO[0]:
            return Outcome(
                told,
                f"Far less than predicted: prior.memory=roomy may fit though it is not chosen. {REPORT}",
                numbers,
            )
        return Outcome(told, numbers=numbers)


def predicted_peak(prior: Any, config: RunConfig) -> float | None:
    """Bytes of a step, as priors.models.memory predicts them; None for priors that it does not know."""
    if not isinstance(prior, DiffusersPrior):
        return None
    work = workload_of(prior.options, max(prior.layout.size), prior.dtype, config.optimize.views)
    return predict_tier(of_layout(prior.layout), work, prior.tier).peak


@dataclass(frozen=True)
class TimeSplit:
    """Where the time of a step goes."""

    name: str = "time"
    does: str = "share out the time of a step, waiting for the GPU after each part"
    needs: tuple[str, ...] = ("steps",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        reports = _done(bench).reports
        reports = reports[len(reports) // 4 :]  # the first ones compile and allocate
        names = {name for report in reports for name in report.seconds}
        mean = {name: statistics.fmean(r.seconds.get(name, 0.0) for r in reports) for name in names}
        total = mean.pop("total")
        shares = {name: mean[name] / total for name in sorted(mean, key=lambda name: -mean[name])}
        told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items() if share >= 0.01)
        advice = ""
        if shares.get("rest", 0.0) > MOST_REST:
            advice = "Most of the time passes outside of the GPU's work: is the processor busy with something else?"
        return Outcome(told, advice, {name: round(share, 4) for name, share in shares.items()})


@dataclass(frozen=True)
class SamePicture:
    """The scene drawn on the GPU, and on the CPU from the checkpoint."""

    name: str = "without the GPU"
    does: str = "read the run's checkpoint on the CPU and draw it there too"
    needs: tuple[str, ...] = ("steps",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        done = _done(bench)
        options = done.config.representation.model_copy(update={"rasterizer": "auto"})
        here = build_representation(done.config.model_copy(update={"representation": options}))
        state = CheckpointStore(done.folder.checkpoints).latest()
        assert state is not None, "a run saves its end"
        here.load_state_dict(state.representation)
        there = done.stage.representation
        psnr = _psnr(here, there, done.config.pictures.contact_size, bench.gpu.device)
        told = f"{psnr:.1f} dB between the pictures of GPU and CPU (at least {LEAST_PSNR_DB:g})"
        return Outcome(told, "" if psnr >= LEAST_PSNR_DB else REPORT, {"psnr_db": round(psnr, 2)})


def _psnr(here: Representation, there: Representation, side: int, device: torch.device) -> float:
    cameras = turntable(4, 15.0)
    mine, other = (
        torch.stack(v)
        for v in (render_views(here, cameras, side), render_views(there, cameras, side, device))
    )
    error = float((mine - other).square().mean())
    return -10.0 * math.log10(max(error, 1e-10)) if math.isfinite(error) else -math.inf


@dataclass(frozen=True)
class Export:
    """Files of the run."""

    name: str = "export"
    does: str = "write pictures, a film, a GLB and a splat file of the run, and read the assets back"
    needs: tuple[str, ...] = ("steps",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        done = _done(bench)
        scene = done.stage.representation
        write_pictures(done.folder, scene, done.config, bench.gpu.device)
        scene.to(torch.device("cpu"))
        kinds = wanted(done.config.export, done.config.representation)
        files = write_assets(scene, kinds, done.folder.path / "asset", "doctor", overwrite=True)
        sizes = {}
        for path in files:
            read(path)
            sizes[path.name] = path.stat().st_size
        return Outcome(
            ", ".join(f"{name} {size / 1e3:.0f} kB" for name, size in sizes.items()), numbers=sizes
        )
