"""Posterior distillation sampling."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..extra import PosteriorPull
from ..noise import Paired
from ..options import TimesOptions
from ..recipe import Recipe
from ..weights import Posterior
from . import dds


class Options(dds.Options):
    """Posterior distillation sampling: editing."""

    method: Literal["pds"] = "pds"  # type: ignore[assignment]
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(100.0)
    """Guidance scale s of both predictions."""
    weight: Literal["posterior"] = "posterior"  # type: ignore[assignment]
    """chi(t) of the formula; nothing else belongs to this method."""
    times: TimesOptions = TimesOptions()
    """How noisy the states are."""
    gap: int = Field(default=2, ge=2)
    """Steps between t and the next time r of the sampler's grid, in thousandths; at 1 the pull vanishes."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with the weight chi(t)."""
        return super().slots() | {"weight": Posterior(self.gap)}


def pds(options: Options) -> Recipe:
    """PDS: match the stochastic latents of the sampler's posterior between render and source.

        grad_theta L_PDS = E [ ( zeta_t(z; y_tgt) - zeta_t(z_src; y_src) ) dz/dtheta ]
                         = E [ ( psi(t) (z - z_src) + chi(t) delta_t ) dz/dtheta ]
        delta_t = eps_phi^s(z_t; y_tgt) - eps_phi^s(z_src,t; y_src)

    Source: "Posterior Distillation Sampling", Koo et al. 2023 (CVPR 2024), arXiv 2311.13831, §4; the second
    form is exact (the noise at r cancels). psi is not zero only because the released code steps by r = t - 2
    on a 500-step grid while beta stays that of one step of 1000; this is kept (weights.posterior_factors).
    The section number was not checked.

    Defaults: s = 100, gap 2, t in [0.02, 0.98].
    Cost: 4 predictions a view; needs the source's views and a source prompt; nothing is trained.
    Pitfalls: with the weights exposed this is DDS plus a pull to the source.
    """
    pull = (PosteriorPull(options.gap),)
    return Recipe(rule=options.delta(), noise=Paired(), extra=pull, **options.slots())
