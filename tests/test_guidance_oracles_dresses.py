"""Every method in eight dresses, and every two methods on one state (guidance card §1.5, §12, O11.1)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from critic_cases import gaussian
from guidance_cases import PREDICTIONS, RF, SD, SHAPE, D, at, prior_of, random_gauss, random_z, views_of
from hypothesis import Phase, given, settings
from oracle_cases import seeds
from sds3d.guidance.build import bind
from sds3d.guidance.exact_critic import ExactCritic, fixed
from sds3d.guidance.registry import GROUP, PACKAGE, parse, preset
from sds3d.guidance.rewards import LinearReward
from torch import Tensor

from sds3d.config.kinds import modules
from sds3d.core.streams import Streams

METHODS = list(modules(PACKAGE, GROUP, "method"))
SCALED = {"cfg_scale": 4.0}
OWN = {
    "csd": {"omega2": 0.4},
    "csd_edit": {"omega2": 0.4},
    "lusd": {},
    "asd": SCALED | {"random_shift": False},
    "esd": SCALED,
    "dataset_update": SCALED | {"moves": 3},
    "hifa": SCALED | {"image_loss": 0, "moves": 3},
    "rewardsds": SCALED | {"draws": 4, "reward": {"rollout_steps": 3, "until": 1.0}},
    "rewardvsd": SCALED | {"draws": 4, "reward": {"rollout_steps": 3, "until": 1.0}},
}
"""Method -> what it is run with; the others with SCALED alone."""


def gradient(method: str, seed: int, schedule=SD, prediction="epsilon", index: int = 500) -> Tensor:
    """(B, D) g of one step on one state; critics, sources and rewards are exact, and the same for all methods."""
    table = {n: random_gauss(seed + 100 * k) for k, n in enumerate(("y", "null", "neg", "src"))}
    prior, z = prior_of(table, schedule, prediction), random_z(seed, 2)
    recipe = preset(method)(parse({"method": method, "times": at(index)} | OWN.get(method, SCALED)))
    # what a method of sounds says behind the decoder has the same residual before it
    if not recipe.in_latents:
        recipe = replace(recipe, in_latents=True, image_loss=None)
    # the pictures of a dataset are what z - g says
    recipe = replace(recipe, dataset=None)
    if recipe.critic is not None:
        told, untold = (fixed(gaussian(random_gauss(seed + k))) for k in (7, 8))
        recipe = replace(recipe, critic=ExactCritic(told, untold))
    if recipe.draw_weights is not None:
        judge = LinearReward(random_z(seed + 3, 1).view(SHAPE))
        recipe = replace(recipe, draw_weights=replace(recipe.draw_weights, reward=judge))
    guidance, views, streams = bind(recipe, prior, 10), views_of(prior, z), Streams(seed % 97)
    views = replace(views, source=views_of(prior, random_z(seed + 5, 2)))
    return guidance.guide(views, 3, streams, guidance.init(streams))[0]["z"].flatten(1) * len(z)


@pytest.mark.oracle("O11.1")
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=1, phases=[Phase.generate])
@given(seeds)
def test_one_gradient_in_eight_dresses(method, seed):
    """VP and its rectified-flow rewriting, each saying eps, v, x0 or velocity: nothing but the dress differs."""
    schedules = (SD,) if method == "pds" else (SD, RF)  # its weights belong to a grid of steps
    found = [gradient(method, seed, s, p) for s in schedules for p in PREDICTIONS]
    size = float(found[0].abs().max())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=2e-5, atol=2e-5 * size)


@pytest.mark.oracle("O-PDS")
@settings(max_examples=4)
@given(seeds)
def test_pds_on_a_flow_is_its_own_grid(seed):
    """On a flow the steps of t are others, and so are psi and chi; the four predictions still say one thing."""
    found = [gradient("pds", seed, RF, p) for p in PREDICTIONS]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=2e-5, atol=2e-5 * float(found[0].abs().max()))
    assert not torch.allclose(found[0], gradient("pds", seed), rtol=1e-2)


ALIKE = {frozenset(("sds", "sjc")), frozenset(("sds", "free")), frozenset(("sjc", "free"))}
"""Pairs that are one method at a given time, up to the weight: SJC is SDS in other units, free's default is SDS."""


def test_no_two_methods_pull_alike():
    """The pairwise table: on one state, at one time and scale, directions differ but for the pairs that are one."""
    found = {method: gradient(method, 11).flatten() for method in METHODS}
    for k, one in enumerate(METHODS):
        for other in METHODS[k + 1 :]:
            cosine = float(torch.cosine_similarity(found[one], found[other], dim=0))
            if frozenset((one, other)) in ALIKE:
                assert cosine == pytest.approx(1.0, abs=1e-9), (one, other)
            else:
                assert cosine < 1.0 - 1e-5, (one, other)
    assert len(METHODS) * (len(METHODS) - 1) / 2 == math.comb(len(METHODS), 2)
    assert all(len(g) == 2 * D for g in found.values())
