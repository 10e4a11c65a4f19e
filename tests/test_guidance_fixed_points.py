"""Each preset moves an exact prior to where the closed form says that it rests.

Gaussians of isotropic covariance, in whose terms every method's mean gradient is J (z - rest): a few plain gradient
steps of 0.9 / J from anywhere must end at `rest`. Noise is taken in antithetic pairs, which cancels its part exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch
from guidance_cases import PREDICTIONS, RF, SD, D, Gauss, at, levels, prior_of, random_z, views_of
from oracle_cases import f64, in_every_form, mirrored
from sds3d.guidance.build import bind
from sds3d.guidance.exact_critic import ExactCritic, own_point
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.weights import posterior_factors

from sds3d.core.streams import Streams

WIDE, NARROW, SCALE, VIEWS = 0.6, 0.3, 5.0, 2
EYE = torch.eye(D, dtype=f64)


def kappa(index: int, schedule) -> float:
    alpha, sigma = levels(index, schedule)
    return sigma / alpha


def slope(variance: float, k: float) -> float:
    """d eps_hat / d q of N(mu, variance) at noise level k, q = z_t / alpha."""
    return k / (variance + k * k)


def law(seed: int, variance: float) -> Gauss:
    return Gauss(random_z(seed, 1)[0], variance * EYE)


def same_widths(seed: int) -> dict[str, Gauss]:
    return {name: law(seed + n, WIDE) for n, name in enumerate(("y", "null", "neg", "src"))}


def narrow_prompt(seed: int) -> dict[str, Gauss]:
    return same_widths(seed) | {"y": law(seed, NARROW)}


def extrapolated(table, index, schedule, source):
    """mu_null + s (mu_y - mu_null): SDS and all that is SDS on average."""
    return table["null"].mean + SCALE * (table["y"].mean - table["null"].mean)


def balance(**coefficients: float):
    """Where sum_i c_i k_i (x - mu_i) = 0."""

    def rest(table, index, schedule, source):
        k = kappa(index, schedule)
        pull = {n: c * slope(float(table[n].cov[0, 0]), k) for n, c in coefficients.items()}
        return sum(p * table[n].mean for n, p in pull.items()) / sum(pull.values())

    return rest


def followed(stops: list[int], schedule, variance: float = WIDE) -> float:
    """b: by how much (q - mu) grows along DDIM moves over these indices, from q - mu = 1."""
    b = 1.0
    for here, there in pairwise(kappa(i, schedule) for i in stops):
        b *= 1.0 + (there - here) * slope(variance, here)
    return b


def interval(fraction: float):
    """ISM (fraction 0) and TSM: x* = mu_null + s k_t (mu_y - mu_null) / (k_t b_t - k_m b_m), O3.3 and O3.9."""

    def rest(table, index, schedule, source):
        s = index - 100
        m = round(s + fraction * (index - s))
        way = [1, *range(201, s, 200), s]
        at_s, top = followed(way, schedule), kappa(index, schedule)
        ahead = {i: at_s * followed([s, i], schedule) if i != s else at_s for i in (m, index)}
        restoring = slope(WIDE, top) * ahead[index] - slope(WIDE, kappa(m, schedule)) * ahead[m]
        push = SCALE * slope(WIDE, top) * (table["y"].mean - table["null"].mean)
        return table["null"].mean + push / restoring

    return rest


def inverted(table, index, schedule, source):
    """SDI: k^2 / (S + k^2) (q - mu_s) = q - x with q = mu_-s + b (x - mu_-s)."""
    grid = [1, *(i for i in range(100, 1000, 100) if i < index), index]
    b, top = followed(grid, schedule), kappa(index, schedule)
    up, down = (table["null"].mean + s * (table["y"].mean - table["null"].mean) for s in (SCALE, -SCALE))
    share = top * slope(WIDE, top)
    # share (mu_-s (1 - b) + b x - mu_s) - (1 - b) mu_-s - b x + x = 0
    return (share * up + (1 - share) * (1 - b) * down) / (1 - (1 - share) * b)


def asynchronous(table, index, schedule, source):
    """ASD: x* = mu_y + k_t (s - 1)(mu_y - mu_null) / (k_t - k_t'), attractive where the slope falls in t."""
    now, later = (slope(WIDE, kappa(i, schedule)) for i in (index, round(1.1 * index)))
    return table["y"].mean + now * (SCALE - 1) * (table["y"].mean - table["null"].mean) / (now - later)


def shifted_source(table, index, schedule, source):
    """DDS: z_src + s (mu_y - mu_src)."""
    return source + SCALE * (table["y"].mean - table["src"].mean)


def shrunk_edit(table, index, schedule, source):
    """PDS: the edit of DDS times chi k / (psi + chi k)."""
    psi, chi = (float(v) for v in posterior_factors(torch.tensor([index / 1000], dtype=f64), SD, 2))
    pull = chi * slope(WIDE, kappa(index, schedule))
    return source + pull / (psi + pull) * SCALE * (table["y"].mean - table["src"].mean)


def caught_up(table, index, schedule, source):
    """DreamCatalyst: the edit of DDS times w k / (w k + psi e^tau), whatever s_img."""
    tau = index / 1000
    push = (0.2 + 0.8 * tau ** (1 / math.e)) * slope(WIDE, kappa(index, schedule))
    pull = 0.075 * math.exp(tau)
    return source + push / (push + pull) * SCALE * (table["y"].mean - table["src"].mean)


def three_aims(table, index, schedule, source):
    """SSD-edit: (s_img k / 2 + pull) (x* - z_src) = k (s_img / 2 towards src + s / 2 towards y + s_enh towards y)."""
    k, top = slope(WIDE, kappa(index, schedule)), kappa(index, schedule)
    pull = 0.075 * math.exp(index / 1000) / math.sqrt(1 + top**2)
    y, src, null = (table[name].mean for name in ("y", "src", "null"))
    aims = (src - null) + SCALE / 2 * (y - src) + 5.5 * (y - null)
    return source + k / (k + pull) * aims


def held_by_the_pull(table, index, schedule, source):
    """LUSD at its own length: (1 - lambda) k (mu_src - mu_y) + lambda (x* - z_src) = 0."""
    push = 0.98 / 0.02 * slope(WIDE, kappa(index, schedule))
    return source + push * (table["y"].mean - table["src"].mean)


def extrapolated_twice(table, index, schedule, source):
    """The triple's mean: mu_null + s (mu_y - mu_src) + s_img (mu_src - mu_null)."""
    y, src, null = (table[name].mean for name in ("y", "src", "null"))
    return null + SCALE * (y - src) + 1.5 * (src - null)


@dataclass(frozen=True)
class Case:
    """A preset, the laws, the noise level, and where it rests. `critic`: what its critic knows."""

    config: dict
    rest: Callable
    laws: Callable = same_widths
    index: int = 500
    critic: ExactCritic | None = None
    schedules: tuple = (SD, RF)


GUIDED = {"cfg_scale": SCALE}
POINT = ExactCritic(own_point, own_point)
CASES = {
    "sds": Case(GUIDED, extrapolated),
    "sjc": Case(GUIDED, extrapolated),
    "hifa": Case(GUIDED | {"image_loss": 0}, extrapolated),
    "audiosds": Case(GUIDED, extrapolated),
    "vsd": Case(GUIDED, extrapolated, critic=POINT),
    "esd": Case(GUIDED | {"entropy": 0.0}, extrapolated, critic=POINT),
    "cfd": Case(GUIDED, extrapolated),
    "rewardsds": Case(GUIDED | {"draws": 3, "reward": {"strategy": "all"}}, extrapolated),
    "rewardvsd": Case(GUIDED | {"draws": 3, "reward": {"strategy": "random"}}, extrapolated, critic=POINT),
    "free": Case(GUIDED, extrapolated),
    "csd": Case({"omega2": 0.4}, balance(y=1.0, null=-0.6, neg=-0.4), narrow_prompt),
    "nfsd": Case(GUIDED, balance(y=SCALE, null=1 - SCALE, neg=-1.0), narrow_prompt),
    "nfsd below its threshold": Case(GUIDED, balance(y=SCALE, null=1 - SCALE), narrow_prompt, 120),
    "ism": Case(GUIDED | {"gap": 0.1, "start_noise": False}, interval(0.0)),
    "tsm": Case(GUIDED | {"gap": 0.1, "start_noise": False, "mu": 0.3}, interval(0.3)),
    "sdi": Case(GUIDED | {"inversion_scale": -SCALE, "eta": 0.0}, inverted),
    "asd": Case(GUIDED | {"random_shift": False}, asynchronous, index=700),
    "dds": Case(GUIDED, shifted_source),
    "pds": Case(GUIDED, shrunk_edit, schedules=(SD,)),
    "dreamcatalyst": Case(GUIDED, caught_up),
    "ssd_edit": Case(GUIDED, three_aims),
    "csd_edit": Case({"omega2": 0.4}, balance(y=1.0, null=-0.6, src=-0.4), narrow_prompt),
    "csd_collab": Case(GUIDED | {"residual_post": []}, shifted_source),
    "lusd": Case({"post": [], "retry": None}, held_by_the_pull),
    "sdedit": Case(GUIDED, extrapolated),
    "dataset_update": Case(GUIDED | {"moves": 5}, extrapolated_twice),
}
ORACLES = {"ism": "O3.3", "tsm": "O3.9", "asd": "O-ASD", "pds": "O-PDS", "sdi": "O-SDI", "csd": "O5.1"}
ORACLES |= {"dreamcatalyst": "O-CATALYST", "ssd_edit": "O-SSD", "lusd": "O-LUSD", "csd_edit": "O5.5"}


def mean_gradient(name: str, case: Case, prior, source):
    """z -> (B, D) E[g], over antithetic noise."""
    options = parse({"method": name.split()[0], "times": at(case.index)} | case.config)
    recipe = preset(options.method)(options)
    # what a method of sounds says behind the decoder has the same residual before it
    if not recipe.in_latents:
        recipe = replace(recipe, in_latents=True, image_loss=None)
    # the pictures of a dataset are what z - g says
    recipe = replace(recipe, dataset=None)
    guidance = bind(recipe if case.critic is None else replace(recipe, critic=case.critic), prior, 10)

    def once(z):
        views = views_of(prior, z)
        if guidance.needs.source:
            views = replace(views, source=views_of(prior, source.expand(len(z), -1)))
        streams = Streams(0)
        return guidance.guide(views, 3, streams, guidance.init(streams))[0]["z"].flatten(1) * len(z)

    def both(z):
        g = once(z)
        with patch.object(Streams, "normal", mirrored(Streams.normal)):
            return (g + once(z)) / 2

    return both


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.oracle(ORACLES[n])) if n in ORACLES else n for n in CASES]
)
@in_every_form
def test_it_rests_where_the_closed_form_says(prediction, name):
    case, turn = CASES[name], list(CASES).index(name) + PREDICTIONS.index(prediction)
    schedule = case.schedules[turn % len(case.schedules)]
    table = case.laws(40)
    prior, source = prior_of(table, schedule, prediction), random_z(60, 1)[0]
    gradient, z = mean_gradient(name, case, prior, source), 2.0 * random_z(50, VIEWS)
    rest = case.rest(table, case.index, schedule, source)
    force = gradient(z)
    # an isotropic, affine force: its slope can be read off two points, and must pull back
    stiffness = float(((force[0] - force[1]) / (z[0] - z[1])).mean())
    assert stiffness > 0.0
    start = float((z - rest).norm())
    for _ in range(6):
        z = z - 0.9 / stiffness * gradient(z)
    assert float((z - rest).norm()) < 2e-6 * start + 1e-5 * (1 + float(rest.norm()))


def test_every_method_has_a_case():
    from sds3d.guidance.registry import GROUP, PACKAGE

    from sds3d.config.kinds import modules

    assert {name.split()[0] for name in CASES} == set(modules(PACKAGE, GROUP, "method"))


def test_a_wrong_closed_form_is_noticed():
    """The suite has power: the rest of SDS with omega in the place of s is not where SDS goes."""
    case, table = CASES["sds"], same_widths(40)
    gradient = mean_gradient("sds", case, prior_of(table), None)
    omega = table["null"].mean + (SCALE + 1) * (table["y"].mean - table["null"].mean)
    right = extrapolated(table, 500, SD, None)
    assert float(gradient(right.expand(2, -1)).norm()) < 1e-6
    assert float(gradient(omega.expand(2, -1)).norm()) > 1e-2
    assert math.isfinite(float(omega.norm()))
