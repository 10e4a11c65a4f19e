"""Oracles of the methods that edit: DreamCatalyst, SSD-edit, CSD's editing form (guidance_more B4, B5)."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from guidance_cases import SD, D, at, levels, random_z
from guidance_edit_cases import (
    dreamcatalyst,
    eps_at,
    laws_of,
    noise,
    prior_of_laws,
    ssd_edit,
    step,
)
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import close, far, few, predictions, schedules, seeds
from sds3d.guidance.guiders import combined
from sds3d.guidance.predictions import CFG
from sds3d.guidance.reverse_process import TimedPull
from sds3d.guidance.triple import Triple

from sds3d.core.schedules import constant, parse
from sds3d.priors.base import Prediction

indices = st.integers(60, 940)
modes = st.integers(1, 2)


def loose(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to the precision of predictions that the engine keeps in the latents' dtype."""
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.oracle("O-CATALYST")
@few
@given(seeds, indices, schedules, predictions, modes, st.floats(0.5, 12.0))
def test_dreamcatalyst_is_its_formula(seed, index, schedule, prediction, count, s):
    laws, z, z_src = laws_of(seed, count), random_z(seed, 2), random_z(seed + 7, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    config = {"method": "dreamcatalyst", "cfg_scale": s, "times": at(index)}
    g, log = step(config, prior, z, z_src, seed)
    assert log["nfe"] == 5
    loose(g, dreamcatalyst(laws, z, z_src, index, schedule, noise(seed, 2), s=s))


@pytest.mark.oracle("O-CATALYST")
@few
@given(seeds, indices, schedules, predictions)
def test_dreamcatalyst_never_rests_at_the_source(seed, index, schedule, prediction):
    """What is left there is w s (ti - i); nothing with s = 0, and nothing where target and source are one law."""
    laws, z = laws_of(seed), random_z(seed, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    config = {"method": "dreamcatalyst", "times": at(index)}
    g, _ = step(config, prior, z, z, seed)
    a, s = levels(index, schedule)
    eps, x = eps_at(laws, index, schedule), a * z + s * noise(seed, 2)
    w = 0.2 + 0.8 * (index / 1000) ** (1 / math.e)
    loose(g, w * 7.5 * (eps("y", x) - eps("src", x)))
    assert float(g.abs().max()) > 1e-6
    still, _ = step(config | {"cfg_scale": 0.0}, prior, z, z, seed)
    assert float(still.abs().max()) < 1e-9
    same, _ = step(config, prior_of_laws(laws | {"y": laws["src"]}, schedule, prediction), z, z, seed)
    assert float(same.abs().max()) < 1e-9


@pytest.mark.oracle("O-CATALYST")
@few
@given(seeds, indices, schedules, st.floats(1.0, 12.0))
def test_where_dreamcatalyst_rests_on_a_gaussian(seed, index, schedule, s):
    """(w a sigma C^-1 + psi e^tau) (z - z_src) = w a sigma C^-1 s (mu_y - mu_src), whatever the noise and s_img."""
    laws, z_src = laws_of(seed, 1), random_z(seed, 2)
    (a, sigma), tau = levels(index, schedule), index / 1000
    cov = _covariance(laws["y"])
    inverse = torch.linalg.inv(a * a * cov + sigma * sigma * torch.eye(D, dtype=torch.float64))
    pull = 0.075 * math.exp(tau) * torch.eye(D, dtype=torch.float64)
    k = (0.2 + 0.8 * tau ** (1 / math.e)) * a * sigma * inverse
    move = torch.linalg.solve(k + pull, k @ (s * (laws["y"].means[0] - laws["src"].means[0])))
    config = {"method": "dreamcatalyst", "cfg_scale": s, "times": at(index)}
    prior = prior_of_laws(laws, schedule)
    for s_img in (0.0, 1.5):
        g, _ = step(config | {"image_scale": s_img}, prior, z_src + move, z_src, seed)
        assert float(g.abs().max()) < 1e-6
    g, _ = step(config, prior, z_src + 1.1 * move, z_src, seed)
    assert float(g.abs().max()) > 1e-5 * float(move.abs().max())


def _covariance(law) -> torch.Tensor:
    """(D, D) of a law with one mode."""
    return law.axes[0] @ torch.diag(law.variances[0]) @ law.axes[0].T


@pytest.mark.oracle("O-SSD")
@few
@given(seeds, indices, schedules, predictions, modes, st.floats(0.5, 12.0))
def test_ssd_edit_is_its_formula(seed, index, schedule, prediction, count, s):
    laws, z, z_src = laws_of(seed, count), random_z(seed, 2), random_z(seed + 7, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    g, log = step({"method": "ssd_edit", "cfg_scale": s, "times": at(index)}, prior, z, z_src, seed)
    assert log["nfe"] == 4
    loose(g, ssd_edit(laws, z, z_src, index, schedule, noise(seed, 2), s=s))


@pytest.mark.oracle("O-SSD")
@few
@given(seeds, indices, schedules, predictions)
def test_what_equal_prompts_leave_of_ssd_edit(seed, index, schedule, prediction):
    """Empty ones nothing; others (s_img / 2 + s_enh) (eps_y - eps_null), unless both scales are 0."""
    laws, z = laws_of(seed), random_z(seed, 2)
    config = {"method": "ssd_edit", "times": at(index)}
    empty = dict.fromkeys(("y", "src", "null"), laws["null"])
    g, _ = step(config, prior_of_laws(empty, schedule, prediction), z, z, seed)
    assert float(g.abs().max()) < 1e-9
    prior = prior_of_laws(laws | {"src": laws["y"]}, schedule, prediction)
    g, _ = step(config, prior, z, z, seed)
    a, s = levels(index, schedule)
    eps, x = eps_at(laws, index, schedule), a * z + s * noise(seed, 2)
    loose(g, (1.0 + 5.5) * (eps("y", x) - eps("null", x)))
    assert float(g.abs().max()) > 1e-6
    g, _ = step(config | {"image_scale": 0.0, "enhance_scale": 0.0}, prior, z, z, seed)
    assert float(g.abs().max()) < 1e-9


@pytest.mark.oracle("O-SSD")
@few
@given(seeds, indices, schedules, predictions)
def test_the_instruct_variant_of_ssd_edit(seed, index, schedule, prediction):
    """The triple on the render minus no words on the source: DreamCatalyst's with s_img = 0 on the source."""
    laws, z, z_src = laws_of(seed), random_z(seed, 2), random_z(seed + 7, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    config = {"method": "ssd_edit", "variant": "instruct", "pull": 0.0, "times": at(index)}
    g, log = step(config, prior, z, z_src, seed)
    assert log["nfe"] == 4
    a, s = levels(index, schedule)
    eps, e = eps_at(laws, index, schedule), noise(seed, 2)
    x, x_src = a * z + s * e, a * z_src + s * e
    u, i, ti = (eps(name, x) for name in ("null", "src", "y"))
    loose(g, u + 7.5 * (ti - i) + 1.5 * (i - u) - eps("null", x_src))


@pytest.mark.oracle("O5.5")
@few
@given(seeds, indices, schedules, predictions, st.floats(0.5, 12.0))
def test_classifier_score_editing(seed, index, schedule, prediction, s):
    """Zero where both prompts are one; on one picture and one noise it is DDS; it asks no empty prompt."""
    laws, z = laws_of(seed), random_z(seed, 2)
    prior = prior_of_laws(laws, schedule, prediction)
    shared = {"weight": "uniform", "times": at(index)}
    g, log = step({"method": "csd_edit", "omega1": s, "omega2": s} | shared, prior, z, z, seed)
    assert log["nfe"] == 2
    delta, _ = step({"method": "dds", "cfg_scale": s} | shared, prior, z, z, seed)
    loose(g, delta)
    apart, log = step({"method": "csd_edit", "omega1": s, "omega2": 0.3 * s} | shared, prior, z, z, seed)
    assert log["nfe"] == 3
    far(apart, delta)
    same = prior_of_laws(laws | {"src": laws["y"]}, schedule, prediction)
    still, _ = step({"method": "csd_edit"} | shared, same, z, z, seed)
    assert float(still.abs().max()) < 1e-12


MUTATED = {
    "dreamcatalyst": [
        {"weight": {"delta": 0.8, "gamma": 0.2}},
        {"weight": "sigma2"},
        {"pull": 0.075},
        {"pull": {"timed": 0.075, "noised": True}},
        {"rule": "TRIPLE(7.5, 1.5) - TRIPLE(7.5, 1.5)@src"},
        {"rule": "TRIPLE(7.5, 1.5) - G(1.5, src)"},
        {"rule": "TRIPLE(1.5, 7.5) - G(1.5, src)@src"},
        {"rule": "G(7.5) - G(1.5, src)@src"},
    ],
    "ssd_edit": [
        {"pull": {"timed": 0.075}},
        {"rule": "2 * (src - null@src) + 7.5 * (C - src) + 5.5 * (C - U)"},
        {"rule": "1 * (src - null) + 3.75 * (C - src) + 5.5 * (C - U)"},
        {"rule": "1 * (src - src@src) + 3.75 * (C - src) + 5.5 * (C - U)"},
        {"rule": "1 * (src - null@src) + 3.75 * (C - src@src) + 5.5 * (C - U)"},
        {"rule": "1 * (src - null@src) + 3.75 * (C - src) + 5.5 * (C - U@src)"},
    ],
}
"""Method -> its formula, with one mistake each."""
RIGHT = {
    "dreamcatalyst": {
        "rule": "TRIPLE(7.5, 1.5) - G(1.5, src)@src",
        "weight": {"delta": 0.2, "gamma": 0.8},
        "pull": {"timed": 0.075},
    },
    "ssd_edit": {
        "rule": "1 * (src - null@src) + 3.75 * (C - src) + 5.5 * (C - U)",
        "weight": "uniform",
        "pull": {"timed": 0.075, "noised": True},
    },
}


@pytest.mark.oracle("O-CATALYST", "O-SSD")
@pytest.mark.parametrize("name", MUTATED)
def test_each_mistake_is_noticed(name):
    laws, z, z_src, index = laws_of(3), random_z(3, 2), random_z(10, 2), 400
    expected = {"dreamcatalyst": dreamcatalyst, "ssd_edit": ssd_edit}[name](
        laws, z, z_src, index, SD, noise(0, 2)
    )
    free = {"method": "free", "noise": "paired", "times": at(index)} | RIGHT[name]
    g, _ = step(free, prior_of_laws(laws, SD), z, z_src)
    loose(g, expected)
    for mistake in MUTATED[name]:
        g, _ = step(free | mistake, prior_of_laws(laws, SD), z, z_src)
        far(g, expected)


@pytest.mark.oracle("O-CATALYST")
def test_tau_is_stable_diffusions_time_on_every_schedule():
    """A flow's own time in the place of tau would be noticed."""
    from guidance_cases import RF, time_of

    laws, z, z_src, index = laws_of(4), random_z(4, 2), random_z(11, 2), 300
    prior = prior_of_laws(laws, RF)
    t = torch.full((2,), time_of(index, RF), dtype=torch.float64)
    assert abs(float(t[0]) - index / 1000) > 0.1
    from guidance_cases import views_of

    views = dataclasses.replace(views_of(prior, z), source=views_of(prior, z_src))
    pulled = TimedPull(1.0)(views, t, None, RF).flatten(1)  # type: ignore[arg-type]
    close(pulled, math.exp(index / 1000) * (z - z_src))
    far(pulled, math.exp(float(t[0])) * (z - z_src))


@pytest.mark.oracle("O-TRIPLE")
@few
@given(seeds, indices, schedules, st.floats(0.0, 12.0), st.floats(0.0, 12.0))
def test_the_triple(seed, index, schedule, s, s_img):
    """Its formula in every form; with one scale for both it is guidance by the words alone; nothing asked in vain."""
    a, sigma = levels(index, schedule)
    g = torch.Generator().manual_seed(seed % 2**31)
    z_t = torch.randn(2, 1, 1, 3, generator=g, dtype=torch.float64)
    answers = {
        name: Prediction.of(
            torch.randn(2, 1, 1, 3, generator=g, dtype=torch.float64),
            z_t,
            torch.tensor(a, dtype=torch.float64),
            torch.tensor(sigma, dtype=torch.float64),
            "epsilon",
        )
        for name in ("y", "src", "null")
    }
    told = Triple(constant(s), constant(s_img))
    asked = told.conditions(0.0)
    out = told.combine({name: answers[name] for name in asked}, 0.0)
    for form in ("eps", "x0", "v", "velocity"):
        u, i, ti = (getattr(answers[name], form) for name in ("null", "src", "y"))
        torch.testing.assert_close(getattr(out, form), u + s * (ti - i) + s_img * (i - u))
    same = Triple(constant(s), constant(s))
    assert set(same.conditions(0.0)) == set(CFG(constant(s)).conditions(0.0))
    torch.testing.assert_close(
        same.combine(answers, 0.0).eps, combined(answers["null"], [(answers["y"], s)]).eps
    )
    assert Triple(constant(0.0), constant(0.0)).conditions(0.0) == ("null",)
    assert Triple(constant(7.5), constant(1.0)).branches() == {"y", "src"}
    assert Triple(parse({"linear": [0, 7.5]}), constant(1.0)).branches() == {"y", "src", "null"}


@pytest.mark.oracle("O-TRIPLE")
@few
@given(seeds, indices, predictions)
def test_the_triple_under_any_method(seed, index, prediction):
    """`combine: instruct` is SDS with InstructPix2Pix as the teacher."""
    laws, z = laws_of(seed), random_z(seed, 2)
    prior = prior_of_laws(laws, SD, prediction)
    config = {
        "method": "sds",
        "cfg_scale": 7.5,
        "combine": "instruct",
        "weight": "uniform",
        "times": at(index),
    }
    g, log = step(config, prior, z, z, seed)
    assert log["nfe"] == 3
    a, s = levels(index, SD)
    eps, e = eps_at(laws, index, SD), noise(seed, 2)
    x = a * z + s * e
    u, i, ti = (eps(name, x) for name in ("null", "src", "y"))
    loose(g, u + 7.5 * (ti - i) + 1.5 * (i - u) - e)
    other, _ = step(config | {"combine": {"guider": "instruct", "image_scale": 3.0}}, prior, z, z, seed)
    loose(other - g, 1.5 * (i - u))
