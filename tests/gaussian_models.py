"""Small Gaussian models, and a loop that fits one to pictures, for the tests of sds3d.representations.gaussians."""

from __future__ import annotations

import math

import torch
from sds3d.representations.gaussians import GaussianModel, Options, create
from sds3d.representations.gaussians.parameters import Parameters, logit
from torch import Tensor

from sds3d.core.cameras import Cameras, orbit, turntable
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.optimize.adam import Adam


def look_from(cameras: Cameras, side: int = 32, background: float = 1.0) -> Look:
    """A square request on a grey background."""
    return Look(cameras, (side, side), torch.full((len(cameras), 3), background))


def small_model(seed: int = 0, count: int = 40, **options) -> GaussianModel:
    """A ball of a few Gaussians."""
    init = {"count": count, "opacity": 0.3, "scale": 0.5} | options.pop("init", {})
    return create(Options(init=init, **options), Streams(seed))


def one_gaussian(opacity: float = 0.6, scale: float = 0.12, **options) -> GaussianModel:
    """A round red Gaussian in the middle."""
    model = small_model(count=1, **options)
    model.parameters = Parameters(
        means=torch.zeros(1, 3),
        log_scales=torch.full((1, 3), math.log(scale)),
        rotations=torch.tensor([[1.0, 0, 0, 0]]),
        logit_opacities=logit(torch.tensor([opacity])),
        sh_dc=torch.tensor([[1.5, -1.5, -1.5]]),
        sh_rest=torch.zeros(1, 0, 3),
    )
    return model


def ball_picture(look: Look, radius: float = 0.5) -> Tensor:
    """(B, 3, H, W): a ball coloured by its normals on the background; ray meets sphere, by hand."""
    from sds3d.core.cameras import rays

    origins, directions = rays(look.cameras, look.size)
    along = -(origins * directions).sum(-1)
    gap = radius**2 - ((origins**2).sum(-1) - along**2)
    hit = origins + (along - gap.clamp_min(0).sqrt())[..., None] * directions
    color = (0.5 + 0.5 * hit / radius).clamp(0, 1)
    ground = look.background[:, None, None].expand_as(color)
    return torch.where(gap[..., None] > 0, color, ground).permute(0, 3, 1, 2)


def training_look(streams: Streams, step: int, side: int = 32) -> Look:
    """Two opposite views of that step, white or black behind them."""
    azimuth = 360 * float(streams.uniform((), "test-camera", step=step)[0])
    return look_from(orbit([azimuth, azimuth + 180], [20.0, -20.0]), side, float(step % 2))


class Fit:
    """Fits a model to the ball, one step at a time, as the loop would."""

    def __init__(self, model: GaussianModel, total: int, seed: int = 0, side: int = 32):
        self.model, self.total, self.side = model, total, side
        self.streams, self.adam = Streams(seed), Adam()

    def step(self, step: int) -> dict[str, float]:
        """Step number `step`; the metrics of after_step."""
        model = self.model
        for group in model.param_groups():
            for p in group.params.values():
                p.requires_grad_(True)
                p.grad = None
        look = training_look(self.streams, step, self.side)
        render = model.render(look)
        progress = step / self.total
        loss = 0.5 * (render["rgb"] - ball_picture(look)).square().sum() / len(look.cameras)
        loss = sum(model.regularise(render, progress).values(), loss)
        loss.backward()
        self.adam.step(
            (dict(g.params), {k: p.grad for k, p in g.params.items() if p.grad is not None}, g.lr(progress))
            for g in model.param_groups()
        )
        return model.after_step(step, self.total, render, self.adam, self.streams)

    def run(self, first: int, last: int) -> None:
        """Steps first … last - 1."""
        for step in range(first, last):
            self.step(step)

    def state(self) -> dict:
        """What a checkpoint would hold."""
        return {"model": self.model.state_dict(), "adam": self.adam.state_dict()}


def psnr(model: GaussianModel, views: int = 6, side: int = 32) -> float:
    """Against the ball, on white, from views between the training elevations, in dB."""
    look = look_from(turntable(views, 5.0), side)
    with torch.no_grad():
        error = (model.render(look)["rgb"] - ball_picture(look)).square().mean()
    return float(-10 * error.log10())


class Ledger:
    """Moments that only write down what they are told."""

    def __init__(self):
        self.rows: dict[str, list[Tensor]] = {}
        self.forgotten: list[str] = []

    def rearrange(self, name: str, value: Tensor, rows: Tensor) -> None:
        assert len(value) == len(rows)
        self.rows.setdefault(name, []).append(rows)

    def forget(self, name: str, rows: Tensor | None = None) -> None:
        self.forgotten.append(name)
