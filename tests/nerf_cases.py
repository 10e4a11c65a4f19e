"""Small neural fields, looks and a few steps of training, shared by the tests of the field."""

from __future__ import annotations

from dataclasses import replace

import torch
from sds3d.representations.nerf import NerfModel, Options, create
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.optimize.adam import Adam

WANT = frozenset({"rgb", "alpha", "depth", "normal"})


def options(**more) -> Options:
    """A small field."""
    small = {
        "encoding": {
            "levels": 3,
            "log2_size": 9,
            "base": 3,
            "finest": 12,
            "start": 1,
            **more.pop("encoding", {}),
        },
        "occupancy": {"resolution": 6, "every": 2, **more.pop("occupancy", {})},
        "hidden": 8,
        "samples": 16,
        "picture_samples": 16,
    }
    return Options.model_validate({**small, **more})


def look(views: int = 2, size: int = 10, **more) -> Look:
    cameras = orbit([40.0 + 360.0 * k / views for k in range(views)], 20.0)
    backgrounds = torch.rand(views, 3, generator=torch.Generator().manual_seed(0))
    return Look(cameras, (size, size), backgrounds, **more)


def trainable(model: NerfModel) -> dict[str, Tensor]:
    params = {name: p for group in model.param_groups() for name, p in group.params.items()}
    for p in params.values():
        p.requires_grad_(True)
        p.grad = None
    return params


def disturbed(**more) -> NerfModel:
    """A field that is no ball any more: random rows, and layers that use them."""
    model = create(options(encoding={"initial_noise": 1.0, "grow_until": 0.0}, **more), Streams(1))
    last = 3 * torch.randn(4, 8, generator=torch.Generator().manual_seed(3))
    model.field = replace(model.field, weights=(*model.field.weights[:-1], last))
    return model


def train(model: NerfModel, steps: range, total: int, adam: Adam) -> None:
    """Towards a dark picture, with the model's own learning rates and changes between steps."""
    for step in steps:
        params = trainable(model)
        render = model.render(look())
        losses = model.regularise(render, step / total)
        (render["rgb"].square().sum() + sum(losses.values())).backward()
        adam.step(
            (dict(g.params), {n: params[n].grad for n in g.params if params[n].grad is not None}, g.lr(0.5))
            for g in model.param_groups()
        )
        model.after_step(step, total, render, adam, Streams(0))
