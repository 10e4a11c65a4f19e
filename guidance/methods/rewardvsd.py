"""Reward-weighted variational score distillation."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..critic_options import CriticOptions
from ..recipe import Recipe
from ..rules import guided, learned
from . import rewardsds


class Options(rewardsds.Options):
    """Reward-weighted variational score distillation (RewardVSD)."""

    method: Literal["rewardvsd"] = "rewardvsd"  # type: ignore[assignment]
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale s in eps_null + s (eps_y - eps_null); the critic has none."""
    critic: CriticOptions = CriticOptions(lr=3e-4)
    """The network that learns what the renders look like."""


def rewardvsd(options: Options) -> Recipe:
    """RewardVSD: VSD over those draws of noise that a reward prefers.

        grad_theta L = w(t) sum_i a_i ( eps_hat_phi(x_t,i; y, t) - eps_psi(x_t,i; y, t, c) ) dx/dtheta

    with x_t,i and a_i as in RewardSDS and the critic eps_psi as in VSD, trained once a step on renders of any weight.

    Source: "RewardSDS: Aligning Score Distillation via Reward-Weighted Sampling", Chachy et al. 2025,
    arXiv 2503.09601, §4; numbers from the authors' code. Checked here: zero in every draw where q = p.
    The section number was not checked.

    Defaults: N = 7, S = 15, s = 7.5, w = sigma^2, t in [0.02, 0.98], critic's rate 3e-4, the bundled scorer, in the
    first half of the run.
    Cost: 2 N ceil(15 t) predictions a view, one of the critic a draw that counts, its training step, N decodings
    and rewards.
    Pitfalls: those of RewardSDS and of VSD.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - learned()
    return Recipe(rule=rule, critic=options.critic.build(), **options.slots())
