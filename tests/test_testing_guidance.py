"""The check for third parties: all of our methods pass it, broken ones do not, and a toy method is a few lines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from audio_cases import ExactSounds
from sds3d.guidance.catalogue import method
from sds3d.guidance.noise import Iid
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import GROUP, PACKAGE
from sds3d.guidance.rules import EPS, C, U, learned
from sds3d.guidance.states import noised
from sds3d.guidance.times import Times

from sds3d.config.kinds import modules
from sds3d.core.schedules import constant
from sds3d.core.streams import Streams
from sds3d.priors.noise_schedule import NoiseSchedule
from sds3d.testing.guidance import check_guidance
from sds3d.testing.small_prior import small_prior

NAMES = [name for name in modules(PACKAGE, GROUP, "method") if name != "audiosds"]
REWARD = {"draws": 2, "reward": {"rollout_steps": 1, "until": 1.0, "top": 1, "bottom": 1}}
SMALL = {"dataset_update": {"every": 1, "moves": 2, "cfg_scale": 1.0}}
TIMES = Times(constant(0.02), constant(0.98), "sd", None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", [None, NoiseSchedule("rf")], ids=["vp", "rf"])
def test_every_method_passes(name, schedule):
    small = REWARD if name.startswith("reward") else SMALL.get(name, {})
    guidance = check_guidance({"method": name} | small, small_prior(schedule))
    assert ("critic" in guidance.init(Streams(0))) == (name in ("vsd", "esd", "rewardvsd"))


def test_a_method_of_sounds_passes():
    prior = ExactSounds(torch.zeros(64), 0.01 * torch.eye(64))
    guidance = check_guidance({"method": "audiosds", "windows": [16, 32], "moves": 2}, prior)
    assert guidance.needs.media == {"audio"}


def test_a_toy_method():
    """A method of one's own is a rule and three choices."""
    toy = Recipe(rule=2.0 * (C - U) + 0.1 * (U - EPS), times=TIMES, weight="kappa")
    assert check_guidance(toy).needs.branches == {"y", "null"}


METHOD = '''
"""A third party's method."""

from typing import Literal

from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.rules import EPS, C, U


class Options(GuidanceOptions):
    """Toy distillation."""

    method: Literal["toy"] = "toy"
    """Name of the method."""
    push: float = 2.0
    """Factor on the prompt's direction."""


def toy(options: Options) -> Recipe:
    """Toy: the prompt's direction, and a little of the way back."""
    return Recipe(rule=options.push * (C - U) + 0.1 * (U - EPS), **options.slots())
'''
MOST_LINES = 15


def test_a_third_partys_method_is_fifteen_lines(tmp_path, monkeypatch):
    """Installed beside us: found by its entry point, taken from YAML, checked, explained."""
    code = [line for line in METHOD.splitlines() if line.strip()]
    assert len(code) <= MOST_LINES
    (tmp_path / "toy_method.py").write_text(METHOD)
    about = tmp_path / "toy_method-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-method\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\ntoy = toy_method\n")
    monkeypatch.syspath_prepend(tmp_path)
    modules.cache_clear()
    try:
        guidance = check_guidance({"method": "toy", "push": 3.0, "weight": "kappa"})
        assert guidance.needs.branches == {"y", "null"}
        told = method("toy")
        assert told.title.startswith("Toy: the prompt's direction")
        assert ("push", 2.0, "Factor on the prompt's direction.") in told.options
    finally:
        modules.cache_clear()


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


@dataclass
class Deaf:
    """A critic that never learns."""

    trains: int = 0

    def bind(self, prior):
        self.prior = prior
        return self

    def init(self, streams):
        return {"told": 0}

    def predict(self, memory, state, views, told):
        return self.prior.predict(state.z_t, state.t, views.cond["null"])

    def learn(self, memory, views, now):
        return memory

    def numbers(self, memory):
        return {}


@dataclass(frozen=True)
class Broken:
    """A post step that spoils the gradient."""

    how: str

    def __call__(self, g, progress):
        if self.how == "global":
            torch.rand(1)
            return g
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
        ({"post": (Broken("global"),)}, "torch's own generator"),
        ({"rule": C - learned(), "critic": Deaf()}, "the critic learns nothing"),
    ],
)
def test_broken_ones_do_not(slots, said):
    with pytest.raises(AssertionError, match=said):
        check_guidance(Recipe(**({"rule": C - EPS, "times": TIMES, "weight": "uniform"} | slots)))


def test_the_small_prior_serves_every_branch():
    assert set(small_prior().info.branches) == {"y", "null", "neg", "src"}
