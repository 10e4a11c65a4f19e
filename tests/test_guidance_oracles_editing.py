"""Oracles of the methods that edit a source: DDS and PDS (guidance_more B2, B3)."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_cases import (
    PREDICTIONS,
    RF,
    SD,
    SHAPE,
    Gauss,
    at,
    levels,
    prior_of,
    random_gauss,
    random_z,
    views_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import in_every_form
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.guidance.weights import posterior_factors

from sds3d.core.errors import ConfigError
from sds3d.core.streams import Streams

seeds = st.integers(0, 10_000)
FEW = settings(max_examples=6, deadline=None)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
every_prior = pytest.mark.parametrize(
    ("schedule", "prediction"), [(SD, p) for p in PREDICTIONS] + [(RF, "velocity"), (RF, "epsilon")]
)


def edit(config, prior, z, z_src, seed=0):
    """(B, D) g of one step with these sources, before the division by B."""
    views = dataclasses.replace(views_of(prior, z), source=views_of(prior, z_src))
    guidance = build_guidance(parse(config), prior, 10)
    assert guidance.needs.source
    cotangents, _, log = guidance.guide(views, 3, Streams(seed), guidance.init(Streams(seed)))
    assert log["nfe"] == 4
    return cotangents["z"].flatten(1) * len(z)


def table_of(seed: int) -> dict[str, Gauss]:
    """Target, source and empty prompt: other means, one covariance."""
    like = random_gauss(seed)
    return {"y": like, "src": random_gauss(seed + 1, like), "null": random_gauss(seed + 2, like)}


@pytest.mark.oracle("O-DDS")
@every_prior
@FEW
@given(seed=seeds, index=st.integers(60, 940), scale=st.floats(2, 12))
def test_dds_on_a_gaussian_is_free_of_noise_and_rests_at_the_shifted_source(
    schedule, prediction, seed, index, scale
):
    table, z, z_src = table_of(seed), random_z(seed, 2), random_z(seed + 7, 2)
    prior = prior_of(table, schedule, prediction)
    config = {"method": "dds", "cfg_scale": scale, "times": at(index)}
    g = edit(config, prior, z, z_src, seed)
    torch.testing.assert_close(g, edit(config, prior, z, z_src, seed + 1), **CLOSE)
    alpha, sigma = levels(index, schedule)
    rest = z_src + scale * (table["y"].mean - table["src"].mean)
    inverse = torch.linalg.inv(table["y"].marginal(alpha, sigma))
    torch.testing.assert_close(g, alpha * sigma * (z - rest) @ inverse, **CLOSE)
    at_rest = edit(config, prior, rest, z_src, seed)
    assert float(at_rest.abs().max()) < 1e-4


@pytest.mark.oracle("O-DDS", "O-PDS")
@in_every_form
@FEW
@given(seed=seeds, index=st.integers(60, 940))
def test_nothing_changes_where_target_and_source_are_one(prediction, seed, index):
    table, z = table_of(seed), random_z(seed, 2)
    table["src"] = table["y"]
    for method in ("dds", "pds"):
        g = edit({"method": method, "times": at(index)}, prior_of(table, SD, prediction), z, z, seed)
        assert float(g.abs().max()) == 0.0, method


@pytest.mark.oracle("O-PDS")
@pytest.mark.parametrize(
    ("index", "psi", "chi"), [(100, 0.318, 0.116), (500, 0.032, 0.082), (900, 0.006, 0.103)]
)
def test_posterior_factors_of_the_released_grid(index, psi, chi):
    got = posterior_factors(torch.tensor([index / 1000], dtype=torch.float64), SD, 2)
    assert [round(float(v), 3) for v in got] == [psi, chi]
    pull, _ = posterior_factors(torch.tensor([index / 1000], dtype=torch.float64), SD, 1)
    assert abs(float(pull)) < 1e-9, "no pull where the gap is the step"


@pytest.mark.oracle("O-PDS")
@in_every_form
@FEW
@given(seed=seeds, index=st.integers(60, 940))
def test_pds_matches_stochastic_latents(prediction, seed, index):
    """g is the difference of zeta = (z_r - c0 x0_hat - c1 z_t) / s, whatever the noise at r."""
    table, z, z_src, scale = table_of(seed), random_z(seed, 2), random_z(seed + 7, 2), 5.0
    g = edit(
        {"method": "pds", "cfg_scale": scale, "times": at(index)},
        prior_of(table, SD, prediction),
        z,
        z_src,
        seed,
    )
    bar = SD.alpha_bar
    beta = 1 - bar[index] / bar[index - 1]
    (a, s), (a_r, s_r) = levels(index, SD), levels(index - 2, SD)
    c0, c1 = a_r * beta / s**2, (1 - beta).sqrt() * s_r**2 / s**2
    deviation = beta.sqrt() * s_r / s
    eps = Streams(seed).normal(SHAPE, "guidance-noise", 0, step=3, ids=[0, 1]).double().flatten(1)
    other = random_z(seed + 11, 2)

    def zeta(clean, prompt):
        z_t, z_r = a * clean + s * eps, a_r * clean + s_r * other
        null, told = (table[name].x0(z_t, a, s) for name in ("null", prompt))
        return (z_r - c0 * (null + scale * (told - null)) - c1 * z_t) / deviation

    torch.testing.assert_close(g, zeta(z, "y") - zeta(z_src, "src"), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["dds", "pds"])
def test_a_missing_source_is_said(method):
    prior = prior_of(table_of(0))
    guidance = build_guidance(parse(method), prior, 10)
    with pytest.raises(ConfigError, match="the source that is edited, and these views have none"):
        guidance.guide(views_of(prior, random_z(0, 2)), 0, Streams(0), {})
