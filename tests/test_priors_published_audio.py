"""Stable Audio Open and AudioLDM 2 as priors, from tiny pipelines with random weights."""

from __future__ import annotations

import pytest
import torch
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.representations import fm
from tiny_audio import BUILDERS

from sds3d.core.cameras import Still
from sds3d.core.errors import PromptError, Sds3dError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.optimize.loop import Session
from sds3d.optimize.options import OptimizeOptions
from sds3d.optimize.stage import Stage
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import published_audio as kind

SECONDS = {"stable-audio": 0.03, "audioldm2": 0.6}


@pytest.fixture(scope="module")
def priors(tmp_path_factory):
    """Name -> prior."""
    pytest.importorskip("torchsde")
    root = tmp_path_factory.mktemp("published")
    made = {name: build(root / name) for name, build in BUILDERS.items()}
    return {n: kind.create(kind.Options(folder=f, seconds=SECONDS[n])) for n, f in made.items()}


def conditions(prior, count: int = 2):
    look = Look(None, prior.info.size, torch.ones(count, 3))
    return prior.condition(prior.prepare(Prompts("a high bell", "noise")), look, {})


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_published_model_hears_and_answers(priors, name):
    prior = priors[name]
    info = prior.info
    assert (info.media, info.rate > 0) == ("audio", True)
    sound = (0.1 * Streams(0).normal((1, info.size[1]), "x", ids=(0, 1))).requires_grad_(True)
    z = prior.encode(sound)
    assert tuple(z.shape[1:]) == info.latent_shape
    z.square().sum().backward()
    assert float(sound.grad.abs().sum()) > 0
    heard = prior.decode(z.detach())
    assert heard.shape == (2, *info.size)
    cond = conditions(prior)
    t = torch.tensor([0.2, 0.8], dtype=torch.float64)
    answers = {branch: prior.predict(z.detach(), t, cond[branch]) for branch in ("y", "null", "neg")}
    assert all(a.eps.shape == z.shape and bool(a.eps.isfinite().all()) for a in answers.values())
    assert not torch.allclose(answers["y"].eps, answers["null"].eps)
    first = prior.predict(z[:1].detach(), t[:1], cond["y"][:1])
    torch.testing.assert_close(first.eps, answers["y"].eps[:1], rtol=1e-4, atol=1e-4)


def test_stable_audios_answer_is_the_librarys_denoised_sample(priors):
    """The library scales input and output in EDM's way; ours is v on a variance-preserving schedule."""
    prior = priors["stable-audio"]
    scheduler, cond = prior.model.pipe.scheduler, conditions(prior, 1)["y"]
    z_t, t = Streams(1).normal(prior.info.latent_shape, "z"), torch.tensor([0.45], dtype=torch.float64)
    alpha, kappa = float(prior.schedule.alpha(t)), float(prior.schedule.kappa(t))
    ours = prior.predict(z_t, t, cond).x0
    output = prior.model.forward(z_t, t, cond.tensors)
    theirs = scheduler.precondition_outputs(z_t / alpha, output, torch.tensor(kappa))
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-4)
    told = scheduler.precondition_noise(torch.tensor(kappa))
    assert float(told) == pytest.approx((int(prior.schedule.index(t)) + 0.5) / 1000, abs=1e-6)


def test_no_prompt_is_zeros_for_stable_audio(priors):
    embedded = priors["stable-audio"].prepare(Prompts("a bell"))
    assert float(embedded.tensors["null.states"].abs().max()) == 0.0
    assert float(embedded.tensors["y.states"].abs().max()) > 0.0
    assert torch.equal(embedded.tensors["null.seconds"], embedded.tensors["y.seconds"])


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize("method", ["audiosds", "csd"])
def test_a_synthesiser_takes_a_step(priors, name, method):
    prior = priors[name]
    sound = fm.create(fm.Options(voices=2, points=0), Streams(0), lambda: kind_canvas(prior))
    before = {k: v.clone() for k, v in sound.values.items()}
    options = OptimizeOptions(steps=2, views=1, preview_steps=0)
    given = {"method": method} | ({"windows": [16], "moves": 2} if method == "audiosds" else {})
    stage = Stage(
        prior, sound, build_guidance(parse(given), prior, 2), Still(), prior.prepare(Prompts("a bell")), options,
        Streams(0), "test", backdrop=(1.0, 1.0, 1.0),
    )  # fmt: skip
    session = Session(stage)
    session.apply(session.gradients())
    assert any(not torch.equal(before[k], v) for k, v in sound.values.items())


def kind_canvas(prior):
    """What assemble hands to a sound."""
    from sds3d.jobs.assemble import PriorCanvas

    return PriorCanvas(prior)


def test_other_folders_and_empty_prompts_are_refused(tmp_path, priors):
    with pytest.raises(Sds3dError, match="cannot be read"):
        kind.create(kind.Options(folder=tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(Sds3dError, match="holds a StableDiffusionPipeline"):
        kind.create(kind.Options(folder=tmp_path))
    with pytest.raises(PromptError, match="empty"):
        priors["audioldm2"].prepare(Prompts(" "))
