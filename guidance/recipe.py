"""A recipe: the choice of each slot, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field

from sds3d.core.errors import ConfigError

from .base import Needs
from .critic import Critic
from .dataset import Dataset
from .denoised import RenderLoss
from .draws import DrawWeights
from .extra import Extra
from .noise import Iid, NoiseSource
from .post import ImagePost, Post
from .predictions import Learned
from .retry import Retry
from .rules import Rule, branches_of
from .steps import ResidualStep
from .times import Times
from .weights import WEIGHTS, TimeWeight


@dataclass(frozen=True)
class Recipe:
    """g = post[ w(t) * sum over draws of omega * residual_post[rule] + extra ].

    Args:
        rule: target minus reference. times: how noisy. noise: with what.
        weight: a name in weights.WEIGHTS, or a weight that knows the prior's own steps.
        post: applied to the batch's gradient in order. image_post: applied to the gradient of the rendered picture.
        draws: independent noise draws a view; all share t. draw_weights: omega; the mean without it.
        critic: whom `rules.learned` asks. extra: terms beside the predictions.
        image_loss: pulls the render itself, a picture or a sound, towards the decoded prediction.
        in_latents: whether g itself is pulled back; off leaves the image loss alone.
        residual_post: applied to the residual of all views of a draw, in order, before the weight. retry: which draws
            count. dataset: keeps what z - g says of each view as a picture, and has the object fitted to the pictures.

    Raises:
        ConfigError: the slots do not go together; the text says which and why.
    """

    rule: Rule
    times: Times
    weight: str | TimeWeight
    noise: NoiseSource = field(default_factory=Iid)
    post: tuple[Post, ...] = ()
    image_post: tuple[ImagePost, ...] = ()
    draws: int = 1
    draw_weights: DrawWeights | None = None
    critic: Critic | None = None
    extra: tuple[Extra, ...] = ()
    image_loss: RenderLoss | None = None
    in_latents: bool = True
    residual_post: tuple[ResidualStep, ...] = ()
    retry: Retry | None = None
    dataset: Dataset | None = None

    def __post_init__(self):
        symbols = self.rule.every_symbol()
        if not self.branches and not any(isinstance(s, Learned) for s in symbols):
            raise ConfigError(
                "the rule asks the prior nothing: it needs at least one prediction.", key="rule"
            )
        for symbol in symbols:
            if symbol.at not in self.noise.states:
                made = ", ".join(sorted(self.noise.states))
                raise ConfigError(
                    f"the rule reads a prediction at the state {symbol.at!r}, but the noise source "
                    f"{type(self.noise).__name__} makes only: {made}.",
                    key="rule",
                )
            if isinstance(symbol, Learned) and self.critic is None:
                raise ConfigError("the rule compares with a trained critic, but there is none.", key="rule")
        if isinstance(self.weight, str) and self.weight not in WEIGHTS:
            raise ConfigError(
                f"unknown weight {self.weight!r}; there are {', '.join(WEIGHTS)}.", key="weight"
            )
        if self.dataset is not None and (self.image_post or self.image_loss is not None):
            raise ConfigError(
                "fits the object to pictures, so that image_post and image_loss have no place.", key="dataset"
            )
        if self.draws < 1:
            raise ConfigError(f"needs at least one draw of noise, got {self.draws}.", key="draws")

    @property
    def branches(self) -> frozenset[str]:
        """Every branch of the conditioning that may be asked in a run."""
        return branches_of(self.rule.every_symbol()) | self.noise.asks

    @property
    def source(self) -> bool:
        """Whether the views of an edited object's original are needed."""
        return self.noise.source or self.dataset is not None or any(e.source for e in self.extra)

    @property
    def needs(self) -> Needs:
        """What is asked of the stage."""
        pixels = bool(self.image_post) or self.image_loss is not None or self.dataset is not None
        heard = frozenset[str]() if self.image_loss is None else self.image_loss.media
        return Needs(self.branches, self.source, self.noise.media | heard, pixels)
