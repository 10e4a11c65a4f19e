"""Oracles of the methods that infer noise or compare two states: ISM, TSM, NFSD, SDI, ASD (guidance card §4-7).

A Gaussian prior moves q = x / alpha along its sampler's path by dq = kappa (S + kappa^2)^-1 (q - mu) dkappa; the
tests walk that path by hand in q and compare gradients, for all native predictions and both kinds of schedule.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from guidance_cases import (
    PREDICTIONS,
    RF,
    SD,
    D,
    Gauss,
    at,
    levels,
    noise_of,
    prior_of,
    random_gauss,
    random_z,
    residual_step,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import in_every_form

seeds = st.integers(0, 10_000)
indices = st.integers(120, 900)
every_prior = pytest.mark.parametrize(
    ("schedule", "prediction"), [(SD, p) for p in PREDICTIONS] + [(RF, "velocity"), (RF, "x0")]
)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
FEW = settings(max_examples=6, deadline=None)


def table_of(seed: int) -> dict[str, Gauss]:
    """Prompt, empty and negative prompt, of different means and spreads."""
    return {name: random_gauss(seed + i) for i, name in enumerate(("y", "null", "neg"))}


def kappa_of(index: int, schedule) -> float:
    """sigma / alpha at Stable Diffusion's index."""
    alpha, sigma = levels(index, schedule)
    return sigma / alpha


def eps_at(law: Gauss, q: torch.Tensor, kappa: float) -> torch.Tensor:
    """The exact noise prediction in q = x / alpha: kappa (S + kappa^2)^-1 (q - mu)."""
    return (
        kappa * torch.linalg.solve(law.cov + kappa**2 * torch.eye(D, dtype=torch.float64), (q - law.mean).T).T
    )


def walk(law: Gauss, q: torch.Tensor, indices: list[int], schedule) -> torch.Tensor:
    """q followed over the indices without prompt."""
    for here, there in pairwise(indices):
        a, b = kappa_of(here, schedule), kappa_of(there, schedule)
        q = q + (b - a) * eps_at(law, q, a)
    return q


def stops(s: int, stride: int = 200) -> list[int]:
    """1, then strides, then s."""
    out = [1]
    while out[-1] < s:
        out.append(min(out[-1] + stride, s))
    return out


def guided_at(table: dict[str, Gauss], q: torch.Tensor, kappa: float, scale: float) -> torch.Tensor:
    """eps_null + s (eps_y - eps_null)."""
    y, null = eps_at(table["y"], q, kappa), eps_at(table["null"], q, kappa)
    return null + scale * (y - null)


def begin(z: torch.Tensor, schedule, noise: bool, seed: int) -> torch.Tensor:
    """q at the least noise."""
    return z + kappa_of(1, schedule) * noise_of(seed, 3, list(range(len(z)))) if noise else z


@pytest.mark.oracle("O3.2")
@every_prior
@FEW
@given(seed=seeds, index=indices, noise=st.booleans(), scale=st.floats(-3, 12))
def test_ism_is_the_walked_interval(schedule, prediction, seed, index, noise, scale):
    table, z, gap = table_of(seed), random_z(seed, 3), 80
    config = {
        "method": "ism",
        "cfg_scale": scale,
        "times": at(index),
        "gap": gap / 1000,
        "start_noise": noise,
    }
    g, log = residual_step(config, prior_of(table, schedule, prediction), z, seed=seed)
    s = max(index - gap, 1)
    q_s = walk(table["null"], begin(z, schedule, noise, seed), stops(s), schedule)
    reference = eps_at(table["null"], q_s, kappa_of(s, schedule))
    kappa = kappa_of(index, schedule)
    q_t = q_s + (kappa - kappa_of(s, schedule)) * reference
    torch.testing.assert_close(g, kappa * (guided_at(table, q_t, kappa, scale) - reference), **CLOSE)
    both = 1 if scale in (0.0, 1.0) else 2
    assert log["nfe"] == len(stops(s)) - 1 + 1 + both


@every_prior
@FEW
@given(seed=seeds, index=indices, mu=st.floats(0.05, 0.95))
def test_tsm_compares_with_a_state_between(schedule, prediction, seed, index, mu):
    table, z, gap = table_of(seed), random_z(seed, 2), 100
    config = {"method": "tsm", "mu": mu, "times": at(index), "gap": gap / 1000, "start_noise": False}
    g, log = residual_step(config, prior_of(table, schedule, prediction), z, seed=seed)
    s = max(index - gap, 1)
    q_s = walk(table["null"], z, stops(s), schedule)
    told = eps_at(table["null"], q_s, kappa_of(s, schedule))
    middle, top = kappa_of(round(s + mu * (index - s)), schedule), kappa_of(index, schedule)
    q_mu, q_t = (q_s + (k - kappa_of(s, schedule)) * told for k in (middle, top))
    expected = top * (guided_at(table, q_t, top, 7.5) - eps_at(table["null"], q_mu, middle))
    torch.testing.assert_close(g, expected, **CLOSE)
    assert log["nfe"] == len(stops(s)) - 1 + 4


@pytest.mark.oracle("O3.5")
@in_every_form
@FEW
@given(seed=seeds, index=indices)
def test_tsm_at_its_ends_is_ism_and_classifier_guidance(prediction, seed, index):
    table, z = table_of(seed), random_z(seed, 2)
    prior, same = prior_of(table, SD, prediction), {"times": at(index), "gap": 0.1}
    start, _ = residual_step({"method": "tsm", "mu": 0.0, **same}, prior, z, seed=seed)
    ism, _ = residual_step({"method": "ism", **same}, prior, z, seed=seed)
    assert torch.equal(start, ism), "bit for bit"
    end, _ = residual_step({"method": "tsm", "mu": 1.0, "start_noise": False, **same}, prior, z, seed=seed)
    s, kappa = index - 100, kappa_of(index, SD)
    q_s = walk(table["null"], z, stops(s), SD)
    q_t = q_s + (kappa - kappa_of(s, SD)) * eps_at(table["null"], q_s, kappa_of(s, SD))
    direction = eps_at(table["y"], q_t, kappa) - eps_at(table["null"], q_t, kappa)
    torch.testing.assert_close(end, kappa * 7.5 * direction, **CLOSE)


@FEW
@given(seed=seeds, index=indices)
def test_ism_rests_at_the_unprompted_mean(seed, index):
    """Started at the empty prompt's mean, the path stays there: nothing is left but the prompt's direction."""
    table = table_of(seed)
    table["y"] = table["null"]
    z = table["null"].mean.expand(2, D).clone()
    config = {"method": "ism", "times": at(index), "start_noise": False}
    g, _ = residual_step(config, prior_of(table), z, seed=seed)
    assert float(g.abs().max()) < 1e-5


@pytest.mark.oracle("O3.6")
@in_every_form
def test_ism_without_start_noise_does_not_depend_on_the_seed(prediction):
    table, z = table_of(0), random_z(0, 2)
    config = {"method": "ism", "times": at(500), "start_noise": False}
    first, second = (
        residual_step(config, prior_of(table, SD, prediction), z, seed=seed)[0] for seed in (0, 1)
    )
    assert torch.equal(first, second)
    noisy = [
        residual_step(config | {"start_noise": True}, prior_of(table, SD, prediction), z, seed=s)[0]
        for s in (0, 1)
    ]
    assert not torch.equal(*noisy)
    plain = [residual_step({"method": "sds", "cfg_scale": 7.5, "weight": "kappa", "times": at(500)},
                           prior_of(table, SD, prediction), z, seed=s)[0] for s in (0, 1)]  # fmt: skip
    assert float((noisy[0] - noisy[1]).norm()) < 0.2 * float((plain[0] - plain[1]).norm())


@pytest.mark.oracle("O6.1")
@every_prior
@FEW
@given(seed=seeds, index=st.integers(200, 950))
def test_nfsd_above_its_threshold_is_csd(schedule, prediction, seed, index):
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, 3)
    g, log = residual_step({"method": "nfsd", "times": at(index)}, prior, z, seed=seed)
    csd = {"method": "csd", "omega1": 7.5, "omega2": 1.0, "times": at(index)}
    expected, _ = residual_step(csd, prior, z, seed=seed)
    torch.testing.assert_close(g, expected, **CLOSE)
    assert log["nfe"] == 3


@pytest.mark.oracle("O6.2", "O6.3")
@every_prior
@FEW
@given(seed=seeds, index=st.integers(20, 198))
def test_nfsd_below_its_threshold_is_sds_plus_the_noise(schedule, prediction, seed, index):
    """Samplewise g_NFSD - g_SDS = w eps: no noise is subtracted there."""
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, 3)
    g, log = residual_step({"method": "nfsd", "times": at(index)}, prior, z, seed=seed)
    sds, _ = residual_step({"method": "sds", "cfg_scale": 7.5, "times": at(index)}, prior, z, seed=seed)
    kappa = kappa_of(index, schedule)
    weight = kappa**2 / (1 + kappa**2)
    torch.testing.assert_close(g - sds, weight * noise_of(seed, 3, [0, 1, 2]), **CLOSE)
    assert log["nfe"] == 2


def test_nfsd_decides_view_by_view():
    """Views on both sides of the threshold in one step: each gets its own form."""
    prior, z = prior_of(table_of(4)), random_z(4, 40)
    spread = {"low": 0.1, "high": 0.3}
    g, log = residual_step({"method": "nfsd", "times": spread}, prior, z)
    sds, _ = residual_step({"method": "sds", "cfg_scale": 7.5, "times": spread}, prior, z)
    csd, _ = residual_step({"method": "csd", "omega1": 7.5, "omega2": 1.0, "times": spread}, prior, z)
    like_csd = (g - csd).norm(dim=1) < 1e-6
    assert 5 < int(like_csd.sum()) < 35
    eps = noise_of(0, 3, list(range(40)))
    rest = (g - sds)[~like_csd] / eps[~like_csd]
    torch.testing.assert_close(rest, rest[:, :1].expand_as(rest), rtol=1e-3, atol=1e-4)
    assert log["nfe"] == 3


@pytest.mark.oracle("O-SDI")
@every_prior
@FEW
@given(seed=seeds, index=st.integers(120, 980), scale=st.floats(-9, -2))
def test_sdi_noise_is_inferred_along_the_grid(schedule, prediction, seed, index, scale):
    table, z = table_of(seed), random_z(seed, 2)
    config = {"method": "sdi", "times": at(index), "eta": 0.0, "inversion_scale": scale}
    g, log = residual_step(config, prior_of(table, schedule, prediction), z, seed=seed)
    grid = [1, *(i for i in range(100, 1000, 100) if i < index), index]
    q = z
    for here, there in pairwise(grid):
        a, b = kappa_of(here, schedule), kappa_of(there, schedule)
        q = q + (b - a) * guided_at(table, q, a, scale)
    kappa = kappa_of(index, schedule)
    noise = (q - z) / kappa
    expected = kappa * (guided_at(table, q, kappa, 7.5) - noise)
    torch.testing.assert_close(g, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert log["nfe"] == 2 * (len(grid) - 1) + 2


def test_sdi_stirs_with_fresh_noise():
    table, z = table_of(1), random_z(1, 2)
    config = {"method": "sdi", "times": at(600)}
    stirred = [residual_step(config | {"eta": 0.3}, prior_of(table), z, seed=s)[0] for s in (0, 1)]
    still = [residual_step(config | {"eta": 0.0}, prior_of(table), z, seed=s)[0] for s in (0, 1)]
    assert not torch.equal(*stirred)
    assert torch.equal(*still)


@pytest.mark.oracle("O-ASD")
@every_prior
@FEW
@given(seed=seeds, index=indices, scale=st.floats(1.5, 12))
def test_asd_without_shift_is_classifier_guidance(schedule, prediction, seed, index, scale):
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, 3)
    config = {"method": "asd", "cfg_scale": scale, "shift": 0.0, "times": at(index)}
    g, _ = residual_step(config, prior, z, seed=seed)
    csd, _ = residual_step({"method": "csd", "times": at(index)}, prior, z, seed=seed)
    torch.testing.assert_close(g, (scale - 1) * csd, **CLOSE)


@FEW
@given(seed=seeds, index=st.integers(100, 800))
def test_asd_reference_is_the_later_conditional_prediction(seed, index):
    table, z = table_of(seed), random_z(seed, 2)
    config = {"method": "asd", "shift": 0.1, "random_shift": False, "times": at(index)}
    g, log = residual_step(config, prior_of(table), z, seed=seed)
    eps = noise_of(seed, 3, [0, 1])
    now, later = kappa_of(index, SD), kappa_of(round(index * 1.1), SD)
    target = guided_at(table, z + now * eps, now, 7.5)
    reference = eps_at(table["y"], z + later * eps, later)
    torch.testing.assert_close(g, now**2 / (1 + now**2) * (target - reference), **CLOSE)
    assert log["nfe"] == 3


@pytest.mark.parametrize("method", ["ism", "tsm", "sdi", "nfsd", "asd", "sjc"])
def test_methods_that_should_differ_do(method):
    """Same state, same noise: no two of these presets give the same gradient."""
    prior, z = prior_of(table_of(9)), random_z(9, 2)
    mine, _ = residual_step({"method": method, "times": at(500)}, prior, z)
    for other in ("sds", "csd", "ism", "tsm", "sdi", "nfsd", "asd", "sjc"):
        if other != method:
            theirs, _ = residual_step({"method": other, "times": at(500)}, prior, z)
            assert float((mine - theirs).norm()) > 1e-3 * float(mine.norm()), other
