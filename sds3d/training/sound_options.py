"""What a training run of the audio prior is: the options of configs/prior/audio.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ..config.options import Options
from .options import FitOptions, TextOptions


class SoundSetOptions(Options):
    """The training sounds: how many, of what."""

    seed: int = 0
    """Seed of sounds and captions."""
    kinds: tuple[str, ...] = ()
    """Names of the kinds to learn; empty takes all."""
    per_kind: int = Field(480, ge=1)
    """Sounds of each kind."""
    quiet_db: float = Field(12.0, ge=0)
    """A sound is drawn with a peak between this many decibels below full scale and full scale."""


class SoundNetworkOptions(Options):
    """The UNet on spectrograms."""

    unshuffle: int = Field(4, ge=1)
    """Side of the blocks of the spectrogram that become channels."""
    channels: tuple[int, ...] = (64, 96, 128)
    """Width of each scale; multiples of 8."""
    attention: tuple[bool, ...] = (False, False, True)
    """Cross-attention to the words at each scale."""


class SoundTrainOptions(FitOptions):
    """A whole training run of the audio prior."""

    medium: Literal["audio"] = "audio"
    """Tells this file from one of pictures."""
    images: int = Field(600_000, ge=1)
    """Sounds to train on in all, repeats counted."""
    folder: Path = Path("out/audio")
    """Where sounds, checkpoints, previews and the finished model go."""
    seed: int = 0
    """Seed of weights, noise and dropout."""
    sounds: SoundSetOptions = SoundSetOptions()
    """The training sounds."""
    text: TextOptions = TextOptions(
        steps=1500, batch=96, size=32, channels=(32, 64, 64, 128, 128), strides=(1, 2, 1, 2, 2)
    )
    """The contrastive run that gives the text tower; its scorer is the reward."""
    judge: TextOptions = TextOptions(
        seed=7,
        steps=1500,
        batch=96,
        size=48,
        channels=(24, 64, 96, 128, 192),
        strides=(2, 1, 2, 2, 2),
        every_pair=True,
    )
    """The metric scorer: other seed, captions and architecture; it has heard every pair."""
    network: SoundNetworkOptions = SoundNetworkOptions()
    """The network."""
    high_noise_share: float = Field(0.35, ge=0, le=1)
    """Share of the times drawn from the noisier 70 % alone, where the kind is decided."""
    clear_power: float = Field(0.5, ge=0)
    """Power of min(1, 2 sigma^2) by which a time's error counts: nearly clear spectrograms count less; 0: all alike."""
    drop_text: float = Field(0.12, ge=0, le=1)
    """Share of the sounds whose caption is left out: the null prompt is learned from them."""
