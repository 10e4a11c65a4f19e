"""Localised update score distillation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.core import schedules

from ..extra import Pull
from ..options import GuidanceOptions, PostOptions, SpreadOptions, TimesOptions
from ..recipe import Recipe
from ..rules import C, plain
from ..step_options import MaskOptions, RetryOptions, StepOptions


class Options(GuidanceOptions):
    """Localised update score distillation (LUSD): editing."""

    method: Literal["lusd"] = "lusd"
    """Name of the method."""
    pull: float = Field(default=0.02, ge=0.0, lt=1.0)
    """lambda: share of z - z_src in the gradient."""
    weight: Literal["uniform", "sigma2", "kappa"] = "uniform"
    """w(t) on the epsilon-residual."""
    times: TimesOptions = TimesOptions(low=schedules.constant(0.05), high=schedules.constant(0.948))
    """How noisy the states are."""
    residual_post: tuple[StepOptions, ...] = (MaskOptions(),)
    """Steps on the residual of all views before the weight; mask confines the edit where the prior has attention."""
    post: tuple[PostOptions, ...] = (SpreadOptions(),)
    """Steps on the gradient; spread sets its standard deviation, 0.149 at the beginning and 0.011 at the end."""
    retry: RetryOptions | None = RetryOptions()
    """Which draws count; null takes the first one."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with the retried draws; the residual carries 1 - lambda, and so does the threshold."""
        retry = None if self.retry is None else self.retry.build(1.0 - self.pull)
        return super().slots() | {"retry": retry}


def lusd(options: Options) -> Recipe:
    """LUSD: the direction from the source's words to the target's, confined, pulled back, and of a set length.

        d = eps_phi(z_t; y_tgt, t) - eps_phi(z_t; y_src, t)   at one z_t,   t and eps drawn anew while std(d) is small
        g' = (1 - lambda) M d + lambda ( z - z_src ),   g = rho_i g' / std(g')
        M = beta minmax( A_self A_cross[edited words] ) + (1 - beta),   averaged over steps

    Source: "LUSD: Localized Update Score Distillation for Text-Guided Image Editing", Chinchuthakun et al. 2025
    (ICCV), arXiv 2503.11054; formula and numbers read in the authors' code, no eq. of the paper was checked.
    Published for one picture: here std is taken over all views for the threshold and over each for the length, and M
    is averaged where the same view comes again.

    Defaults: lambda = 0.02, threshold 0.01 (times 0.99 at each rejection, at most 10 draws), beta from 0 to 1,
    momentum 0.9, rho from 0.149 to 0.011 along a sigmoid, w = 1, t in [0.05, 0.948].
    Cost: 2 predictions a view and try, and 1 for the mask; needs the source's views and a source prompt; nothing is
    trained.
    Pitfalls: the length of a step does not depend on how much is left to do, so that the learning rate and the number
    of steps set how far it goes. Equal prompts reject every draw, and what is left is the pull.
    """
    keep = 1.0 - options.pull
    pull = (Pull(schedules.constant(options.pull)),)
    return Recipe(rule=keep * (C - plain("src")), extra=pull, **options.slots())
