"""A recipe: the choice of each slot, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field

from sds3d.core.errors import ConfigError

from .noise import Iid, NoiseSource
from .post import Post
from .rules import Rule, branches_of
from .times import Times
from .weights import WEIGHTS


@dataclass(frozen=True)
class Recipe:
    """g = post[ mean over draws of w(t) * rule ].

    Args:
        rule: target minus reference. times: how noisy. noise: with what. weight: a name in weights.WEIGHTS.
        post: applied to the batch's gradient in order. draws: independent noise draws a view, averaged; all share t.

    Raises:
        ConfigError: the slots do not go together; the text says which and why.
    """

    rule: Rule
    times: Times
    weight: str
    noise: NoiseSource = field(default_factory=Iid)
    post: tuple[Post, ...] = ()
    draws: int = 1

    def __post_init__(self):
        symbols = self.rule.every_symbol()
        if not self.branches:
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
        if self.weight not in WEIGHTS:
            raise ConfigError(
                f"unknown weight {self.weight!r}; there are {', '.join(WEIGHTS)}.", key="weight"
            )
        if self.draws < 1:
            raise ConfigError(f"needs at least one draw of noise, got {self.draws}.", key="draws")

    @property
    def branches(self) -> frozenset[str]:
        """Every branch of the conditioning that may be asked in a run."""
        return branches_of(self.rule.every_symbol())
