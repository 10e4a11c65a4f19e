"""Reward-weighted score distillation sampling."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..options import GuidedOptions
from ..recipe import Recipe
from ..reward_options import RewardField, RewardOptions
from ..rules import EPS, guided


class Options(GuidedOptions):
    """Reward-weighted score distillation sampling (RewardSDS)."""

    method: Literal["rewardsds"] = "rewardsds"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(100.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null)."""
    draws: int = Field(default=7, ge=1, le=64)
    """N, noise draws a view that the reward chooses among."""
    reward: RewardField = RewardOptions()
    """Who judges the draws, and how much of a say it has."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with the draws weighted by the reward."""
        weights = self.reward.build(self.draws, self.build_transforms(), self.times.scale)
        return super().slots() | {"draw_weights": weights}


def rewardsds(options: Options) -> Recipe:
    """RewardSDS: SDS over those draws of noise that a reward prefers.

        grad_theta L = w(t) sum_i a_i ( eps_hat_phi(x_t,i; y, t) - eps_i ) dx/dtheta
        x_t,i = alpha_t x + sigma_t eps_i
        R_i = R( decode(x0_hat,i), y ),   x0_hat,i by S steps of DDIM from x_t,i
        a_i = 0.9 / 2 for the two best, -0.1 / 2 for the two worst, 0 for the others

    Source: "RewardSDS: Aligning Score Distillation via Reward-Weighted Sampling", Chachy et al. 2025,
    arXiv 2503.09601, eq. 4; the paper divides 0.9 and -0.1 by N (reward.normalise: over_n), the authors' code takes
    means of both groups, five times as much at N = 10. Checked here with a linear reward on Gaussian priors, where the
    expectation is one of order statistics.

    Defaults: N = 7, S = 15, s = 100 (7.5 on the way to the sample), w = sigma^2, t in [0.02, 0.98], the bundled
    scorer, in the first half of the run.
    Cost: 2 N ceil(15 t) predictions a view (105 on average), N decodings and rewards; 2 predictions in the second half.
    Pitfalls: weights that do not add up to 1 change the step size. Rewards get hacked in long runs. The scorer that
    steers must not judge the result.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - EPS
    return Recipe(rule=rule, **options.slots())
