"""HiFA: one move is SDS, several are the sampler's; the loss on the picture; Magic3D's two uses of SDS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from guidance_cases import RF, SD, levels, noise_of, prior_of, random_gauss, random_z, residual_step, time_of
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import (
    close,
    f64,
    far,
    few,
    few_each,
    in_every_form,
    scales,
    schedules,
    sds_by_hand,
    seeds,
    table_of,
)
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from toys import ColorPrior, store, toy_stage

from sds3d.core.errors import ConfigError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs import configs
from sds3d.jobs.assemble import assemble
from sds3d.jobs.schema import REPRESENTATIONS
from sds3d.optimize.judging import views_of
from sds3d.optimize.loop import Session, train
from sds3d.optimize.timing import Stopwatch
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import mixture

VIEWS, CONFIGS = 2, Path(__file__).resolve().parents[1] / "configs"


def at(index: int) -> dict:
    return {"low": index / 1000, "high": index / 1000}


@pytest.mark.oracle("O1.7")
@in_every_form
@few_each
@given(seeds, st.integers(40, 960), scales, schedules)
def test_one_move_is_sds_with_a_twentieth_of_kappa(prediction, seed, index, scale, schedule):
    """O1.7: an x0 residual with weight w is an epsilon residual with weight w kappa."""
    table, z = table_of(seed), random_z(seed, VIEWS)
    a, s = levels(index, schedule)
    config = {"method": "hifa", "cfg_scale": scale, "times": at(index), "moves": 1, "image_loss": 0}
    g, log = residual_step(config, prior_of(table, schedule, prediction), z, seed=seed)
    residual = sds_by_hand(table, z, index, schedule, scale, noise_of(seed, 3, [0, 1]))
    close(g, 0.05 * s / a * residual)
    close(log["x0"].flatten(1), z - s / a * residual)


@few
@given(seeds, st.integers(100, 980), st.integers(2, 6), st.sampled_from([SD, RF]))
def test_several_moves_are_the_samplers(seed, index, moves, schedule):
    """g = 0.05 (z - z_hat), z_hat by DDIM on the Gaussian law in equal strides of Stable Diffusion's t."""
    law, z = random_gauss(seed), random_z(seed, VIEWS)
    config = {"method": "hifa", "cfg_scale": 1, "times": at(index), "moves": moves, "image_loss": 0}
    g, log = residual_step(
        config, prior_of({"y": law, "null": random_gauss(seed + 1)}, schedule), z, seed=seed
    )
    a, s = levels(index, schedule)
    x = a * z + s * noise_of(seed, 3, [0, 1])
    start = SD.index(torch.tensor([time_of(index, SD)])).item()
    for move in range(1, moves + 1):
        eps, x0 = law.eps(x, a, s), law.x0(x, a, s)
        below = int(torch.tensor(start * (1 - move / moves), dtype=torch.float64).round())
        if move < moves:
            a, s = levels(below, schedule)
            x = a * x0 + s * eps
    close(log["x0"].flatten(1), x0)
    close(g, 0.05 * (z - x0))
    assert log["nfe"] == moves


def stage_with(**config):
    stage = toy_stage(prior=ColorPrior(), steps=3)
    options = parse({"method": "hifa", "cfg_scale": 2.0, **config})
    return replace(stage, guidance=build_guidance(options, stage.prior, 3))


def test_the_picture_is_pulled_to_the_decoded_prediction(tmp_path):
    """The cotangent of the render is lambda (x - D(z_hat)) / B, and the loop brings it to the parameters."""
    stage = stage_with(image_loss=0.5)
    look = stage.look(0)
    render = stage.representation.render(look)
    views = views_of(stage, look, render, stage.prior.encode(render["rgb"]))
    cotangents, _, log = stage.guidance.guide(views, 0, stage.streams, {})
    want = 0.5 * (views.media["rgb"] - stage.prior.decode(log["x0"])) / 2
    torch.testing.assert_close(cotangents["rgb"], want)
    both, without = (
        torch.cat([g.flatten() for g in Session(s).gradients().params.values()])
        for s in (stage, stage_with(image_loss=0))
    )
    far(both, without)
    clipped = stage_with(image_loss=0.5, image_post=[{"clip_pixels": 1e9}])
    found = torch.cat([g.flatten() for g in Session(clipped).gradients().params.values()])
    torch.testing.assert_close(found, both, rtol=1e-4, atol=1e-6)
    assert train(stage_with(), store(tmp_path)).step == 3


def test_without_a_picture_the_loss_says_so():
    with pytest.raises(ConfigError, match=r"guidance.image_loss: the loss on the picture needs a render"):
        residual_step({"method": "hifa"}, prior_of(table_of(0)), random_z(0, VIEWS))


@pytest.mark.parametrize(
    ("name", "weight", "high"), [("magic3d-coarse", "uniform", 0.98), ("magic3d-refine", "sigma2", 0.5)]
)
def test_magic3ds_two_uses_of_sds(name, weight, high):
    """Two configs of one method; each resolves, with the published weight and range."""
    path = CONFIGS / "sd" / f"{name}.yaml"
    options = configs.read(path).guidance
    assert (options.method, options.weight) == ("sds", weight)
    assert (options.times.low(0.5), options.times.high(0.5)) == (0.02, high)


class LinearCodec(AnalyticPrior):
    """A prior whose latents are a linear map of the picture's channels, z = E x."""

    def __init__(self, *args, mix: torch.Tensor):
        super().__init__(*args)
        self.mix, self.back = mix, torch.linalg.inv(mix)

    def encode(self, media):
        return torch.einsum("ij,bjhw->bihw", self.mix, media)

    def decode(self, z):
        return torch.einsum("ij,bjhw->bihw", self.back, z)


@pytest.mark.oracle("O10.1", "O10.2")
@in_every_form
@few_each
@given(seeds, st.integers(60, 940), schedules, st.booleans())
def test_o10_a_linear_codec_scales_the_two_losses(prediction, seed, index, schedule, identity):
    """encoder's gradient = E^T E (decoder's); for an identity codec and one move both are SDS with weight kappa."""
    g = torch.Generator().manual_seed(seed)
    mix = (
        torch.eye(3, dtype=f64) if identity else torch.randn(3, 3, generator=g, dtype=f64) + 2 * torch.eye(3)
    )
    law = mixture(torch.ones(1, dtype=f64), [random_z(seed, 1)[0]], [0.4 * torch.eye(3, dtype=f64)])
    prior = LinearCodec({"y": law, "null": law}, (3, 1, 1), schedule, prediction, mix=mix)
    rgb = random_z(seed + 1, VIEWS).view(VIEWS, 3, 1, 1)
    look = Look(None, (1, 1), torch.ones(VIEWS, 3))
    cond = prior.condition(prior.prepare(Prompts("")), look, {})
    views = Views(look, {"rgb": rgb}, prior.encode(rgb), cond)
    config = {
        "method": "hifa",
        "cfg_scale": 1,
        "moves": 1,
        "weight": "kappa",
        "image_loss": 1.0,
        "times": at(index),
    }
    cotangents, _, _ = build_guidance(parse(config), prior, 10).guide(views, 3, Streams(0), {})
    by_encoder = torch.einsum("ij,bihw->bjhw", mix, cotangents["z"])
    by_decoder = torch.einsum("ij,jk,bkhw->bihw", mix.T, mix, cotangents["rgb"])
    torch.testing.assert_close(by_encoder, by_decoder, rtol=1e-5, atol=1e-6)
    if identity:
        sds, _ = build_guidance(
            parse({"method": "sds", "cfg_scale": 1, "weight": "kappa", "times": at(index)}), prior, 10
        ).guide(views, 3, Streams(0), {})[:2]
        torch.testing.assert_close(cotangents["rgb"], sds["z"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["magic3d-coarse", "magic3d-refine"])
@pytest.mark.parametrize(
    "kind",
    sorted(
        k
        for k, o in REPRESENTATIONS.choices().items()
        if "sound" not in o.forms and not k.startswith("edited") and k != "captured"
    ),
)
def test_magic3ds_guidance_serves_every_representation(name, kind):
    """A rule knows no scene: both uses of SDS take a step on a grid, a mesh, splats or a picture alike."""
    path = CONFIGS / "sd" / f"{name}.yaml"
    config = configs.from_mapping(
        {"prompt": "a colour", "prior": {"kind": "analytic", "shape": [3, 8, 8]}, "representation": kind,
         "optimize.views": 2, "optimize.size": 16}
    ).model_copy(update={"guidance": configs.read(path).guidance})  # fmt: skip
    grads = Session(assemble(config, Stopwatch())).gradients()
    assert all(bool(g.isfinite().all()) for g in grads.params.values())
    assert any(bool((g != 0).any()) for g in grads.params.values())
