"""The check for third parties: all of our methods pass it, broken ones do not, and a toy method is a few lines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from sds3d.guidance.noise import Iid
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import GROUP, PACKAGE
from sds3d.guidance.rules import EPS, C, U
from sds3d.guidance.states import noised
from sds3d.guidance.times import Times

from sds3d.config.kinds import modules
from sds3d.core.schedules import constant
from sds3d.testing.guidance import check_guidance, small_prior

TRAINED = ("vsd", "esd", "rewardvsd")
NAMES = [n for n in modules(PACKAGE, GROUP, "method") if n not in TRAINED]
TIMES = Times(constant(0.02), constant(0.98), "sd", None)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_passes(name):
    small = {"reward": {"rollout_steps": 2, "until": 1.0}} if name == "rewardsds" else {}
    check_guidance({"method": name} | small)


def test_a_toy_method():
    """A method of one's own is a rule and three choices."""
    toy = Recipe(rule=2.0 * (C - U) + 0.1 * (U - EPS), times=TIMES, weight="kappa")
    assert check_guidance(toy).needs.branches == {"y", "null"}


@dataclass(frozen=True)
class Drawn(Iid):
    """Noise from torch's global state."""

    def make(self, views, t, draw, now, calls, memory):
        return {"t": noised(views.z, torch.randn_like(views.z), t, calls.schedule)}


@dataclass(frozen=True)
class Still(Iid):
    """The same noise whatever the seed."""

    def make(self, views, t, draw, now, calls, memory):
        return {"t": noised(views.z, torch.ones_like(views.z), t, calls.schedule)}


@dataclass(frozen=True)
class Broken:
    """A post step that spoils the gradient."""

    how: str

    def __call__(self, g, progress):
        return g[:, :1] if self.how == "shape" else g / torch.zeros_like(g)


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ({"noise": Drawn()}, "other bits the second time"),
        (
            {"noise": Still(), "times": Times(constant(0.5), constant(0.5), "sd", None)},
            "neither the step nor",
        ),
        ({"post": (Broken("shape"),)}, "the cotangent of z is"),
        ({"post": (Broken("nan"),)}, "not finite"),
    ],
)
def test_broken_ones_do_not(slots, said):
    with pytest.raises(AssertionError, match=said):
        check_guidance(Recipe(**({"rule": C - EPS, "times": TIMES, "weight": "uniform"} | slots)))


def test_the_small_prior_serves_every_branch():
    assert set(small_prior().info.branches) == {"y", "null", "neg", "src"}
