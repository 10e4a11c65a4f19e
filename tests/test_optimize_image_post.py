"""Steps on the gradient of the rendered picture, between the encoder's backward and the renderer's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from toys import ColorPrior, store, toy_stage

from sds3d.core.errors import ConfigError
from sds3d.optimize.judging import views_of
from sds3d.optimize.loop import Session, train


class StretchedPrior(ColorPrior):
    """An encoder that no clip in z could stand for: it mixes neighbouring pixels."""

    def encode(self, media):
        z = super().encode(media)
        return z + 0.5 * z.roll(1, dims=-1)


def stage_with(image_post, **options):
    stage = toy_stage(prior=StretchedPrior(), **options)
    config = parse({"cfg_scale": 2.0, "image_post": image_post})
    return replace(stage, guidance=build_guidance(config, stage.prior, stage.options.steps))


def gradients(stage) -> torch.Tensor:
    """Those of the field from the guidance alone."""
    object.__setattr__(stage.representation, "regularise", lambda *_: {})
    found = Session(stage).gradients().params
    return torch.cat([g.flatten() for _, g in sorted(found.items())])


def by_hand(stage, limit: float) -> torch.Tensor:
    """The same through a hook on the picture."""
    params = {k: p for group in stage.representation.param_groups() for k, p in group.params.items()}
    for p in params.values():
        p.requires_grad_(True)
        p.grad = None
    look = stage.look(0)
    render = stage.representation.render(look)
    z = stage.prior.encode(render["rgb"])
    cotangents, *_ = stage.guidance.guide(views_of(stage, look, render, z), 0, stage.streams, {})
    clipped = []

    def clip(g):
        scale = (limit / g.abs().clamp_min(1e-30)).clamp(max=1.0).amin(dim=1, keepdim=True)
        clipped.append(float((scale < 1).float().mean()))
        return g * scale

    render["rgb"].register_hook(clip)
    z.backward(cotangents["z"])
    assert 0.1 < clipped[0] < 1.0  # the limit bites, but not everywhere
    return torch.cat([params[k].grad.flatten() for k in sorted(params)])


def test_pixels_are_clipped_behind_the_encoder():
    limit = 0.8
    found, free = gradients(stage_with([{"clip_pixels": limit}])), gradients(stage_with([]))
    torch.testing.assert_close(found, by_hand(stage_with([]), limit))
    assert float((found - free).norm()) > 0.05 * float(free.norm())


def test_a_limit_above_every_pixel_changes_nothing():
    torch.testing.assert_close(gradients(stage_with([{"clip_pixels": 1e6}])), gradients(stage_with([])))


def test_the_loss_scale_does_not_move_the_limit():
    scaled = stage_with([{"clip_pixels": 0.8}], loss_scale={"use": "always", "start": 1024.0})
    torch.testing.assert_close(gradients(scaled), gradients(stage_with([{"clip_pixels": 0.8}])))


def test_it_trains_and_resumes(tmp_path):
    whole = train(stage_with(["clip_pixels"]), store(tmp_path / "a"))
    assert whole.step == 12
    assert train(stage_with(["clip_pixels"]), store(tmp_path / "b")).hash() == whole.hash()
    assert train(stage_with([]), store(tmp_path / "c")).hash() != whole.hash()


def test_what_a_config_says():
    assert parse({"image_post": ["clip_pixels"]}) == parse({"image_post": [{"clip_pixels": 0.05}]})
    with pytest.raises(ConfigError, match=r"guidance.image_post.0.clip_pixel: Extra inputs"):
        parse({"image_post": [{"clip_pixel": 0.05}]})
