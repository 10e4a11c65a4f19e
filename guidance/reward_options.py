"""A reward as it stands in a config: `reward: clip`, or `reward: {kind: scorer, strategy: best, until: 0.7}`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sds3d.config.options import Options, Scalar
from sds3d.core import schedules
from sds3d.core.errors import ConfigError

from .draws import Strategy
from .predictions import CFG, Guided, Transform
from .rewards import OfPictures, RewardWeights


class RewardOptions(Options):
    """How a reward chooses among the draws of noise."""

    kind: Literal["scorer", "clip", "pickscore", "hpsv2", "aesthetic", "image_reward"] = "scorer"
    """Who judges: the bundled scorer, or a model whose weights are on this disk."""
    model: str = ""
    """Folder or repository of its weights in place of the usual one."""
    strategy: Literal["minmax", "best", "softmax", "random", "all"] = "minmax"
    """How rewards become weights."""
    normalise: Literal["mean_groups", "over_n", "sum_to_one"] = "mean_groups"
    """mean_groups: the authors' code; over_n: the paper's 1/N; sum_to_one: the step size of plain SDS."""
    top: int = Field(default=2, ge=1)
    """minmax: how many of the best are followed."""
    bottom: int = Field(default=2, ge=0)
    """minmax: how many of the worst are avoided."""
    high: float = Field(default=0.9, ge=0.0)
    """minmax: weight of the best."""
    low: float = Field(default=0.1, ge=0.0)
    """minmax: weight of the worst, subtracted."""
    temperature: float = Field(default=1.0, gt=0.0)
    """softmax: of rewards over this; the authors' code has 1."""
    rollout_steps: int = Field(default=15, ge=1, le=1000)
    """S: DDIM steps over the whole range to the clean sample that is judged; 1 takes x0 at t."""
    rollout_scale: Scalar = schedules.constant(7.5)
    """Guidance scale on that way."""
    until: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the run in which the reward counts; one draw without it afterwards."""
    joint: bool = False
    """Rank the views of an object together, by the sum of their rewards."""

    def build(self, draws: int, transforms: tuple[Transform, ...], scale: str) -> RewardWeights:
        """The slot.

        Args:
            draws: how many there are. transforms: of the guided predictions on the way. scale: of times.

        Raises:
            ConfigError: too few draws to choose from.
        """
        strategy = Strategy(
            self.strategy, self.normalise, self.top, self.bottom, self.high, self.low, self.temperature
        )
        if draws < strategy.least():
            raise ConfigError(
                f"the {self.top} best and {self.bottom} worst need {strategy.least()} draws, got {draws}.",
                key="guidance.draws",
            )
        guess = Guided(CFG(self.rollout_scale), transforms)
        reward = OfPictures(self.kind, self.model)
        return RewardWeights(reward, strategy, guess, self.rollout_steps, self.until, self.joint, scale)


def _word(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


RewardField = Annotated[RewardOptions, BeforeValidator(_word)]
"""A field that holds a reward."""
