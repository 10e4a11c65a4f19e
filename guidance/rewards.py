"""Draws of noise weighted by what a reward says about where each of them leads (RewardSDS, arXiv 2503.09601)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.priors.base import Prediction, Prior
from sds3d.priors.rewards import PictureReward, load_reward

from .base import Log, Moment, Views
from .calls import Calls
from .draws import Strategy
from .predictions import Guided
from .states import Noisy, ddim
from .times import from_scale, to_scale


class Reward(Protocol):
    """How good a clean sample is; higher is better."""

    def check(self) -> None:
        """Have the model, before step 0; raises an Sds3dError where it cannot be had."""
        ...

    def __call__(self, x0: Tensor, views: Views, prior: Prior) -> Float[Tensor, " b"]:
        """(B, C, h, w) clean samples of these views -> (B,)."""
        ...


@dataclass(frozen=True)
class OfPictures:
    """A reward model's word on the decoded sample and the prompt; loaded once.

    Args:
        kind: one of priors.rewards.KINDS. model: folder or repository in place of the default.
    """

    kind: str = "scorer"
    model: str = ""

    def check(self) -> None:
        """Load the model."""
        _loaded(self.kind, self.model)

    def __call__(self, x0: Tensor, views: Views, prior: Prior) -> Float[Tensor, " b"]:
        if not views.prompt:
            raise ConfigError(
                "a reward compares with the prompt in words, and these views have none.",
                key="guidance.method",
            )
        pictures = prior.decode(x0).clamp(0.0, 1.0)
        return _loaded(self.kind, self.model)(pictures, [views.prompt] * len(pictures)).to(x0.device)


@cache
def _loaded(kind: str, model: str) -> PictureReward:
    return load_reward(kind, model)


@dataclass(frozen=True, eq=False)
class LinearReward:
    """direction . x0: what the closed forms know.

    Args:
        direction: shape of one x0.
    """

    direction: Tensor

    def check(self) -> None:
        """Nothing to load."""

    def __call__(self, x0: Tensor, views: Views, prior: Prior) -> Float[Tensor, " b"]:
        return (x0 * self.direction.to(x0)).flatten(1).sum(1)


@dataclass(frozen=True)
class RewardWeights:
    """Each draw is followed to a clean sample, which the reward judges; the strategy makes weights of the rewards.

    After the share `until` of the run a single draw counts, and nothing is judged any more.

    Args:
        reward: the judge. strategy: rewards -> weights. guess: guidance on the way to the clean sample.
        steps: the way's times are t and the k / steps below it, on `scale`; 1 takes x0 at t itself.
        joint: the rewards of one object's views are added up, and they share the ranking.
    """

    reward: Reward
    strategy: Strategy
    guess: Guided
    steps: int = 1
    until: float = 1.0
    joint: bool = False
    scale: str = "sd"

    def count(self, progress: float, draws: int) -> int:
        """All draws in the reward's part of the run, then one."""
        return draws if progress < self.until else 1

    def check(self) -> None:
        """Load the reward's model if it is asked at all."""
        if self.strategy.ranks and self.until > 0.0:
            self.reward.check()

    def __call__(
        self, draws: Sequence[dict[str, Noisy]], views: Views, now: Moment, calls: Calls
    ) -> tuple[Float[Tensor, "n b"], Log]:
        if len(draws) == 1:
            return torch.ones(1, len(views.z), dtype=torch.float64, device=views.z.device), {}
        ids = now.groups if self.joint else now.ids
        u = now.streams.uniform((), "guidance-choice", step=now.step, ids=ids)
        if not self.strategy.ranks:
            blank = torch.zeros(len(draws), len(views.z), dtype=torch.float64, device=views.z.device)
            return self.strategy(blank, u), {}
        ends = rollout(
            [d["t"] for d in draws], self.guess, self.steps, self.scale, now.progress, calls, views
        )
        rewards = torch.stack([self.reward(x0, views, calls.prior) for x0 in ends]).double()
        if self.joint:
            rewards = _added_up(rewards, now.groups)
        log: Log = {"reward": float(rewards.mean()), "reward_best": float(rewards.amax(0).mean())}
        return self.strategy(rewards, u), log


def rollout(
    states: Sequence[Noisy],
    guess: Guided,
    steps: int,
    scale: str,
    progress: float,
    calls: Calls,
    views: Views,
) -> list[Tensor]:
    """Follow each state down to a clean sample by DDIM; all in one batch a step.

    The first prediction is asked at the states themselves, so that a rule that reads them there pays nothing more;
    ceil(t steps) predictions of each branch on the whole, a row that has arrived waiting for the others.

    Args:
        states: of the same times. steps: see RewardWeights.

    Returns:
        One x0 (B, C, h, w) a state.
    """
    schedule = calls.schedule
    here = to_scale(states[0].t, schedule, scale)
    arrived = torch.zeros_like(here, dtype=torch.bool)
    ends, moving = [torch.zeros_like(views.z) for _ in states], list(states)
    while True:
        told = _guided(moving, guess, progress, calls)
        below = torch.ceil(here * steps - 1.0 - 1e-9) / steps
        last = (below <= 0.0) & ~arrived
        ends = [torch.where(_rows(last, p.x0), p.x0, end) for p, end in zip(told, ends, strict=True)]
        arrived = arrived | last
        if bool(arrived.all()):
            return ends
        here = torch.where(arrived, here, below)
        t = from_scale(here, schedule, scale)
        moving = [ddim(s, p, t, schedule, views.z) for s, p in zip(moving, told, strict=True)]


def _guided(states: Sequence[Noisy], guess: Guided, progress: float, calls: Calls) -> list[Prediction]:
    """The guided predictions at all states, asked in one batch."""
    branches = guess.conditions(progress)
    found = calls.ask((state, branch) for state in states for branch in branches)
    return [guess.evaluate({b: found[s, b] for b in branches}, s, progress) for s in states]


def _rows(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (like.ndim - 1)).to(like.device)


def _added_up(rewards: Float[Tensor, "n b"], groups: Sequence[int]) -> Float[Tensor, "n b"]:
    """Every view's rewards replaced by the sum over the views of its object."""
    ids = torch.tensor(groups, device=rewards.device)
    return rewards @ (ids[:, None] == ids[None, :]).to(rewards)
