"""The self-check passes the shipped models, and names what is wrong with one that was set up wrongly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from family_cases import folder_of, load
from typer.testing import CliRunner

from sds3d.cli.main import app
from sds3d.core.errors import Sds3dError
from sds3d.priors import base
from sds3d.priors.kinds import embedded
from sds3d.priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule
from sds3d.priors.self_check import MOST_DRAWS, bundled_picture, refuse_failed, self_check


@pytest.fixture(scope="module")
def trained() -> embedded.EmbeddedPrior:
    return embedded.create(embedded.Options(precision="float32"))


class Bent:
    """A trained prior with something changed."""

    def __init__(self, prior: Any, **changes: Any):
        self._prior = prior
        for name, value in changes.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)


class Misread(Bent):
    """The network asked at its own times, its answer read by another schedule or as another kind of prediction."""

    def predict(self, z_t: torch.Tensor, t: torch.Tensor, cond: base.Cond) -> base.Prediction:
        said = self._prior.predict(z_t, t, cond)
        from sds3d.priors.noise_schedule import over

        alpha, sigma = (over(v, z_t) for v in (self.schedule.alpha(t), self.schedule.sigma(t)))
        return base.Prediction.of(said.v, z_t, alpha, sigma, self.info.prediction)


def wrong(prior: Any) -> dict[str, str]:
    """Name -> advice of what failed; three forwards, and two for each further noise on which the prompt is asked."""
    calls = []
    predict = prior.predict

    def counted(*args: Any) -> base.Prediction:
        calls.append(1)
        return predict(*args)

    found = self_check(Bent(prior, predict=counted))
    assert len(calls) in range(3, 3 + 2 * MOST_DRAWS, 2)
    return {f.name: f.advice for f in found if not f.ok}


@pytest.mark.parametrize("model", ["prior32", "prior64"])
def test_the_shipped_models_pass(model: str) -> None:
    prior = embedded.create(embedded.Options(model=model))
    assert wrong(prior) == {}
    refuse_failed("it", self_check(prior))


@pytest.mark.parametrize("kind", ["epsilon", "x0", "velocity"])
def test_a_wrong_prediction_type_is_named(kind: str, trained: embedded.EmbeddedPrior) -> None:
    bent = Misread(trained, info=replace(trained.info, prediction=kind))
    failed = wrong(bent)
    assert "scale of the noise" in failed
    if kind != "velocity":  # near v at middle noise: only the scale tells
        assert "set prior.prediction=v" in failed["error of the noise at middle noise"]
    with pytest.raises(Sds3dError, match=r"self-check of mine failed.*scale of the noise"):
        refuse_failed("mine", self_check(bent))


def linear() -> NoiseSchedule:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    return NoiseSchedule("vp", torch.cumprod(1 - beta, 0))


@pytest.mark.parametrize("schedule", [stable_diffusion_schedule(), linear()], ids=["sd", "linear"])
def test_wrong_noise_levels_are_named(schedule: NoiseSchedule, trained: embedded.EmbeddedPrior) -> None:
    failed = wrong(Misread(trained, schedule=schedule))
    assert "scheduler_config.json" in failed["scale of the noise"]


@pytest.mark.parametrize("factor", [0.18215, 1 / 0.18215])
def test_a_wrong_scaling_of_latents_is_named(factor: float, trained: embedded.EmbeddedPrior) -> None:
    def encode(x: torch.Tensor) -> torch.Tensor:
        return trained.encode(x) * factor

    failed = wrong(Bent(trained, encode=encode, decode=lambda z: trained.decode(z / factor)))
    assert "scaling_factor" in failed["spread of z"]


def test_a_broken_autoencoder_is_named(trained: embedded.EmbeddedPrior) -> None:
    failed = wrong(Bent(trained, decode=lambda z: trained.decode(z.flip(-2))))
    assert list(failed) == ["picture through the autoencoder"]
    nan = wrong(Bent(trained, decode=lambda z: trained.decode(z) * float("nan")))
    assert "vae_precision=float32" in nan["picture through the autoencoder"]


def test_deaf_ears_are_named(trained: embedded.EmbeddedPrior) -> None:
    """The prompt's branch got another prompt's text."""
    spoiled = trained.prepare(base.Prompts("a green cube"))
    failed = wrong(Bent(trained, prepare=lambda _: spoiled))
    assert "text encoder" in failed["error with the prompt against without"]


def test_one_unlucky_noise_is_not_enough(trained: embedded.EmbeddedPrior) -> None:
    """On the first noise prompt and no prompt change places; the prompt helps on the others."""
    calls, conditions = [], {}

    def condition(*args: Any) -> base.Conditioning:
        conditions.update(trained.condition(*args))
        return conditions

    def predict(z_t: torch.Tensor, t: torch.Tensor, cond: base.Cond) -> base.Prediction:
        calls.append(1)
        swapped = {2: "null", 3: "y"}.get(len(calls))
        return trained.predict(z_t, t, conditions[swapped] if swapped else cond)

    found = {f.name: f for f in self_check(Bent(trained, condition=condition, predict=predict))}
    assert found["error with the prompt against without"].ok
    assert len(calls) > 3, "it asked again"


def test_random_weights_are_refused_at_load() -> None:
    with pytest.raises(Sds3dError, match=r"self-check of diffusers/sd1 failed"):
        load(folder_of("sd1"), self_check=True)


def test_the_picture_is_a_red_car_on_white() -> None:
    picture = bundled_picture()
    assert picture.shape == (1, 3, 256, 256)
    assert torch.equal(picture[0, :, 0, 0], torch.ones(3))
    red, green, blue = picture[0, :, 128, 70]
    assert red > 2 * green
    assert red > 2 * blue


def test_few_step_models_are_not_judged_by_slope(trained: embedded.EmbeddedPrior) -> None:
    schedule = replace(trained.schedule, known=(0.249, 0.499, 0.749, 0.999))
    bent = Misread(trained, schedule=schedule, info=replace(trained.info, prediction="velocity"))
    assert "scale of the noise" not in wrong(bent)


def test_doctor_shows_it() -> None:
    shown = CliRunner().invoke(app, ["doctor", "--prior", "embedded", "--json"])
    checks = {c["name"]: c for c in json.loads(shown.stdout)["checks"]}
    assert checks["prior: scale of the noise"]["state"] == "ok"
    assert "predicts x0" in checks["prior"]["detail"]
    shown = CliRunner().invoke(app, ["doctor", "--prior", str(folder_of("sd1"))])
    assert "WRONG     prior: error of the noise" in shown.stdout
    assert "cannot run here until" in shown.stdout


def test_the_embedded_prior_tells_of_itself_before_it_is_loaded(trained) -> None:
    info, schedule = embedded.outline(trained.options)
    assert info == trained.info
    t = torch.linspace(0, 1, 9)
    assert torch.equal(schedule.sigma(t), trained.schedule.sigma(t))
