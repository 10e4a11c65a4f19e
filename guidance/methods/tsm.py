"""Trajectory score matching."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..recipe import Recipe
from ..rules import guided, plain
from . import ism


class Options(ism.Options):
    """Trajectory score matching (Dreamer-XL)."""

    method: Literal["tsm"] = "tsm"  # type: ignore[assignment]
    """Name of the method."""
    mu: float = Field(default=0.3, ge=0.0, le=1.0)
    """Where between s and t the reference lies: the paper's gamma = 0.3; the authors' code has 0.954."""


def tsm(options: Options) -> Recipe:
    """TSM: as ISM, but the reference lies between s and t, on the same start of the trajectory.

        grad_theta L_TSM = E_t [ w(t) ( eps_phi(x_t; y, t) - eps_phi(x_mu; null, mu) ) dx/dtheta ]
        x_mu, x_t = DDIM(x_s, s -> mu and t; eps_phi(x_s; null, s)),   mu = s + rho (t - s)

    Source: "Dreamer XL: Towards High-Resolution Text-to-3D Generation via Trajectory Score Matching", Miao et
    al. 2024, arXiv 2405.11252, §4. Paper and code differ: mu = s + gamma (t - s) with gamma = 0.3 against
    round(s + (t - s) sqrt(1 - gamma^2)), that is rho = 0.954; both are this one number. The paper's inversion
    equations exchange sqrt(alpha_bar) and sqrt(1 - alpha_bar); the standard DDIM move is meant. The section
    number was not checked.

    Defaults: rho = 0.3, everything else as ISM. rho = 0 is ISM bit for bit; rho = 1 is s times CSD on inverted noise.
    Cost: ISM + 1 prediction a view; nothing is trained.
    Pitfalls: those of ISM.
    """
    rule = guided(options.build_combiner(), options.build_transforms()) - plain("null", at="mu")
    return Recipe(rule=rule, noise=options.inversion(options.mu), **options.slots())
