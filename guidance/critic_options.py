"""Options of the trained critic as they stand in a config: guidance: {method: vsd, critic: {rank: 8, lr: 1e-3}}."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sds3d.config.options import Options
from sds3d.priors.lora import LoraSpec

from .lora_critic import LoraCritic


class CriticOptions(Options):
    """A low-rank change of the prior's network that is trained on noised renders."""

    rank: int = Field(default=4, ge=1, le=512)
    """Rank of the low-rank change of each layer of the prior's network."""
    alpha: float | None = Field(default=None, gt=0.0)
    """The change is scaled by alpha / rank; by default by 1."""
    layers: Literal["all", "attention"] = "all"
    """Which layers are changed: all linear layers and convolutions, or those of attention, as published."""
    camera: bool = True
    """Tell it the camera."""
    camera_dropout: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the training views whose camera it is not told; it learns all cameras together from them."""
    target: Literal["native", "epsilon", "v", "x0", "velocity"] = "native"
    """Form of the prediction whose error is squared; native is what the prior's network says."""
    updates: int = Field(default=1, ge=1, le=100)
    """Updates of its weights in each optimisation step."""
    lr: float = Field(default=1e-4, gt=0.0)
    """Learning rate of its AdamW."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay rates of its AdamW's two moments."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Weight decay of its AdamW."""
    warmup: int = Field(default=0, ge=0)
    """Updates over which the learning rate grows from 0; 500 in the published code."""

    def build(self) -> LoraCritic:
        """The slot."""
        alpha = float(self.rank) if self.alpha is None else self.alpha
        return LoraCritic(
            LoraSpec(self.rank, alpha, self.layers, self.camera),
            self.target,
            self.updates,
            self.lr,
            self.betas,
            self.weight_decay,
            self.warmup,
            self.camera_dropout,
        )
