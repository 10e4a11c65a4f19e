"""The training loop of the prior: resumable to the bit, steady rate and then a decay (arXiv 2405.18392).

With a steady rate a run can be made longer at any time: `images` is raised, and the run goes on from the
checkpoint that was pinned where the decay began.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.streams import Streams
from ..optimize.checkpoint import CheckpointStore
from ..optimize.state import RunState
from ..priors.pixel_unet import pool_text, unet_output
from ..priors.scorer import Scorer
from .batches import Source
from .network import alphas_cumprod, make_unet, view_features
from .options import TrainOptions
from .start import Start
from .words import TextTower, token_ids

WARM_UP = 200
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.01
CLIP = 1.0


@dataclass(frozen=True)
class Progress:
    """What a step reports: steps and pictures done, mean loss of late, pictures a second, seconds left."""

    step: int
    steps: int
    loss: float
    images_per_s: float
    left_s: float


def learning_rate(options: TrainOptions, step: int, steps: int) -> float:
    """Warm-up, steady, then linear to a fiftieth over the last `decay_share` of the steps."""
    decay = max(1.0, options.decay_share * steps)
    down = min(1.0, (steps - step) / decay)
    return options.learning_rate * min(1.0, (step + 1) / WARM_UP) * max(0.02, down)


def train_prior(
    options: TrainOptions,
    batches: Source,
    tower: Scorer | TextTower,
    should_stop: Callable[[], bool],
    report: Callable[[Progress], None],
    preview: Callable[[Any, int], None],
    start: Start | None = None,
) -> Any:
    """Train until `options.images`, or until `should_stop`; returns the averaged UNet.

    Args:
        tower: the frozen contrastive model whose text side the network reads.
        report: every 50 steps. preview: (averaged UNet, step), every options.preview_every_s.
        start: a finished model to go on from, of the form that options.network describes.
    """  # fmt: skip
    run = _Run(options, batches, tower, start)
    store = CheckpointStore(options.folder / "checkpoints")
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
            speed = 50 * options.batch / (now - last_report)
            last_report = now
            mean = sum(losses) / len(losses)
            left = (steps - run.step) * options.batch / speed
            report(Progress(run.step, steps, mean, speed, left))
            _log(options.folder, run.step, run.step * options.batch, mean, speed)
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


class _Run:
    """The network, its average and its moments at a step."""

    def __init__(
        self, options: TrainOptions, batches: Source, tower: Scorer | TextTower, start: Start | None = None
    ):
        self.options, self.batches, self.tower, self.step = options, batches, tower, 0
        first = make_unet(options.network, options.seed) if start is None else start.unet
        self.unet = copy.deepcopy(first).train().requires_grad_(True)
        self.averaged = copy.deepcopy(first).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(),
            lr=options.learning_rate,
            betas=BETAS,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.streams, self.features = Streams(options.seed), view_features(options.network)
        products = alphas_cumprod()
        self.alpha, self.sigma = products.sqrt().float(), (1 - products).sqrt().float()
        self.empty = self._text([""])

    @torch.no_grad()
    def _text(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Token states and pooled text of captions."""
        ids = token_ids(self.tower.tokenizer, captions)
        states = self.tower.text_encoder(ids).last_hidden_state
        end, layer = self.tower.tokenizer.eos_token_id, self.tower.text_projection
        return states, pool_text(states, ids, end, layer.weight, layer.bias)

    def _inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Noised pictures, times, token states, class labels and the target v of this step."""
        o, count, step = self.options, self.options.batch, self.step
        batch = self.batches.draw(step, count)
        drawn = self.streams.uniform((count, 5), "dropout", step=step)[0].float()
        captions = [
            "" if u < o.drop_text else c for u, c in zip(drawn[:, 0].tolist(), batch.captions, strict=True)
        ]
        states, pooled = self._text(captions)
        view = self.features.encode(
            batch.azimuth_deg, batch.elevation_deg, batch.background,
            (drawn[:, 1] >= o.drop_camera).float(), (drawn[:, 2] >= o.drop_background).float(),
        )  # fmt: skip
        high = drawn[:, 3] < o.high_noise_share
        t = torch.where(high, 300 + drawn[:, 4] * 700, drawn[:, 4] * 1000).long().clamp(max=999)
        x0 = batch.rgb * 2 - 1
        eps = self.streams.normal(tuple(x0.shape), "noise", step=step)[0]
        a, s = self.alpha[t][:, None, None, None], self.sigma[t][:, None, None, None]
        return a * x0 + s * eps, t, states, torch.cat([view, pooled], dim=-1), a * eps - s * x0

    def advance(self, rate: float) -> float:
        """One step; returns its loss."""
        z_t, t, states, labels, target = self._inputs()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            v = unet_output(self.unet, self.features, self.options.network.unshuffle, z_t, t, states, labels)
        loss = F.mse_loss(v, target)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), CLIP, error_if_nonfinite=True)
        self.optimizer.step()
        self.step += 1
        keep = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.unet.parameters()), 1 - keep)
        return float(loss.detach())

    def state(self) -> RunState:
        """Everything that the next step depends on."""
        moments = {str(i): dict(moment) for i, moment in self.optimizer.state_dict()["state"].items()}
        return RunState(
            self.step, 0, _flat(self.unet.state_dict()), moments, _flat(self.averaged.state_dict()), ""
        )

    def load(self, state: RunState) -> None:
        """Go on from a saved state."""
        self.step = state.step
        self.unet.load_state_dict(_deep(state.representation))
        self.averaged.load_state_dict(_deep(state.guidance))
        own = self.optimizer.state_dict()
        own["state"] = {int(i): dict(moment) for i, moment in state.optimizer.items()}
        self.optimizer.load_state_dict(own)


def _flat(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trees' keys must hold no dots."""
    return {name.replace(".", "/"): value for name, value in weights.items()}


def _deep(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("/", "."): value for name, value in weights.items()}
