"""The training loop: resumable to the bit, steady rate and then a decay (arXiv 2405.18392).

With a steady rate a run can be made longer at any time: `images` is raised, and the run goes on from the
checkpoint that was pinned where the decay began.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..core.errors import Sds3dError
from ..optimize.checkpoint import CheckpointStore
from ..optimize.state import RunState
from .optimizers import ends_of_unet, optimizers
from .options import FitOptions

WARM_UP = 200
WEIGHT_DECAY = 0.01
CLIP = 1.0

Loss = Callable[[Any, int], Tensor]
"""(network, step) -> the scalar that the step lessens; its numbers are a pure function of the step."""


@runtime_checkable
class Shared(Protocol):
    """A loss that is a sum over parts of a step's samples."""

    def shares(self, step: int, count: int) -> list[Callable[[Any], Tensor]]:
        """`count` functions of the network whose values add up to the loss of the step."""
        ...


@dataclass(frozen=True)
class Progress:
    """What a step reports: steps and pictures done, mean loss of late, pictures a second, seconds left."""

    step: int
    steps: int
    loss: float
    images_per_s: float
    left_s: float


def learning_rate(options: FitOptions, step: int, steps: int) -> float:
    """Warm-up, steady, then linear to a fiftieth over the last `decay_share` of the steps."""
    decay = max(1.0, options.decay_share * steps)
    down = min(1.0, (steps - step) / decay)
    return options.learning_rate * min(1.0, (step + 1) / WARM_UP) * max(0.02, down)


def fit(
    options: FitOptions,
    folder: Path,
    network: Any,
    loss: Loss,
    should_stop: Callable[[], bool],
    report: Callable[[Progress], None],
    preview: Callable[[Any, int], None],
    target: str = "v",
) -> Any:
    """Train until `options.images`, or until `should_stop`; returns the averaged network.

    Args:
        folder: gets checkpoints/ and curve.jsonl; what lies there is gone on from.
        network: at step 0; stays as it is.
        report: every 50 steps. preview: (averaged network, step), every options.preview_every_s.
        target: what the network learns to say; a run goes on with the same.
    """  # fmt: skip
    store = CheckpointStore(folder / "checkpoints")
    with closing(_Run(options, network, loss, target)) as run:
        saved = store.latest()
        if saved is not None:
            run.load(saved)
        steps = options.images // options.batch
        decay_from = round(steps * (1 - options.decay_share))
        last_save = last_preview = last_report = time.monotonic()
        losses: list[float] = []
        while run.step < steps and not should_stop():
            losses.append(run.advance(learning_rate(options, run.step, steps)))
            now = time.monotonic()
            if run.step % 50 == 0:
                speed = len(losses) * options.batch / (now - last_report)
                last_report = now
                mean = sum(losses) / len(losses)
                left = (steps - run.step) * options.batch / speed
                report(Progress(run.step, steps, mean, speed, left))
                _log(folder, run.step, run.step * options.batch, mean, speed)
                losses.clear()
            if now - last_save > options.save_every_s or run.step == decay_from:
                path = store.save(run.state())
                last_save = now
                if run.step == decay_from:
                    store.pin(path)
            if now - last_preview > options.preview_every_s:
                preview(run.averaged, run.step)
                last_preview = time.monotonic()
        store.save(run.state())
        preview(run.averaged, run.step)
        return run.averaged


def _log(folder: Path, step: int, images: int, loss: float, speed: float) -> None:
    with open(folder / "curve.jsonl", "a") as file:
        file.write(
            json.dumps({"step": step, "images": images, "loss": round(loss, 5), "per_s": round(speed, 1)})
            + "\n"
        )


def told(say: Callable[[str], None], what: str = "") -> Callable[[Progress], None]:
    """Progress as lines, behind `what`."""
    return lambda progress: say(what + progress_line(progress))


def progress_line(p: Progress) -> str:
    """One line for people."""
    return (
        f"step {p.step}/{p.steps} loss {p.loss:.4f} {p.images_per_s:.0f} images/s, "
        f"{p.left_s / 3600:.1f} h left at this speed"
    )


class _Run:
    """The network, its average and its moments at a step."""

    def __init__(self, options: FitOptions, network: Any, loss: Loss, target: str):
        self.options, self.loss, self.target, self.step = options, loss, target, 0
        self.network = copy.deepcopy(network).train().requires_grad_(True)
        self.averaged = copy.deepcopy(network).eval().requires_grad_(False)
        if options.shares > 1 and not isinstance(loss, Shared):
            raise Sds3dError("shares: only the pixel model's steps can be taken in parts; leave it at 1")
        self.threads = None
        if options.shares > 1:
            each = max(1, torch.get_num_threads() // options.shares)
            self.threads = ThreadPoolExecutor(
                options.shares, initializer=torch.set_num_threads, initargs=(each,)
            )
        self.optimizers = optimizers(
            options.optimizer, self.network.named_parameters(), ends_of_unet, options.learning_rate, WEIGHT_DECAY,
            self.threads,
        )  # fmt: skip

    def close(self) -> None:
        """End the threads; a thread that is made later splits its layers as before."""
        if self.threads is not None:
            # a count that a thread sets is what later threads begin with
            list(self.threads.map(torch.set_num_threads, [torch.get_num_threads()] * self.options.shares))
            self.threads.shutdown()

    def advance(self, rate: float) -> float:
        """One step; returns its loss."""
        self.network.zero_grad()
        loss = self._gradients()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP, error_if_nonfinite=True)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self.step += 1
        keep = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.network.parameters()), 1 - keep)
        return loss

    def _gradients(self) -> float:
        """Set every parameter's gradient; returns the loss."""
        if self.threads is None:
            loss = self.loss(self.network, self.step)
            loss.backward()
            return float(loss.detach())
        assert isinstance(self.loss, Shared)
        weights = list(self.network.parameters())

        def one(share: Callable[[Any], Tensor]) -> tuple[float, Sequence[Tensor]]:
            value = share(self.network)
            return float(value.detach()), torch.autograd.grad(value, weights)

        # each part has gradients of its own, added in their order: the bits do not tell which thread was first
        values, parts = zip(
            *self.threads.map(one, self.loss.shares(self.step, self.options.shares)), strict=True
        )
        total = list(parts[0])
        for part in parts[1:]:
            torch._foreach_add_(total, part)
        for weight, gradient in zip(weights, total, strict=True):
            weight.grad = gradient
        return sum(values)

    def state(self) -> RunState:
        """Everything that the next step depends on."""
        moments: dict[str, Any] = {}
        for first, optimizer in self._numbered():
            states = optimizer.state_dict()["state"]
            moments |= {str(first + i): dict(moment) for i, moment in states.items()}
        return RunState(
            self.step,
            0,
            _flat(self.network.state_dict()),
            moments,
            _flat(self.averaged.state_dict()),
            self.layout(),
        )

    def load(self, state: RunState) -> None:
        """Go on from a saved state.

        Raises:
            Sds3dError: another network, another optimizer or another target has made it.
        """
        # the first runs, AdamW's all, noted none
        known = (self.layout(), "") if self.options.optimizer == "adamw" else (self.layout(),)
        if state.config_hash not in known:
            raise Sds3dError(
                "this run began with another network, prediction or optimizer than the options name now. Give it those "
                "again, or name another folder="
            )
        self.step = state.step
        self.network.load_state_dict(_deep(state.representation))
        self.averaged.load_state_dict(_deep(state.guidance or {}))
        for first, optimizer in self._numbered():
            own = optimizer.state_dict()
            count = len(own["param_groups"][0]["params"])
            saved = {
                i: state.optimizer[str(first + i)] for i in range(count) if str(first + i) in state.optimizer
            }
            own["state"] = {i: dict(moment) for i, moment in saved.items()}
            optimizer.load_state_dict(own)

    def layout(self) -> str:
        """16 hex digits over the weights' names and shapes, what steps them, and what they learn to say."""
        shapes = {name: list(value.shape) for name, value in self.network.named_parameters()}
        # v is not noted: the first runs, all of it, had no such entry
        facts = [self.options.optimizer, shapes, *([] if self.target == "v" else [self.target])]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()

    def _numbered(self) -> list[tuple[int, torch.optim.Optimizer]]:
        """Each optimizer with the number of its first parameter."""
        counts = [sum(len(g["params"]) for g in o.param_groups) for o in self.optimizers]
        return list(zip(accumulate([0, *counts[:-1]]), self.optimizers, strict=True))


def _flat(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trees' keys must hold no dots."""
    return {name.replace(".", "/"): value for name, value in weights.items()}


def _deep(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("/", "."): value for name, value in weights.items()}
