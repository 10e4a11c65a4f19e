"""The loop: look, render, encode, ask the guidance, pull back once, step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sds3d.guidance.base import Views

from ..assetio.pictures import grid
from ..core.errors import StopRequested
from ..core.look import Render
from ..core.sound_pictures import sound_picture
from ..core.tree import Tree
from ..priors.base import Prior
from .adam import Adam
from .checkpoint import CheckpointStore
from .events import Monitor, Silent, StepReport
from .judging import (
    Judgement,
    fidelity,
    initial_state,
    judge,
    learned,
    merged_log,
    merged_state,
    placed_state,
    to_pull_back,
)
from .loss_scale import LossScaler
from .out_of_memory import stopping
from .placing import place_look, place_tree
from .reference import compare
from .sentinel import first_non_finite, stop_if_non_finite
from .stage import Stage
from .state import RunState
from .timing import Stopwatch


@dataclass(frozen=True)
class Grads:
    """What one step found out, before anything is changed.

    Args:
        params: parameter name -> gradient. views: what the guidance saw. render: with its graph's leaves.
        losses: regularisers by name. log: the guidance's own numbers and pictures. guidance: its new state.
        checked: tensors for the sentinel in the order in which they were computed.
        judged: what each term saw and said; views, render and the pictures of the log are the first one's.
    """

    params: dict[str, Tensor]
    views: Views
    render: Render
    losses: dict[str, Tensor]
    log: dict[str, Any]
    guidance: Tree
    checked: dict[str, Tensor]
    judged: tuple[Judgement, ...]


class Session:
    """A stage in motion: the stage, Adam, the guidance's state, and the loss scaler if there is one.

    Args:
        stage: what to optimise. state: where to start; None starts fresh.
        watch: the stopwatch that the stage's prior reports to, if it is a TimedPrior.
    """

    def __init__(self, stage: Stage, state: RunState | None = None, watch: Stopwatch | None = None):
        self.stage, self.watch = stage, watch or Stopwatch()
        self.adam = Adam(stage.options.adam_betas, stage.options.adam_eps)
        self.step = 0
        self.scaler = LossScaler(stage.options.loss_scale) if stage.options.scales_loss() else None
        if state is None:
            self.guidance_state = placed_state(stage, initial_state(stage))
        else:
            stage.representation.load_state_dict(state.representation)
            self.adam.load_state_dict(place_tree(state.optimizer, stage.device))
            if self.scaler:
                self.scaler.load_state_dict(state.optimizer["loss_scale"])
            known = initial_state(stage) if state.guidance is None else state.guidance
            self.guidance_state, self.step = placed_state(stage, known), state.step

    def state(self) -> RunState:
        """The present state; its tensors are the live ones, copy or save them before the next step."""
        return RunState(
            self.step,
            self.stage.index,
            self.stage.representation.state_dict(),
            self.adam.state_dict() | ({"loss_scale": self.scaler.state_dict()} if self.scaler else {}),
            self.guidance_state,
            self.stage.config_hash,
        )

    def gradients(self) -> Grads:
        """The gradients of this step; nothing is changed. A pure function of (state, step).

        With a loss scaler what is pulled back is scaled and the gradients are unscaled, which may have overflowed.
        """
        stage, step, section = self.stage, self.step, self.watch.section
        params = {k: p for group in stage.representation.param_groups() for k, p in group.params.items()}
        for p in params.values():
            p.requires_grad_(True)
            p.grad = None
        found = judge(stage, step, self.guidance_state, section)
        # the first one's render also serves the regularisers, and densification
        views, render = found[0].views, found[0].render
        with section("regularise"):
            losses = stage.representation.regularise(render, stage.progress(step))
            losses |= fidelity(stage, step, found[0])
        away, numbers = compare(stage, step, section)
        losses |= away
        with section("backward"):
            self._pull_back(found, losses, params)
        grads = {k: p.grad for k, p in params.items() if p.grad is not None}
        checked: dict[str, Tensor] = {}
        for one in found:
            checked |= {
                one.name(f"render.{k}"): v for k, v in one.render.items() if k in ("rgb", "alpha", "audio")
            }
            checked |= {one.name("z"): one.z}
            checked |= {one.name(f"guidance.{k}"): v for k, v in one.cotangents.items()}
        checked |= {f"regulariser.{k}": v for k, v in losses.items()}
        checked |= {f"gradient.{k}": v for k, v in grads.items()}
        log = merged_log(stage, found) | numbers
        guidance = merged_state(stage, self.guidance_state, found)
        return Grads(grads, views, render, losses, log, guidance, checked, tuple(found))

    def _pull_back(
        self, found: Sequence[Judgement], losses: Mapping[str, Tensor], params: Mapping[str, Tensor]
    ) -> None:
        """One backward of everything that was judged; leaves .grad on the parameters and the renders' probes."""
        scale = self.scaler.scale if self.scaler else 1.0
        judged = to_pull_back(found, self.stage.progress(self.step), scale)
        judged += [(loss, torch.full_like(loss, scale)) for loss in losses.values() if loss.requires_grad]
        torch.autograd.backward([t for t, _ in judged], [g for _, g in judged])
        if self.scaler:
            renders = {id(one.render): one.render for one in found}.values()
            tensors = (t for render in renders for t in render.values() if isinstance(t, Tensor))
            probes = (t for t in tensors if t.is_leaf or t.retains_grad)
            self.scaler.unscale(t.grad for t in (*params.values(), *probes) if t.grad is not None)

    def apply(self, grads: Grads) -> dict[str, float]:
        """Take the step: parameters, then what the representation changes between steps, then the critics."""
        stage, step, total = self.stage, self.step, self.stage.options.steps
        progress = stage.progress(step)
        scale = stage.options.lr(progress)
        with self.watch.section("optimizer"):
            self.adam.step(
                (dict(g.params), grads.params, scale * g.lr(progress))
                for g in stage.representation.param_groups()
            )
        with self.watch.section("after_step"):
            extra = stage.representation.after_step(step, total, grads.render, self.adam, stage.streams)
        if self.scaler:
            self.scaler.applied()
        self._advance(grads)
        return extra

    def skip(self, grads: Grads, culprit: str) -> dict[str, float]:
        """Pass a step over whose gradient overflowed: nothing moves but the critics, the scale and the counters."""
        assert self.scaler is not None
        self.scaler.skip(self.step, culprit)
        self._advance(grads)
        return {}

    def _advance(self, grads: Grads) -> None:
        stage = self.stage
        self.guidance_state = learned(stage, self.step, grads.guidance, grads.judged)
        self.step += 1

    def preview(self, grads: Grads) -> dict[str, Tensor]:
        """Pictures of the present step: an orbiting render of each particle, the training views, the prior's x0."""
        log, views, prior = grads.log, grads.views, grads.judged[0].term.stage.prior
        with torch.no_grad():
            look = place_look(self.stage.preview_look(self.step), self.stage.device)
            rendered = self.stage.representation.render(look)["rgb"]
        pictures = {"render": sheet(rendered)}
        if "rgb" in views.media:
            pictures["views"] = sheet(views.media["rgb"])
        if "x0" in log:
            pictures["x0"] = sheet(seen(prior, log["x0"], self.stage.options.preview_size))
        pictures |= {k.removeprefix("map_"): heat(v) for k, v in log.items() if k.startswith("map_")}
        return {k: v.detach().clamp(0, 1).cpu() for k, v in pictures.items()}


def seen(prior: Prior, z: Tensor, side: int) -> Tensor:
    """Latents as pictures (B, 3, H, W); of sounds the first one's spectrogram, since finding phases takes time."""
    if prior.info.media != "audio":
        return prior.decode(z)
    return sound_picture(prior.decode(z[:1])[0], prior.info.rate, (side, side))[None]


def sheet(images: Tensor) -> Tensor:
    """(B, 3, H, W) as one picture, as square as can be: four views two by two."""
    return grid(list(images), math.ceil(math.sqrt(len(images))), gap=0)


def heat(maps: Tensor, side: int = 64) -> Tensor:
    """Maps (B, h, w) >= 0 as one picture, white where they are largest; small ones are enlarged to `side` pixels."""
    gray = (maps / maps.amax().clamp(min=1e-12)).float()[:, None].expand(-1, 3, -1, -1)
    times = max(1, side // maps.shape[-1])
    return sheet(gray.repeat_interleave(times, -1).repeat_interleave(times, -2))


def train(
    stage: Stage,
    store: CheckpointStore,
    monitor: Monitor | None = None,
    start: RunState | None = None,
    watch: Stopwatch | None = None,
) -> RunState:
    """Run a stage from `start` (or from nothing) to its last step.

    Args:
        store: where checkpoints go; the end of the stage is always saved.
        monitor: told of every step; may ask to stop. watch: that of the stage's TimedPrior.

    Returns:
        The final state.

    Raises:
        StopRequested: the monitor asked; the state is saved.
        NonFiniteError: the sentinel stopped the run. RunFolderError: a checkpoint could not be written.
    """
    monitor = monitor or Silent()
    session = Session(stage, start, watch)
    options, saved_at, saved_step = stage.options, time.monotonic(), session.step
    if start is None:
        monitor.on_checkpoint(session.step, str(store.save(session.state())))
    session.watch.read()
    while session.step < options.steps:
        if monitor.stop_requested():
            if saved_step != session.step:
                monitor.on_checkpoint(session.step, str(store.save(session.state())))
            raise StopRequested(f"stopped at step {session.step} of {options.steps}; the state is saved")
        _one_step(session, store, monitor)
        due = session.step % options.checkpoint_steps == 0
        late = time.monotonic() - saved_at >= options.checkpoint_seconds
        if due or late or session.step == options.steps:
            monitor.on_checkpoint(session.step, str(store.save(session.state())))
            saved_at, saved_step = time.monotonic(), session.step
        session.watch.read()
    return session.state()


def _to_skip(session: Session, grads: Grads) -> str | None:
    """The gradient that overflowed under the loss scale; None where there is none, or the sentinel is to judge."""
    if session.scaler is None or session.scaler.is_last_straw():
        return None
    found = first_non_finite(grads.checked)
    return found[0] if found and found[0].startswith("gradient.") else None


def _watch(session: Session, grads: Grads, store: CheckpointStore) -> None:
    """The sentinel's look at a step that was not applied yet."""
    scaler, note = session.scaler, ""
    if scaler and scaler.in_a_row:
        note = (
            f"The {scaler.in_a_row} steps before it overflowed too and were skipped, down to a loss scale of "
        )
        note += f"{scaler.scale:g}. "
    stop_if_non_finite(
        grads.checked,
        session.state(),
        grads.views.look,
        float(grads.log.get("t", float("nan"))),
        session.stage.streams.seed,
        store.folder.parent,
        note,
    )


def _one_step(session: Session, store: CheckpointStore, monitor: Monitor) -> None:
    """Gradients, sentinel, update, report."""
    stage, step = session.stage, session.step
    with stopping(session.state, store):
        grads = session.gradients()
    culprit = _to_skip(session, grads)
    if culprit is None:
        _watch(session, grads, store)
        with stopping(session.state, store, whole=False):
            extra = session.apply(grads)
    else:
        extra = session.skip(grads, culprit)
    extra |= session.scaler.metrics() if session.scaler else {}
    numbers = {k: float(v) for k, v in grads.log.items() if not isinstance(v, Tensor) or v.ndim == 0}
    numbers |= {f"loss_{k}": float(v.detach()) for k, v in grads.losses.items()} | extra
    if "alpha" in grads.views.media:
        numbers["alpha"] = float(grads.views.media["alpha"].mean())
    monitor.on_step(StepReport(session.step, stage.options.steps, numbers, session.watch.read()))
    every = stage.options.preview_steps
    if every and (step % every == 0 or session.step == stage.options.steps):
        monitor.on_preview(session.step, session.preview(grads))
