"""The latent model in the box: a real Stable Diffusion folder, small and poor; its words and latents mean something."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.diffusers import DiffusersPrior, Options, create
from sds3d.priors.models.resolve import resolved
from sds3d.training.batches import Batch, Batches
from sds3d.training.options import PictureOptions
from sds3d.training.render import open_set, render_set

COUNT, ASKED = 32, 16


@pytest.fixture(scope="module")
def prior() -> DiffusersPrior:
    """Loaded by its name; its self-check has passed."""
    return create(resolved(Options(folder="latent32", precision="float32")))


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Batch:
    """Pictures of builds and views that it did not see."""
    kinds = ("mushroom", "car", "duck", "chair", "cube", "banana")
    options = PictureOptions(seed=77, kinds=kinds, per_kind=4, per_relation=0, of_three=0, patterned=0)
    folder = tmp_path_factory.mktemp("pictures")
    render_set(options, folder, 1, lambda done, count: None)
    return Batches(*open_set(options, folder), Streams(78), 32, view_words=1.0).draw(0, COUNT)


def test_pictures_go_through_its_autoencoder(prior, batch):
    with torch.no_grad():
        back = prior.decode(prior.encode(batch.rgb)).clamp(0, 1)
    worst_channel = (back - batch.rgb).square().mean((0, 2, 3)).max()
    assert float(-10 * worst_channel.log10()) > 26
    assert 0.7 < float(prior.encode(batch.rgb).detach().std()) < 1.4


def test_a_picture_hears_through_the_encoder(prior, batch):
    """The gradient of a latent's error lowers it: a step against it in the picture brings the latent nearer."""
    rgb = batch.rgb[:1].clone().requires_grad_()
    goal = prior.encode(batch.rgb[1:2]).detach()

    def error(picture: Tensor) -> Tensor:
        return (prior.encode(picture) - goal).square().mean()

    (slope,) = torch.autograd.grad(error(rgb), rgb)
    assert error(rgb - 0.5 * slope / slope.norm()) < error(rgb)


def test_words_are_worth_something(prior, batch):
    """Mean error of the picture it sees in noise: told right, told nothing, told of another object."""
    look = Look(orbit([0.0], [15.0]), (32, 32), torch.ones(1, 3))
    t = torch.tensor([0.85], dtype=torch.float64)
    alpha, sigma = (float(v) for v in prior.schedule.levels(t))
    sums = torch.zeros(3)
    with torch.no_grad():
        z = prior.encode(batch.rgb)
        noise = Streams(5).normal(tuple(z.shape[1:]), "noise", ids=range(COUNT))
        for i in range(ASKED):
            other = batch.captions[(i + COUNT // 2 + 1) % COUNT]
            right, wrong = (
                prior.condition(prior.prepare(Prompts(text, view_words=False)), look, {})
                for text in (batch.captions[i], other)
            )
            z_t = alpha * z[i : i + 1] + sigma * noise[i : i + 1]
            for k, cond in enumerate((right["y"], right["null"], wrong["y"])):
                sums[k] += (prior.predict(z_t, t, cond).x0 - z[i : i + 1]).square().mean()
    right_error, null_error, wrong_error = (sums / ASKED).tolist()
    assert right_error < 0.97 * null_error
    assert null_error < wrong_error
