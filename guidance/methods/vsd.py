"""Variational score distillation."""

from __future__ import annotations

from typing import Literal

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..critic_options import CriticOptions
from ..options import GuidedOptions, TimesOptions
from ..recipe import Recipe
from ..rules import guided, learned


class Options(GuidedOptions):
    """Variational score distillation (ProlificDreamer)."""

    method: Literal["vsd"] = "vsd"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale s in eps_null + s (eps_y - eps_null); the critic has none."""
    times: TimesOptions = TimesOptions(
        high=schedules.parse({"piecewise": [[0, 0.98], [0.2, 0.98], [0.201, 0.5]]})
    )
    """How noisy the states are; the upper bound falls after a fifth of the run."""
    critic: CriticOptions = CriticOptions()
    """The network that learns what the renders look like."""


def vsd(options: Options) -> Recipe:
    """VSD: the prior's guided prediction against that of a critic which learns the law of the renders.

        grad_theta L_VSD = E_{t, eps, c} [ w(t) ( eps_pretrain(x_t, t, y) - eps_phi(x_t, t, c, y) ) dg/dtheta ]
        phi by one step on E_{t, eps} | eps_phi(alpha_t g(theta, c) + sigma_t eps, t, c, y) - eps |^2 a step

    Its fixed point is q = p, the law of the renders equal to the prior's: with the exact eps_phi every single residual
    is zero there. n particles are n objects, views with n group numbers, and share the critic.

    Source: "ProlificDreamer: High-Fidelity and Diverse Text-to-3D Generation with Variational Score Distillation",
    Wang et al. 2023, arXiv 2305.16213, eq. 7 and 9, §3.2 (numbers are those of the authors' code). There the change
    sits in the attention layers of a second, v-predicting network; here in all layers of the prior's own, with the
    error squared in its own prediction. Equation and section numbers were not checked against the paper.

    Defaults: s = 7.5, w = sigma^2, t in [0.02, 0.98], [0.02, 0.5] after a fifth of the run; LoRA of rank 4, AdamW 1e-4,
    one update a step, camera left out in a tenth of its views.
    Cost: 3 predictions a view, and the training step: a forward and a backward of the network; the memory of its
    activations.
    Pitfalls: a critic that knows each view exactly says the noise itself, and VSD is SDS: what it does comes from its
    limited capacity and lag, so that its lr, rank and number of updates matter. It lags where the object learns fast.
    Guidance on the critic too would move the fixed point off the prior.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - learned()
    return Recipe(rule=rule, critic=options.critic.build(), **options.slots())
