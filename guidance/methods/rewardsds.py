"""Reward-weighted score distillation sampling."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules
from sds3d.core.errors import ConfigError

from ..draws import Strategy
from ..options import GuidedOptions
from ..predictions import CFG, Guided
from ..recipe import Recipe
from ..rewards import OfPictures, RewardWeights
from ..rules import EPS, guided


class Options(GuidedOptions):
    """Reward-weighted score distillation sampling (RewardSDS)."""

    method: Literal["rewardsds"] = "rewardsds"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(100.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    draws: int = Field(default=7, ge=1, le=64)
    """N, noise draws a view that the reward chooses among."""
    reward: Literal["scorer", "clip", "pickscore", "hpsv2", "aesthetic", "image_reward"] = "scorer"
    """Who judges: the bundled scorer, or a model whose weights are on this disk."""
    reward_model: str = ""
    """Folder or repository of the reward's weights in place of the usual one."""
    strategy: Literal["minmax", "best", "softmax", "random", "all"] = "minmax"
    """How rewards become weights."""
    normalise: Literal["mean_groups", "over_n", "sum_to_one"] = "mean_groups"
    """mean_groups: the authors' code; over_n: the paper's 1/N; sum_to_one: the step size of plain SDS."""
    top: int = Field(default=2, ge=1)
    """minmax: how many of the best are followed."""
    bottom: int = Field(default=2, ge=0)
    """minmax: how many of the worst are avoided."""
    high: float = Field(default=0.9, ge=0.0)
    """minmax: weight of the best."""
    low: float = Field(default=0.1, ge=0.0)
    """minmax: weight of the worst, subtracted."""
    temperature: float = Field(default=1.0, gt=0.0)
    """softmax: of rewards over this; the authors' code has 1."""
    rollout_steps: int = Field(default=15, ge=1, le=1000)
    """S: DDIM steps over the whole range to the clean sample that is judged; 1 takes x0 at t."""
    rollout_scale: Scalar = schedules.constant(7.5)
    """Guidance scale on that way."""
    until: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the run in which the reward counts; plain SDS with one draw after it."""
    joint: bool = False
    """Rank the views of an object together, by the sum of their rewards."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with the draws weighted by the reward."""
        strategy = Strategy(
            self.strategy, self.normalise, self.top, self.bottom, self.high, self.low, self.temperature
        )
        if self.draws < strategy.least():
            raise ConfigError(
                f"the {self.top} best and {self.bottom} worst need {strategy.least()} draws, got {self.draws}.",
                key="guidance.draws",
            )
        weights = RewardWeights(
            OfPictures(self.reward, self.reward_model),
            strategy,
            Guided(CFG(self.rollout_scale), self.build_transforms()),
            self.rollout_steps,
            self.until,
            self.joint,
            self.times.scale,
        )
        return super().slots() | {"draw_weights": weights}


def rewardsds(options: Options) -> Recipe:
    """RewardSDS: SDS over those draws of noise that a reward prefers.

        grad_theta L = w(t) sum_i a_i ( eps_hat_phi(x_t,i; y, t) - eps_i ) dx/dtheta
        x_t,i = alpha_t x + sigma_t eps_i
        R_i = R( decode(x0_hat,i), y ),   x0_hat,i by S steps of DDIM from x_t,i
        a_i = 0.9 / 2 for the two best, -0.1 / 2 for the two worst, 0 for the others

    Source: "RewardSDS: Aligning Score Distillation via Reward-Weighted Sampling", Chachy et al. 2025,
    arXiv 2503.09601, eq. 4; the paper divides 0.9 and -0.1 by N (normalise: over_n), the authors' code takes means
    of both groups, five times as much at N = 10. Checked here with a linear reward on Gaussian priors, where the
    expectation is one of order statistics.

    Defaults: N = 7, S = 15, s = 100 (7.5 on the way to the sample), w = sigma^2, t in [0.02, 0.98], the bundled
    scorer, in the first half of the run.
    Cost: 2 N ceil(15 t) predictions a view (105 on average), N decodings and rewards; 2 predictions in the second half.
    Pitfalls: weights that do not add up to 1 change the step size. Rewards get hacked in long runs. The scorer that
    steers must not judge the result.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - EPS
    return Recipe(rule=rule, **options.slots())
