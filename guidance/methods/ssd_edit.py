"""Stable score distillation, the editing method of 2025."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..edit_options import TripleOptions
from ..noise import Paired
from ..options import TimesOptions
from ..recipe import Recipe
from ..reverse_process import TimedPull
from ..rules import C, Linear, U, guided, plain

_INSTRUCT = {"image_scale": 1.5, "times": {"low": {"linear": [0.9, 0.2]}, "high": {"linear": [0.9, 0.2]}}}
"""What the published variant on InstructPix2Pix sets otherwise."""


class Options(TripleOptions):
    """Stable score distillation (SSD): editing with one guidance scale for each aim."""

    method: Literal["ssd_edit"] = "ssd_edit"
    """Name of the method."""
    variant: Literal["words", "instruct"] = "words"
    """words: target and source told by prompts; instruct: InstructPix2Pix's triple against no words on the source."""
    image_scale: Scalar = schedules.constant(2.0)
    """s_img: how strongly the source is kept; 1.5 with `variant: instruct`."""
    enhance_scale: Scalar = schedules.constant(5.5)
    """s_enh on the prompt's own direction; 7.5 was published for styles. Not part of `variant: instruct`."""
    weight: Literal["uniform", "sigma2", "kappa"] = "uniform"
    """w(t) on the epsilon-residual."""
    times: TimesOptions = TimesOptions(
        low=schedules.parse({"linear": [0.98, 0.02]}), high=schedules.parse({"linear": [0.98, 0.02]})
    )
    """How noisy the states are: one time that comes down; from 0.9 to 0.2 with `variant: instruct`."""
    pull: float = Field(default=0.075, ge=0.0)
    """Factor on e^tau (z_t - z_src,t)."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_variant(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("variant") != "instruct":
            return data
        return {**_INSTRUCT, **data}

    def rule(self) -> Linear:
        """Cross-trajectory, cross-prompt and prompt enhancement; or the triple minus u on the source."""
        if self.variant == "instruct":
            return guided(self.triple()) - plain("null", at="src")
        source = plain("src")
        return (
            self.image_scale * (0.5 * (source - plain("null", at="src")))
            + self.cfg_scale * (0.5 * (C - source))
            + self.enhance_scale * (C - U)
        )


def ssd_edit(options: Options) -> Recipe:
    """SSD-edit: three differences of predictions, each with a scale of its own, and a pull to the source.

        g = s_img / 2 ( eps(z_t; y_src) - eps(z_src,t; 0) ) + s / 2 ( eps(z_t; y_tgt) - eps(z_t; y_src) )
            + s_enh ( eps(z_t; y_tgt) - eps(z_t; 0) ) + lambda e^tau ( z_t - z_src,t ),   tau = t / T

    Source: "Stable Score Distillation", Zhu et al. 2025 (ICCV), arXiv 2507.09168; formula and numbers read in the
    authors' code, no eq. of the paper was checked.

    Defaults: s = 7.5, s_img = 2, s_enh = 5.5, lambda = 0.075, w = 1, t from 0.98 to 0.02 linearly.
    Cost: 4 predictions a view; needs the source's views and a source prompt; nothing is trained.
    Pitfalls: equal prompts do not leave the source in peace: at z = z_src the residual is (s_img / 2 + s_enh) (eps_y -
    eps_null). Only empty prompts, or s_img = s_enh = 0, make it zero.
    """
    pull = (TimedPull(options.pull, noised=True),)
    return Recipe(rule=options.rule(), noise=Paired(), extra=pull, **options.slots())
