"""A training run of the audio prior from nothing to a model folder: sounds, text tower, network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..assetio.pictures import contact_sheet
from ..core.errors import StopRequested
from ..core.look import Look
from ..core.streams import Streams
from ..priors.base import Prompts, concatenate
from ..priors.kinds.audio import AudioPrior, Options, load_folder
from ..priors.scorer import Scorer
from ..sounds.captions import SoundCaption, vocabulary
from .contrast import scorer_of
from .loop import fit, told
from .options import TextOptions
from .sampling import denoised
from .sound_network import SoundLoss, make_sound_unet, save_sound_model
from .sound_options import SoundTrainOptions
from .sounds import AsPictures, SoundBatches, learned_kinds, make_set, one_word_away

PREVIEW_PROMPTS = (
    "a bell", "a high bell", "a low bell", "a drum", "a low drum", "a beep", "a siren", "a fast siren",
    "a bird", "footsteps", "wind", "an engine", "a short flute", "a dog", "a clock", "a gong",
)  # fmt: skip
"""Captions of the preview sheet."""


def train(
    options: SoundTrainOptions, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> Path | None:
    """Carry a training run on from where it is.

    Args:
        should_stop: asked after each step. say: gets lines of progress.

    Returns:
        The model folder, or None if it was stopped before the end.
    """
    folder, stopped = options.folder, False

    def stop() -> bool:
        nonlocal stopped
        stopped = stopped or should_stop()
        return stopped

    def preview(averaged: Any, step: int) -> None:
        save_sound_model(averaged, tower, options.network, folder / "model")
        z = sample(load_folder(folder / "model", Options()), PREVIEW_PROMPTS, steps=12)
        pictures = [((row.flip(1) + 1) / 2).clamp(0, 1).expand(3, -1, -1) for row in z]
        path = contact_sheet(pictures, folder / "previews" / f"step_{step:07d}.png", 8, overwrite=True)
        say(f"preview {path}")

    try:
        levels, captions = make_set(options.sounds, folder / "sounds", stop, say)
        tower = prepare_sound_scorer(options, options.text, folder / "tower", levels, captions, say, stop)
    except StopRequested:
        return None
    (folder / "previews").mkdir(parents=True, exist_ok=True)
    batches = SoundBatches(levels, captions, Streams(options.seed))
    unet = make_sound_unet(options.network, options.seed)
    fit(options, folder, unet, SoundLoss(options, batches, tower), stop, told(say), preview)
    return None if stopped else folder / "model"


def prepare_sound_scorer(
    options: SoundTrainOptions,
    text: TextOptions,
    folder: Path,
    levels: np.ndarray,
    captions: Sequence[SoundCaption],
    say: Callable[[str], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Scorer:
    """The contrastive model of a folder, trained first if it is not there: text tower and reward, or judge.

    Raises:
        StopRequested: `should_stop` said so while it was trained.
    """
    kinds = learned_kinds(options.sounds)

    def batches() -> AsPictures:
        return AsPictures(SoundBatches(levels, captions, Streams(text.seed), text.every_pair), text.size)

    def near(caption: str, numbers: Sequence[float]) -> str:
        return one_word_away(caption, kinds, numbers)

    return scorer_of(folder, vocabulary(), batches, near, text, say, should_stop)


@torch.no_grad()
def sample(
    prior: AudioPrior, prompts: Sequence[str], steps: int = 20, cfg_scale: float = 3.0, seed: int = 0
) -> Float[Tensor, "b 1 m n"]:
    """A spectrogram for each prompt by DDIM (arXiv 2010.02502), deterministic.

    Args:
        cfg_scale: 1 is plain conditional. The predicted spectrogram is kept in z's range.
    """
    look = Look(None, prior.info.size, torch.zeros(1, 3))
    told, untold = (
        concatenate([prior.condition(prior.prepare(Prompts(p)), look, {})[branch] for p in prompts])
        for branch in ("y", "null")
    )
    z = Streams(seed).normal(prior.info.latent_shape, "ddim", ids=range(len(prompts)))
    return denoised(prior, z, told, untold, steps, cfg_scale)
