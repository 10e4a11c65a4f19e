"""Audio-SDS: oracles O10.1 to O10.5 with exactly known priors, and separation against its closed form."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
import torch
from audio_cases import ExactSounds
from guidance_cases import RF, SD
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import f64, few, mirrored, seeds
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.guidance.sounds import SpectrogramLoss
from sds3d.representations import separation

from sds3d.core.cameras import Still
from sds3d.core.errors import ConfigError
from sds3d.core.look import Look
from sds3d.core.schedules import constant
from sds3d.core.schedules import parse as schedule
from sds3d.core.spectra import magnitudes
from sds3d.core.streams import Streams
from sds3d.evaluate.separation import si_sdr
from sds3d.optimize.loop import Session
from sds3d.optimize.options import OptimizeOptions
from sds3d.optimize.stage import Stage
from sds3d.optimize.terms import Term
from sds3d.priors.base import Prompts

COUNT, VIEWS = 6, 2


def law(seed: int, count: int = COUNT) -> tuple[torch.Tensor, torch.Tensor]:
    """A random mean and covariance."""
    draw = Streams(seed).normal
    root = draw((count, count), "root")[0].double()
    return draw((count,), "mean")[0].double(), 0.3 * root @ root.T + 0.1 * torch.eye(count, dtype=f64)


def views_of(prior: ExactSounds, sound: torch.Tensor) -> Views:
    """What a guidance sees of sounds (B, 1, T)."""
    look = Look(None, prior.info.size, torch.ones(len(sound), 3))
    return Views(
        look, {"audio": sound}, prior.encode(sound), prior.condition(prior.prepare(Prompts("")), look, {})
    )


def judged(config: dict, prior: ExactSounds, sound: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients by name, before the mean over views."""
    cotangents, _, _ = build_guidance(parse(config), prior, 10).guide(
        views_of(prior, sound), 3, Streams(0), {}
    )
    return {name: g * len(sound) for name, g in cotangents.items()}


def plain(index: int, **more) -> dict:
    """Audio-SDS in samples alone, at one time."""
    times = {"low": index / 1000, "high": index / 1000}
    return {
        "method": "audiosds",
        "cfg_scale": 1,
        "windows": [],
        "time": 1.0,
        "moves": 1,
        "times": times,
    } | more


@pytest.mark.oracle("O10.1", "O10.2")
@few
@given(seeds, st.integers(60, 940), st.sampled_from([SD, RF]), st.booleans())
def test_one_move_behind_a_linear_codec_is_sds_with_kappa(seed, index, noise, identity):
    """encoder's gradient = E^T E (decoder's); with E = 1 the two are one."""
    codec = torch.eye(COUNT, dtype=f64)
    if not identity:
        codec = codec + 0.3 * Streams(seed).normal((COUNT, COUNT), "codec")[0].double()
    prior = ExactSounds(*law(seed), noise, codec)
    sound = Streams(seed + 1).normal((1, COUNT), "x", ids=range(VIEWS)).double()
    config = plain(index)
    found = judged(config, prior, sound)
    assert set(found) == {"audio"}, "nothing goes back through the encoder"
    sds = judged({"method": "sds", "cfg_scale": 1, "weight": "kappa", "times": config["times"]}, prior, sound)
    by_encoder = sds["z"][:, :, 0] @ codec
    torch.testing.assert_close(by_encoder, found["audio"] @ (codec.T @ codec), rtol=1e-6, atol=1e-8)


@pytest.mark.oracle("O10.3")
@few
@given(seeds, st.integers(200, 950), st.integers(1, 10))
def test_several_moves_take_the_prediction_less_far(seed, index, moves):
    """E[x_hat] = mu + f_K (x - mu),  f_K = prod [1 + (k' - k) k / (S + k^2)] over the moves' kappas, the last to 0."""
    mean, spread = law(seed)[0], 0.1 + float(Streams(seed).uniform((), "spread")[0])
    prior = ExactSounds(mean, spread * torch.eye(COUNT, dtype=f64))
    sound = Streams(seed + 1).normal((1, COUNT), "x", ids=range(VIEWS)).double()
    there = judged(plain(index, moves=moves), prior, sound)["audio"]
    with patch.object(Streams, "normal", mirrored(Streams.normal)):
        back = judged(plain(index, moves=moves), prior, sound)["audio"]
    t = torch.tensor([index / 1000 * (1 - k / moves) for k in range(moves)], dtype=f64).clamp(min=1e-3)
    kappa = [*SD.kappa(t).tolist(), 0.0]
    factor = math.prod(
        1 + (kappa[k + 1] - kappa[k]) * kappa[k] / (spread + kappa[k] ** 2) for k in range(moves)
    )
    wanted = sound - (mean + factor * (sound - mean))
    torch.testing.assert_close((there + back) / 2, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.oracle("O10.4")
@few
@given(seeds)
def test_the_spectrogram_gradient_is_that_of_finite_differences(seed):
    loss = SpectrogramLoss(constant(1.0), (16, 32), 0.3)
    sound, wanted = (Streams(seed).normal((1, 1, 64), name)[0].double() for name in ("x", "y"))

    def value(x):
        total = 0.5 * 0.3 * (x - wanted).square().sum()
        for window in (16, 32):
            away = magnitudes(x, window, window // 4, 1e-3) - magnitudes(wanted, window, window // 4, 1e-3)
            total = total + 0.5 * away.square().sum() / window
        return float(total)

    g = loss.gradient(sound, wanted)
    for place in (3, 31, 60):
        step = torch.zeros_like(sound)
        step[..., place] = 1e-5
        assert float(g[0, 0, place]) == pytest.approx(
            (value(sound + step) - value(sound - step)) / 2e-5, rel=1e-4, abs=1e-6
        )


@pytest.mark.oracle("O10.4")
def test_magnitudes_do_not_hear_a_sign_and_samples_do():
    sound = Streams(0).normal((1, 1, 128), "x")[0].double()
    deaf, hearing = (SpectrogramLoss(constant(1.0), (32,), time) for time in (0.0, 0.1))
    assert float(deaf.gradient(sound, -sound).abs().max()) < 1e-12
    torch.testing.assert_close(hearing.gradient(sound, -sound), 0.2 * sound)
    assert bool(torch.isfinite(hearing.gradient(torch.zeros_like(sound), sound)).all()), (
        "silence has a gradient"
    )


def test_a_picture_is_refused_before_anything_runs():
    from sds3d.jobs import configs
    from sds3d.jobs.assemble import check_guidance

    config = configs.from_mapping(
        {"prompt": "a bell", "prior": {"kind": "analytic"}, "representation": "image", "guidance": "audiosds"}
    )
    with pytest.raises(ConfigError, match="compares sounds"):
        check_guidance(config)


def smooth(count: int, pole: float, power: float) -> torch.Tensor:
    """The covariance of a first-order filter's noise: low sounds for a positive pole, high ones for a negative."""
    steps = torch.arange(count, dtype=f64)
    return power * pole ** (steps[:, None] - steps).abs()


def separated(
    mixture: torch.Tensor, laws: list[torch.Tensor], index: int, gamma: float, steps: int
) -> torch.Tensor:
    """The sources (K, T) that the loop finds with exact priors, in samples."""
    options = separation.Options(
        mixture="given", space="waveforms", windows=(), sources=len(laws),
        samples_lr=schedule({"exponential": [0.05, 0.0005]}),
    )  # fmt: skip
    scene = separation.Separation(options, lambda: None, Streams(0), mixture)
    scene._form = (len(mixture), 8000)
    settings = OptimizeOptions(steps=steps, views=4, preview_steps=0)
    terms = []
    for k, cov in enumerate(laws):
        prior = ExactSounds(torch.zeros(len(mixture)), cov)
        stage = Stage(
            prior, scene, build_guidance(parse(plain(index, factor=gamma)), prior, steps), Still(),
            prior.prepare(Prompts("")), settings, Streams(0), "test", backdrop=(1.0, 1.0, 1.0), part=k,
        )  # fmt: skip
        terms.append(Term(f"source{k}", stage))
    first = terms[0].stage
    whole = Stage(
        first.prior, scene, first.guidance, Still(), first.embedded, settings, Streams(0), "test",
        backdrop=(1.0, 1.0, 1.0), terms=tuple(terms),
    )  # fmt: skip
    session = Session(whole)
    for _ in range(steps):
        session.apply(session.gradients())
    return scene.values["samples"].detach().double()


@pytest.mark.oracle("O10.5")
def test_separation_with_exact_priors_reaches_the_closed_form_optimum():
    """At rest (sum_j x_j - m) + gamma sigma^2 (alpha^2 C_k + sigma^2)^-1 x_k = 0 for every k; near t = 0 that is the
    Wiener filter, the best estimate there is."""
    count, index, gamma = 32, 150, 0.5
    laws = [smooth(count, 0.95, 0.2), smooth(count, -0.6, 0.1)]
    truth = torch.stack(
        [
            torch.linalg.cholesky(c) @ Streams(k).normal((count,), "source")[0].double()
            for k, c in enumerate(laws)
        ]
    )
    mixture = truth.sum(0)
    a, s = (float(v(torch.tensor([index / 1000], dtype=f64))) for v in (SD.alpha, SD.sigma))
    eye = torch.eye(count, dtype=f64)
    pulls = [gamma * s * s * torch.linalg.inv(a * a * c + s * s * eye) for c in laws]
    system = torch.cat(
        [torch.cat([eye + (pulls[k] if j == k else 0 * eye) for j in range(2)], 1) for k in range(2)]
    )
    rest = torch.linalg.solve(system, mixture.repeat(2)).view(2, count)
    wiener = torch.stack([c @ torch.linalg.solve(laws[0] + laws[1], mixture) for c in laws])
    found = separated(mixture.float(), laws, index, gamma, 180)
    reached, optimum, best = (float(si_sdr(x, truth).mean()) for x in (found, rest, wiener))
    before = float(si_sdr(mixture.expand(2, -1), truth).mean())
    assert float(si_sdr(found, rest).min()) > 12, "the loop rests where the closed form says"
    assert reached > optimum - 1.0
    assert reached > before + 2.0
    assert best >= optimum - 1.0
