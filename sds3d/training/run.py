"""A training run from nothing to a model folder: pictures, text tower, network. Every part is kept and reused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..assetio.pictures import contact_sheet
from ..core.cameras import orbit
from ..core.streams import Streams
from ..objects.captions import vocabulary
from ..priors.base import Prior
from ..priors.kinds.embedded import Options as EmbeddedOptions
from ..priors.kinds.embedded import load_folder
from ..priors.scorer import Scorer, load_scorer
from .batches import Batches
from .contrast import make_scorer, save_scorer, train_scorer
from .loop import Progress, train_prior
from .network import save_model
from .options import TextOptions, TrainOptions
from .plan import learned_kinds
from .render import open_set, render_set
from .sampling import ddim
from .words import make_tokenizer

PREVIEW_PROMPTS = (
    "a red cube", "a blue torus", "a yellow duck", "a green duck", "a purple cube", "a pink car", "a brown chair",
    "a blue mushroom", "a snowman with a red hat", "a red cube on a green cylinder", "a purple teapot", "a white house",
)  # fmt: skip
"""Captions of the preview sheet, each from four sides; some of them are held out."""


def train(
    options: TrainOptions, workers: int, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> Path | None:
    """Carry a training run on from where it is.

    Args:
        workers: processes that render. should_stop: asked after each step. say: gets lines of progress.

    Returns:
        The model folder, or None if it was stopped before the end (its checkpoint says where).
    """
    folder = options.folder
    render_set(options.pictures, folder / "pictures", workers, lambda d, n: say(f"pictures {d}/{n}"))
    tower = prepare_scorer(options, options.text, folder / "tower", say)
    layers, pictures = open_set(options.pictures, folder / "pictures")
    batches = Batches(
        layers, pictures, Streams(options.seed), options.network.size, view_words=options.view_words
    )
    stopped = False

    def stop() -> bool:
        nonlocal stopped
        stopped = stopped or should_stop()
        return stopped

    def preview(unet: Any, step: int) -> None:
        save_model(unet, tower, options.network, folder / "model")
        sheet = preview_sheet(load_folder(folder / "model", EmbeddedOptions()))
        path = contact_sheet(sheet, folder / "previews" / f"step_{step:07d}.png", 16, overwrite=True)
        say(f"preview {path}")

    (folder / "previews").mkdir(parents=True, exist_ok=True)
    train_prior(options, batches, tower, stop, lambda p: say(progress_line(p)), preview)
    return None if stopped else folder / "model"


def prepare_scorer(
    options: TrainOptions, text: TextOptions, folder: Path, say: Callable[[str], None]
) -> Scorer:
    """The contrastive model of a folder, trained first if it is not there: text tower and reward, or judge."""
    if not (folder / "config.json").exists():
        kinds = learned_kinds(options.pictures)
        layers, pictures = open_set(options.pictures, options.folder / "pictures")
        batches = Batches(layers, pictures, Streams(text.seed), text.size, every_pair=text.every_pair)
        scorer = make_scorer(text, make_tokenizer(vocabulary(kinds)))
        train_scorer(
            scorer,
            batches,
            kinds,
            text,
            lambda s, loss: say(f"{folder.name} {s}/{text.steps} loss {loss:.3f}"),
        )
        save_scorer(scorer, text, folder)
    return load_scorer(folder)


def preview_sheet(prior: Prior, steps: int = 20) -> list[torch.Tensor]:
    """Samples of PREVIEW_PROMPTS from four sides, the last on green."""
    sides = (20.0, 110.0, 200.0, 290.0)
    prompts = [p for p in PREVIEW_PROMPTS for _ in sides]
    background = torch.ones(len(prompts), 3)
    background[3::4] = torch.tensor([0.3, 0.5, 0.4])
    cameras = orbit([*sides] * len(PREVIEW_PROMPTS), 20.0)
    return list(ddim(prior, prompts, cameras, background, steps))


def progress_line(p: Progress) -> str:
    """One line for people."""
    return (
        f"step {p.step}/{p.steps} loss {p.loss:.4f} {p.images_per_s:.0f} images/s, "
        f"{p.left_s / 3600:.1f} h left at this speed"
    )
