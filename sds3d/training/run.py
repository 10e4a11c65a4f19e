"""A training run from nothing to a model folder: pictures, text tower, network. Every part is kept and reused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..assetio.pictures import contact_sheet
from ..core.cameras import orbit
from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..objects.captions import vocabulary
from ..priors.base import Prior
from ..priors.kinds.embedded import Options as EmbeddedOptions
from ..priors.kinds.embedded import load_folder
from ..priors.scorer import Scorer
from ..priors.text_volume import TextVolume
from ..priors.views import VIEW_WORDS
from ..priors.words import split_words
from .batches import Batches, Source
from .contrast import one_word_away, scorer_of
from .denoising import PixelLoss
from .latent import train_latent
from .loop import fit, told
from .network import make_unet, save_model
from .options import TextOptions, TrainOptions
from .own import Mixed, OwnAsset, OwnBatches, find_assets, own_words
from .plan import learned_kinds, plan
from .reading import Meaning, Sentences, reader_of, train_reader
from .render import open_set, render_set
from .sampling import ddim
from .start import Start, grown, load_start
from .volume import VolumeFit, volume_of
from .words import MAX_TOKENS, TextTower, adopt

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

    Raises:
        Sds3dError: the options contradict each other, or what they name is not there.
    """
    if options.grow and not options.start:
        raise Sds3dError("grow: there is nothing to grow without start=MODEL")
    if options.grow and options.autoencoder is not None:
        raise Sds3dError("grow: a latent model takes from start=MODEL what fits it, and grows nothing")
    network = options.network
    pixels = {
        "shares": options.shares > 1,
        "network.text_volume": network.text_volume is not None,
        "network.prediction": network.prediction != "v",
    }
    if options.autoencoder is not None and any(pixels.values()):
        key = next(name for name, asked in pixels.items() if asked)
        raise Sds3dError(f"{key}: is for pixel models; a latent model goes without")
    if options.shares > options.batch:
        raise Sds3dError(f"shares: {options.shares} parts of {options.batch} pictures are too many")
    procedural = options.data is None or options.data_share < 1
    if procedural:
        place = options.parts_folder / "pictures"
        render_set(options.pictures, place, workers, lambda d, n: say(f"pictures {d}/{n}"))
    own = [] if options.data is None else find_assets(options.data)
    start = _start(options, own, procedural)
    if start is not None and not options.grow and options.autoencoder is None:
        options = options.model_copy(update={"network": start.network})
    elif own and start is None:
        raise Sds3dError("data: your own pictures need a model to go on from; say start=prior64 (or --from)")
    batches, stopped = _batches(options, own, procedural), False

    def stop() -> bool:
        nonlocal stopped
        stopped = stopped or should_stop()
        return stopped

    (options.folder / "previews").mkdir(parents=True, exist_ok=True)
    if start is not None:
        for key in sorted({"text", "reading"} & options.model_fields_set):
            say(f"{key}: not used; the text tower is that of start={options.start}")
        prompts = _prompts(own, start.tower, options)
        if options.autoencoder is not None:
            train_latent(options, options.autoencoder, batches, start.tower, prompts, stop, say, start.unet)
        else:
            unet = grown(start, options.network, options.seed) if options.grow else start.unet
            volume = start.volume or _volume(options, start.tower, procedural, stop, say)
            _fit_pixels(options, batches, start.tower, unet, volume, prompts, stop, say)
    else:
        tower = _tower(options, stop, say)
        prompts = _prompts(own, tower, options)
        if options.autoencoder is not None:
            train_latent(options, options.autoencoder, batches, tower, prompts, stop, say)
        else:
            unet = make_unet(options.network, options.seed)
            volume = _volume(options, tower, procedural, stop, say)
            _fit_pixels(options, batches, tower, unet, volume, prompts, stop, say)
    return None if stopped else options.folder / "model"


def _tower(options: TrainOptions, stop: Callable[[], bool], say: Callable[[str], None]) -> Scorer | TextTower:
    """The text tower of a run from nothing."""
    if options.reading is None:
        return prepare_scorer(options, options.text, options.parts_folder / "tower", say, stop)
    kinds = learned_kinds(options.pictures)
    return reader_of(
        options.parts_folder / "reader",
        kinds,
        lambda: plan(options.pictures),
        options.reading,
        options.view_words,
        stop,
        say,
    )


def _volume(
    options: TrainOptions,
    tower: Scorer | TextTower,
    procedural: bool,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> TextVolume | None:
    """The volume that this run's texts make, where the network is shown one.

    Raises:
        Sds3dError: there are no procedural pictures that it could be learned from.
    """
    network = options.network
    if network.text_volume is None:
        return None
    if not procedural:
        raise Sds3dError(
            "network.text_volume: is learned from procedural pictures; take a data_share below 1"
        )
    layers, pictures = open_set(options.pictures, options.parts_folder / "pictures")
    batches = Batches(
        layers, pictures, Streams(network.text_volume.seed), network.size, view_words=options.view_words
    )
    side = network.size // network.unshuffle
    fit_of = VolumeFit(batches, tower, network.text_volume, side, options.drop_text)
    return volume_of(options.parts_folder / "volume", fit_of, stop, say)


def _prompts(own: Sequence[OwnAsset], tower: Scorer | TextTower, options: TrainOptions) -> Sequence[str]:
    """What the previews show: the user's assets, else those of PREVIEW_PROMPTS that can be read, else kinds."""
    if own:
        return [a.captions[0] for a in own[: len(PREVIEW_PROMPTS)]]
    known = set(tower.tokenizer.get_vocab())
    plain = [f"a red {kind.name}" for kind in learned_kinds(options.pictures)[:4]]
    return [p for p in PREVIEW_PROMPTS if known.issuperset(split_words(p))] or plain


def _fit_pixels(
    options: TrainOptions,
    batches: Source,
    tower: Scorer | TextTower,
    unet: Any,
    volume: TextVolume | None,
    prompts: Sequence[str],
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """The pixel model, with its previews; its folder is written at each of them."""
    folder = options.folder

    def preview(averaged: Any, step: int) -> None:
        save_model(averaged, tower, options.network, folder / "model", volume)
        sheet = preview_sheet(load_folder(folder / "model", EmbeddedOptions()), prompts)
        path = contact_sheet(sheet, folder / "previews" / f"step_{step:07d}.png", 16, overwrite=True)
        say(f"preview {path}")

    loss = PixelLoss(options, batches, tower, volume)
    fit(options, folder, unet, loss, stop, told(say), preview, options.network.prediction)


def _start(options: TrainOptions, own: Sequence[OwnAsset], procedural: bool) -> Start | None:
    """The model to go on from, with every word that the captions of this run may hold."""
    if not options.start:
        return None
    words = [*own_words(own), *(" ".join(VIEW_WORDS).split() if own else [])]
    if procedural:
        words += vocabulary(learned_kinds(options.pictures))
    return load_start(options.start, words, options.seed, MAX_TOKENS if options.grow else 0)


def _batches(options: TrainOptions, own: Sequence[OwnAsset], procedural: bool) -> Source:
    """Where the steps' pictures come from."""
    streams, size, share = Streams(options.seed), options.network.size, options.view_words
    sources: list[Source] = []
    if procedural:
        layers, pictures = open_set(options.pictures, options.parts_folder / "pictures")
        sources.append(Batches(layers, pictures, streams, size, view_words=share))
    if own:
        tilt = options.pictures.elevation_deg
        sources.append(OwnBatches(own, streams, size, options.data_views, tilt, share))
    return sources[0] if len(sources) == 1 else Mixed(sources[0], sources[1], options.data_share)


def prepare_scorer(
    options: TrainOptions,
    text: TextOptions,
    folder: Path,
    say: Callable[[str], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Scorer:
    """The contrastive model of a folder, trained first if it is not there: text tower and reward, or judge.

    Raises:
        StopRequested: `should_stop` said so while it was trained. Sds3dError: it has two beginnings.
    """
    if text.start and text.reading is not None:
        raise Sds3dError("start and reading: a scorer goes on from one of them; leave the other out")
    kinds = learned_kinds(options.pictures)

    def batches() -> Batches:
        layers, pictures = open_set(options.pictures, options.parts_folder / "pictures")
        return Batches(layers, pictures, Streams(text.seed), text.size, every_pair=text.every_pair)

    def near(caption: str, numbers: Sequence[float]) -> str:
        return one_word_away(caption, kinds, numbers)

    def begin(scorer: Scorer) -> None:
        if text.reading is not None:
            sentences = Sentences(
                plan(options.pictures),
                Meaning(kinds),
                Streams(text.reading.seed),
                options.view_words,
                text.every_pair,
            )
            tower = train_reader(kinds, sentences, text.reading, should_stop, say)
            adopt(scorer.text_encoder, scorer.tokenizer, tower)
            scorer.text_projection.load_state_dict(tower.text_projection.state_dict())

    return scorer_of(folder, vocabulary(kinds), batches, near, text, say, should_stop, begin)


def preview_sheet(
    prior: Prior, captions: Sequence[str] = PREVIEW_PROMPTS, steps: int = 20
) -> list[torch.Tensor]:
    """Samples of the captions from four sides, the last on green."""
    sides = (20.0, 110.0, 200.0, 290.0)
    prompts = [p for p in captions for _ in sides]
    background = torch.ones(len(prompts), 3)
    background[3::4] = torch.tensor([0.3, 0.5, 0.4])
    cameras = orbit([*sides] * len(captions), 20.0)
    return list(ddim(prior, prompts, cameras, background, steps))
