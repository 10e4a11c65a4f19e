"""Options of a guidance as they stand in a config.

    guidance: sds
    guidance: {method: sds, cfg_scale: 5, weight: kappa, transforms: [{rescale: 0.5, space: x0}, clamp_x0],
               times: {high: {sqrt: [0.98, 0.5]}, low: {sqrt: [0.6, 0.02]}, scale: native}}

Every method has its own option class (`Options` in its file) with its own defaults; these are their bases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from sds3d.config.options import Options, Scalar, held
from sds3d.core import schedules
from sds3d.core.errors import ConfigError

from .dreamtime import DreamTime
from .guiders import Guider, PerpNeg
from .post import ClipNorm, ClipPixels, ClipValue, ImagePost, Post, Spread, UnitNorm
from .predictions import CFG, ClampX0, Combiner, Rescale, Transform
from .step_options import StepOptions
from .times import LAWS, Times
from .triple import Triple


class TimesOptions(Options):
    """How noisy the states are that the prior is shown: t is uniform between two bounds, unless `law` says else."""

    law: Literal["uniform", "two_stage", "linear", "hifa", "ism", "cfd", "dreamtime"] = "uniform"
    """Published laws fill in `low` and `high` where they are left out (see times.LAWS): hifa and cfd are one falling
    t, two_stage, linear and ism lower the bounds; dreamtime lets t fall through a density between low and high."""
    low: Scalar = schedules.constant(0.02)
    """Lower bound of t in [0, 1]; a schedule anneals it."""
    high: Scalar = schedules.constant(0.98)
    """Upper bound of t in [0, 1], 1 = pure noise; a schedule anneals it."""
    scale: Literal["sd", "native"] = "sd"
    """`sd`: Stable Diffusion 1.x times, carried to other priors at equal noise; `native`: the prior's own."""
    shared: bool | None = None
    """One t for all views of an object; by default only where the prior needs it."""
    plateau: tuple[float, float] = (0.5, 0.8)
    """dreamtime: where the density of t is highest."""
    spread: tuple[float, float] = (0.1, 0.3)
    """dreamtime: how far the density reaches below and above the plateau."""
    by_noise: bool = True
    """dreamtime: multiply the density by sigma / alpha."""

    @model_validator(mode="before")
    @classmethod
    def _bounds_of_the_law(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("law"), str):
            return data
        return {**LAWS.get(data["law"], {}), **data}

    @model_validator(mode="after")
    def _density_is_dreamtimes(self) -> TimesOptions:
        for name in ("plateau", "spread", "by_noise"):
            if self.law != "dreamtime" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} shapes the density of `law: dreamtime`; the law is {self.law}")
        return self

    @model_validator(mode="after")
    def _bounds_in_order(self) -> TimesOptions:
        try:
            Times(self.low, self.high, self.scale, self.shared).check_order()
        except ConfigError as error:
            raise ValueError(error.message) from error
        return self

    def build(self) -> Times:
        """The slot."""
        if self.law == "dreamtime":
            return DreamTime(
                self.low, self.high, self.scale, self.shared, self.plateau, self.spread, self.by_noise
            )
        return Times(self.low, self.high, self.scale, self.shared)


class RescaleOptions(Options):
    """Give the guided prediction back the spread of the conditional one (CFG rescale)."""

    rescale: float = Field(ge=0.0, le=1.0)
    """Share of the rescaled prediction in the mix."""
    space: Literal["x0", "eps"]
    """Where the spread is measured; the two differ."""

    def build(self) -> Transform:
        """The transform."""
        return Rescale(self.rescale, self.space)


class ClampX0Options(Options):
    """Clamp the predicted clean image."""

    clamp_x0: float = Field(default=1.0, gt=0.0)
    """Largest absolute value; pixels of a pixel prior lie in [-1, 1]."""

    def build(self) -> Transform:
        """The transform."""
        return ClampX0(self.clamp_x0)


class ClipValueOptions(Options):
    """Clip every element of the gradient."""

    clip_value: Scalar
    """Largest absolute value."""

    def build(self) -> Post:
        """The post step."""
        return ClipValue(self.clip_value)


class ClipNormOptions(Options):
    """Clip the L2 norm of the gradient."""

    clip_norm: Scalar
    """Largest norm."""
    over: Literal["view", "batch"] = "view"
    """Whose norm."""

    def build(self) -> Post:
        """The post step."""
        return ClipNorm(self.clip_norm, self.over)


class UnitNormOptions(Options):
    """Scale the gradient to L2 norm 1."""

    unit_norm: Literal["view", "batch"] = "batch"
    """Whose norm."""

    def build(self) -> Post:
        """The post step."""
        return UnitNorm(self.unit_norm)


class SpreadOptions(Options):
    """Scale each view's gradient to a standard deviation that falls along a sigmoid."""

    spread: float = Field(default=0.15, gt=0.0)
    """Standard deviation at the beginning, nearly."""
    low: float = Field(default=0.01, gt=0.0)
    """That at the end, nearly."""
    speed: float = Field(default=5.0, ge=0.0)
    """The sigmoid runs from -speed to speed over the run."""

    def build(self) -> Post:
        """The post step."""
        return Spread(self.spread, self.low, self.speed)


class ClipPixelsOptions(Options):
    """Clip the gradient of the rendered picture pixel by pixel."""

    clip_pixels: Scalar = schedules.constant(0.05)
    """Largest absolute value over a pixel's channels; its direction is kept."""

    def build(self) -> ImagePost:
        """The step."""
        return ClipPixels(self.clip_pixels)


TRANSFORMS = ("rescale", "clamp_x0")
POSTS = ("clip_value", "clip_norm", "unit_norm", "spread")


def _word(value: Any) -> Any:
    """A bare word stands for the step with its defaults: `clamp_x0` is `{clamp_x0: 1.0}`."""
    words = {"clamp_x0": ClampX0Options(), "unit_norm": UnitNormOptions(), "spread": SpreadOptions()}
    return words.get(value, value) if isinstance(value, str) else value


def _which_transform(value: Any) -> str | None:
    return held(TRANSFORMS, value)


def _which_post(value: Any) -> str | None:
    return held(POSTS, value)


TransformOptions = Annotated[
    Annotated[RescaleOptions, Tag("rescale")] | Annotated[ClampX0Options, Tag("clamp_x0")],
    Discriminator(
        _which_transform,
        custom_error_type="unknown_transform",
        custom_error_message=f"expected a mapping with one of the keys {', '.join(TRANSFORMS)}",
    ),
    BeforeValidator(_word),
]
"""One transform of a guided prediction."""

PostOptions = Annotated[
    Annotated[ClipValueOptions, Tag("clip_value")]
    | Annotated[ClipNormOptions, Tag("clip_norm")]
    | Annotated[UnitNormOptions, Tag("unit_norm")]
    | Annotated[SpreadOptions, Tag("spread")],
    Discriminator(
        _which_post,
        custom_error_type="unknown_post_step",
        custom_error_message=f"expected a mapping with one of the keys {', '.join(POSTS)}",
    ),
    BeforeValidator(_word),
]
"""One step of gradient post-processing."""

ImagePostOptions = Annotated[
    ClipPixelsOptions, BeforeValidator(lambda v: ClipPixelsOptions() if v == "clip_pixels" else v)
]
"""One step on the gradient of the rendered picture; the bare word takes the published limit."""


class GuidanceOptions(Options):
    """What every method has."""

    method: str
    """Name of the method."""
    weight: Literal["sigma2", "uniform", "kappa", "inv_kappa", "fantasia", "hifa", "rf_uniform"] = "sigma2"
    """w(t) on the epsilon-residual: sigma^2, 1, sigma / alpha (the gradient of an x0 loss), and others; see weights."""
    times: TimesOptions = TimesOptions()
    """How noisy the states are that the prior is shown."""
    draws: int = Field(default=1, ge=1, le=64)
    """Noise draws a view, averaged; each costs its own predictions."""
    post: tuple[PostOptions, ...] = ()
    """Steps on the gradient, in order: clip_value, clip_norm, unit_norm, spread."""
    residual_post: tuple[StepOptions, ...] = ()
    """Steps on the residual of all views before the weight, in order: stein couples the views, mask confines an
    edit."""
    image_post: tuple[ImagePostOptions, ...] = ()
    """Steps on the gradient that arrives at the rendered picture, behind the encoder: {clip_pixels: 0.05}."""

    def slots(self) -> dict[str, Any]:
        """The recipe's slots that every method shares: keyword arguments of Recipe."""
        return {
            "times": self.times.build(),
            "weight": self.weight,
            "draws": self.draws,
            "post": tuple(p.build() for p in self.post),
            "residual_post": tuple(s.build() for s in self.residual_post),
            "image_post": tuple(p.build() for p in self.image_post),
        }


class GuiderOptions(Options):
    """A guider of diffusers in the place of classifier-free guidance."""

    guider: Literal["apg", "cfg_zero_star", "tcfg", "mambo", "slg"]
    """Which one; slg needs prior.perturb."""
    space: Literal["", "x0", "eps", "v", "velocity"] = ""
    """The form of a prediction that it works on; by default that of its paper."""
    parameters: dict[str, float] = Field(default_factory=dict)
    """Its other parameters, with the library's names, such as {eta: 0}."""


class TripleOptions(Options):
    """InstructPix2Pix's triple: guidance by the prompt and by the source, each by a scale of its own."""

    guider: Literal["instruct"] = "instruct"
    """The triple."""
    image_scale: Scalar = schedules.constant(1.5)
    """s_img in eps_null + s (eps_y - eps_src) + s_img (eps_src - eps_null)."""


def _guider(value: Any) -> Any:
    """A bare word that is no combiner of ours is a guider with its defaults."""
    return {"guider": value} if isinstance(value, str) and value not in ("cfg", "perp_neg") else value


CombineOptions = Annotated[
    Literal["cfg", "perp_neg"] | GuiderOptions | TripleOptions, BeforeValidator(_guider)
]
"""How the answers with and without the prompt are put together."""


class GuidedOptions(GuidanceOptions):
    """What every method with classifier-free guidance has."""

    cfg_scale: Scalar
    """Guidance scale s in eps_null + s (eps_y - eps_null); 1 is plain conditional."""
    combine: CombineOptions = "cfg"
    """How answers with and without the prompt are put together: cfg, perp_neg (between view prompts), instruct
    (by prompt and source, for edits), or a guider of diffusers: apg, cfg_zero_star, tcfg, mambo, slg."""
    transforms: tuple[TransformOptions, ...] = ()
    """Changes of the guided prediction, in order: {rescale: 0.5, space: x0}, clamp_x0."""

    def build_combiner(self) -> Combiner:
        """The combiner with this scale."""
        if isinstance(self.combine, TripleOptions):
            return Triple(self.cfg_scale, self.combine.image_scale)
        if isinstance(self.combine, GuiderOptions):
            asked = self.combine
            return Guider(asked.guider, self.cfg_scale, asked.space, tuple(sorted(asked.parameters.items())))
        return PerpNeg(self.cfg_scale) if self.combine == "perp_neg" else CFG(self.cfg_scale)

    def build_transforms(self) -> tuple[Transform, ...]:
        """The transforms in order."""
        return tuple(t.build() for t in self.transforms)
