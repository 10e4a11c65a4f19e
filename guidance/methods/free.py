"""A recipe of your own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.config.options import Options as BaseOptions
from sds3d.config.options import Scalar
from sds3d.core import schedules
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule

from ..algebra import Words, parse_rule
from ..critic_options import CriticOptions
from ..extra import Extra, PosteriorPull, Pull
from ..noise_options import MAKERS, IidOptions, NoiseOptions
from ..options import GuidedOptions
from ..predictions import CFG, Combiner, Learned
from ..recipe import Recipe
from ..reverse_process import Falling, TimedPull
from ..reward_options import RewardField
from ..step_options import RetryOptions
from ..weights import Posterior


class PosteriorOptions(BaseOptions):
    """The weight chi(t), or the pull psi(t), of posterior distillation."""

    posterior: int = Field(ge=1)
    """Gap in thousandths."""


class FallingOptions(BaseOptions):
    """The weight delta + gamma tau^(1/e) of DreamCatalyst."""

    delta: float = Field(default=0.2, ge=0.0)
    """Its constant part."""
    gamma: float = Field(default=0.8, ge=0.0)
    """Its part that falls with the noise."""


class TimedPullOptions(BaseOptions):
    """A pull that grows with the noise, as DreamCatalyst and SSD have it."""

    timed: float = Field(ge=0.0)
    """Factor on e^tau (z - z_source)."""
    noised: bool = False
    """Times alpha_t: between the noisy states."""


class Options(GuidedOptions):
    """A recipe of blocks: noise, rule, times, weight, draws, post, extra."""

    method: Literal["free"] = "free"
    """Name of the method."""
    rule: str = "G - EPS"
    """Target minus reference in symbols: G, G(7.5), C, U, NEG, EPS, src, TRIPLE(7.5, 1.5), CRITIC; a state after @,
    such as null@s."""
    cfg_scale: Scalar = schedules.constant(7.5)
    """Guidance scale of a G that names none."""
    values: dict[str, Scalar] = Field(default_factory=dict)
    """Names in the rule and their numbers, which may change over the run."""
    noise: NoiseOptions = IidOptions()
    """Whose states: iid, fixed, later, paired, inverted, inverted_prompt, neighbour."""
    weight: (
        Literal["sigma2", "uniform", "kappa", "inv_kappa", "fantasia", "hifa", "rf_uniform"]
        | PosteriorOptions
        | FallingOptions
    ) = "sigma2"  # type: ignore[assignment]
    """w(t) on the epsilon-residual, or {posterior: 2}, or {delta: 0.2, gamma: 0.8}."""
    critic: CriticOptions | None = None
    """The trained network behind CRITIC."""
    reward: RewardField | None = None
    """Who chooses among the draws."""
    pull: Scalar | PosteriorOptions | TimedPullOptions | None = None
    """Factor on z - z_source, or {posterior: 2}, or {timed: 0.075}."""
    retry: RetryOptions | None = None
    """Draw time and noise anew while the residual says too little."""

    def slots(self) -> dict[str, Any]:
        """The slots beside rule and critic."""
        slots = super().slots() | {"noise": self.noise.build(self.times.scale)}
        if isinstance(self.weight, PosteriorOptions):
            slots["weight"] = Posterior(self.weight.posterior)
        elif isinstance(self.weight, FallingOptions):
            slots["weight"] = Falling(self.weight.delta, self.weight.gamma)
        if self.reward is not None:
            slots["draw_weights"] = self.reward.build(self.draws, self.build_transforms(), self.times.scale)
        if self.retry is not None:
            slots["retry"] = self.retry.build()
        extra: Extra | None = None
        if isinstance(self.pull, PosteriorOptions):
            extra = PosteriorPull(self.pull.posterior)
        elif isinstance(self.pull, TimedPullOptions):
            extra = TimedPull(self.pull.timed, self.pull.noised)
        elif self.pull is not None:
            extra = Pull(self.pull)
        return slots | ({} if extra is None else {"extra": (extra,)})

    def guide(self, scale: Schedule | None, positive: str, negative: str) -> Combiner:
        """The combiner of one G.

        Raises:
            ConfigError: a scale or branches with a combiner that takes none.
        """
        if self.combine == "cfg":
            return CFG(self.cfg_scale if scale is None else scale, positive, negative)
        if scale is not None or (positive, negative) != ("y", "null"):
            raise ConfigError(
                f"G takes its own scale and branches only with `combine: cfg`, not with {self.combine}; write G.",
                key="guidance.rule",
            )
        return self.build_combiner()


def free(options: Options) -> Recipe:
    """Free: a recipe of blocks, each chosen in the config.

        g = post[ w(t) sum over draws of omega rule(predictions at the noise source's states) + extra ]

    Source: the common form of all methods here; any combination that goes together is legal.

    Defaults: rule "G - EPS", s = 7.5, fresh noise, w = sigma^2, t in [0.02, 0.98]: SDS.
    Cost: one prediction a view, draw, state and condition that the rule names, and those of the noise source.
    Pitfalls: nothing tells whether a new combination has a fixed point where you want it; try it on an analytic prior.
    """
    words = Words(options.guide, options.build_transforms(), options.values)
    rule, slots = parse_rule(options.rule, words), options.slots()
    made = slots["noise"].states
    for symbol in rule.every_symbol():
        if symbol.at not in made:
            hint = f"That is made by `noise: {MAKERS[symbol.at]}`." if symbol.at in MAKERS else ""
            raise ConfigError(
                f"the rule reads the state {symbol.at!r}, but `noise: {options.noise.kind}` makes only "
                f"{', '.join(sorted(made))}.",
                key="guidance.rule",
                hint=hint,
            )
    asks_critic = any(isinstance(s, Learned) for s in rule.every_symbol())
    if options.critic is not None and not asks_critic:
        raise ConfigError(
            f"a critic is trained, but the rule {options.rule!r} never compares with it.",
            key="guidance.critic",
            hint="Name it CRITIC in the rule, or leave it out.",
        )
    if asks_critic and options.critic is None:
        raise ConfigError(
            "the rule compares with CRITIC, but none is trained.",
            key="guidance.critic",
            hint="Add `critic: {}`.",
        )
    critic = None if options.critic is None else options.critic.build()
    return Recipe(rule=rule, critic=critic, **slots)
