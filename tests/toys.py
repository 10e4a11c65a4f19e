"""Small stand-ins that make a whole stage run in milliseconds."""

from __future__ import annotations

from pathlib import Path

import sds3d.representations.grid as grid
import torch
from sds3d.guidance.build import build_guidance
from sds3d.guidance.methods import sds

from sds3d.core.cameras import OrbitSampler
from sds3d.core.streams import Streams
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent, StepReport
from sds3d.optimize.options import OptimizeOptions
from sds3d.optimize.stage import Stage
from sds3d.priors.base import Cond, Embedded, Prediction, PriorInfo, Prompts
from sds3d.priors.noise_schedule import over, stable_diffusion_schedule

SIDE = 8


class ColorPrior:
    """Believes that every picture is of one flat colour: the exact denoiser of a Gaussian around it."""

    def __init__(self, color=(0.9, 0.2, 0.1), width: float = 0.2):
        self.color, self.width = torch.tensor(color), width
        self.schedule = stable_diffusion_schedule()
        self.info = PriorInfo("color", "image", (SIDE, SIDE), (3, SIDE, SIDE), "epsilon")
        self.calls = 0

    def prepare(self, prompts: Prompts) -> Embedded:
        return Embedded({"text": torch.tensor([float(len(prompts.text))])})

    def condition(self, embedded, look, maps):
        rows = len(look.background)
        ones = torch.ones(rows)
        return {
            "y": Cond({"mean": (2 * self.color - 1).expand(rows, 3)}, ones),
            "null": Cond({"mean": torch.zeros(rows, 3)}, ones),
            "neg": Cond({"mean": torch.zeros(rows, 3)}, ones),
        }

    def encode(self, media):
        return 2 * torch.nn.functional.interpolate(media, size=self.info.size, mode="area") - 1

    def decode(self, z):
        return (z + 1) / 2

    def predict(self, z_t, t, cond):
        self.calls += 1
        alpha, sigma = (over(v, z_t) for v in (self.schedule.alpha(t), self.schedule.sigma(t)))
        mean = cond.tensors["mean"][:, :, None, None].to(z_t)
        eps = sigma * (z_t - alpha * mean) / (alpha**2 * self.width**2 + sigma**2)
        return Prediction.of(eps, z_t, alpha, sigma, "epsilon")


def toy_stage(steps: int = 12, seed: int = 0, prior=None, representation=None, **options) -> Stage:
    """A grid of 6³ points at 8 px against a ColorPrior."""
    streams = Streams(seed)
    prior = prior or ColorPrior()
    if representation is None:
        representation = grid.create(grid.Options(resolutions=(3, 6), samples=8, picture_samples=8), streams)
    settings = {
        "steps": steps,
        "views": 2,
        "checkpoint_steps": 4,
        "preview_steps": 0,
        "preview_size": 16,
    } | options
    return Stage(
        prior,
        representation,
        build_guidance(sds.Options(cfg_scale=2.0), prior, steps),
        OrbitSampler(),
        prior.prepare(Prompts("a colour")),
        OptimizeOptions(**settings),
        streams,
        config_hash="toy",
    )


class Recorder(Silent):
    """Remembers reports, previews and checkpoints; asks to stop after `stop_after` steps."""

    def __init__(self, stop_after: int | None = None):
        self.reports: list[StepReport] = []
        self.previews: list[tuple[int, dict]] = []
        self.checkpoints: list[int] = []
        self.stop_after = stop_after

    def on_step(self, report):
        self.reports.append(report)

    def on_preview(self, step, images):
        self.previews.append((step, dict(images)))

    def on_checkpoint(self, step, path):
        assert Path(path).is_file()
        self.checkpoints.append(step)

    def stop_requested(self):
        return self.stop_after is not None and len(self.reports) >= self.stop_after


def store(folder, keep: int = 2) -> CheckpointStore:
    """A checkpoint store below a test's folder."""
    return CheckpointStore(Path(folder) / "checkpoints", keep)
