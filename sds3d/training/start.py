"""Going on from a finished model: its network, and its text tower with room for new words.

A start is either kept as it is (fine-tuning), or grown: the network gets inputs that it lacked, at weight zero, so
that it begins as the same function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..priors.folder import Components, load_components
from ..priors.kinds.embedded import assets_folder
from ..priors.pixel_unet import ViewFeatures
from ..priors.text_volume import TextVolume
from .network import PREDICTION_TYPES, make_unet, view_features
from .options import NetworkOptions, VolumeOptions
from .words import WIDTH, TextTower, load_projection, tokenizer_of


@dataclass(frozen=True)
class Start:
    """A finished model in float32: UNet, text tower, the network options that describe it, and its text's volume."""

    unet: Any
    tower: TextTower
    network: NetworkOptions
    volume: TextVolume | None = None


def start_folder(word: str, bundled: Sequence[str] = ("prior32", "prior64"), asked: str = "start") -> Path:
    """The folder of a finished model: one on this disk, or one of those in the box, which `bundled` names.

    Args:
        asked: the key or flag that named it, for the error.

    Raises:
        Sds3dError: it is neither.
    """
    folder = Path(word) if Path(word).is_dir() or word not in bundled else assets_folder() / word
    if not folder.is_dir():
        raise Sds3dError(f"{asked}: {word!r} is neither a model folder nor {' nor '.join(bundled)}")
    return folder


def load_start(word: str, new_words: Sequence[str], seed: int, max_tokens: int = 0) -> Start:
    """A shipped model (prior32, prior64) or a model folder, its vocabulary widened by the words it lacks.

    A new word's vector is drawn with the spread of the known ones; the text tower stays frozen, the network learns
    what the word means.

    Args:
        max_tokens: length of the longest sentence, where it is more than the model's own.

    Raises:
        Sds3dError: there is no such model, or its pictures' noise schedule is not the one that training uses.
    """
    folder = start_folder(word)
    parts = load_components(folder, torch.float32)
    if parts.prediction not in PREDICTION_TYPES:
        raise Sds3dError(
            f"start: {folder} predicts {parts.prediction}; training goes on from {' and '.join(PREDICTION_TYPES)} only"
        )
    tokenizer = widen(parts.text_encoder, parts.tokenizer, new_words, Streams(seed))
    if max_tokens > int(tokenizer.model_max_length):
        tokenizer = lengthen(parts.text_encoder, tokenizer, max_tokens)
    tower = TextTower(parts.text_encoder, tokenizer, load_projection(folder))
    features = ViewFeatures.of(parts.index, folder)
    return Start(parts.unet, tower, _described(parts, features), features.volume)


def widen(text_encoder: Any, tokenizer: Any, words: Sequence[str], streams: Streams) -> Any:
    """A tokenizer that knows these words too; the encoder gets a row of its embedding for each new one, in place."""
    from tokenizers import Tokenizer

    known = tokenizer.get_vocab()
    fresh = [w for w in dict.fromkeys(words) if w not in known]
    if not fresh:
        return tokenizer
    count = max(known.values()) + 1
    # words belong to the model's own table: tokens "added" later would match inside of other words
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    table["model"]["vocab"] |= {word: count + i for i, word in enumerate(fresh)}
    spread = float(text_encoder.get_input_embeddings().weight.detach().std())
    text_encoder.resize_token_embeddings(count + len(fresh), mean_resizing=False)
    rows = text_encoder.get_input_embeddings().weight.requires_grad_(False)
    rows[count:] = streams.normal((len(fresh), rows.shape[1]), "new words")[0].float() * spread
    return tokenizer_of(Tokenizer.from_str(json.dumps(table)), int(tokenizer.model_max_length))


@torch.no_grad()
def grown(start: Start, options: NetworkOptions, seed: int) -> Any:
    """The network of `options`, beginning as the same function as the started one.

    Harmonics and view maps that the started network was not shown have weight zero; what it was shown is scaled by
    the change of the gain.

    Raises:
        Sds3dError: the two differ in more than how they are told camera and background.
    """
    told = ("azimuth_harmonics", "elevation_harmonics", "camera_gain", "view_maps", "text_volume")
    has, wants = (
        o.model_copy(update={name: getattr(NetworkOptions(), name) for name in told})
        for o in (start.network, options)
    )
    differ = [name for name in NetworkOptions.model_fields if getattr(has, name) != getattr(wants, name)]
    before, after = view_features(start.network), view_features(options)
    differ += [
        name
        for name in ("azimuth_harmonics", "elevation_harmonics", "maps")
        if getattr(before, name) > getattr(after, name)
    ]
    if start.network.text_volume and not (options.text_volume and before.maps == after.maps):
        differ.append("text_volume")
    if differ:
        raise Sds3dError(
            f"grow: the network differs from the started one in {', '.join(differ)}; a started network gains "
            f"harmonics, view maps and then a volume only. It has {has}"
        )
    unet = make_unet(options, seed)
    weights = {name: value.clone() for name, value in start.unet.state_dict().items()}
    own = unet.state_dict()
    stem, view = "conv_in.weight", "class_embedding.linear_1.weight"
    wide = torch.zeros_like(own[stem])
    wide[:, : weights[stem].shape[1]] = weights[stem]
    told_by = torch.zeros_like(own[view])
    place = columns(before, after)
    told_by[:, place] = weights[view]
    told_by[:, place[: before.camera_width]] *= before.gain / after.gain
    weights |= {stem: wide, view: told_by}
    unet.load_state_dict(weights)
    return unet


def columns(before: ViewFeatures, after: ViewFeatures) -> list[int]:
    """Where in the class labels of `after` each number of `before` lies, the pooled text included."""
    start = 2 * after.azimuth_harmonics
    camera = [*range(2 * before.azimuth_harmonics), *range(start, start + 2 * before.elevation_harmonics)]
    return [*camera, *range(after.camera_width - 1, after.width + WIDTH)]


@torch.no_grad()
def lengthen(text_encoder: Any, tokenizer: Any, max_tokens: int) -> Any:
    """A tokenizer for sentences of `max_tokens`; the encoder reads the places that are new, in place, as its last."""
    embeddings = text_encoder.text_model.embeddings if hasattr(text_encoder, "text_model") else None
    embeddings = embeddings or text_encoder.embeddings
    old = embeddings.position_embedding.weight
    wide = torch.cat([old, old[-1:].expand(max_tokens - len(old), -1)])
    embeddings.position_embedding = torch.nn.Embedding.from_pretrained(wide, freeze=True)
    embeddings.position_ids = torch.arange(max_tokens)[None]
    text_encoder.config.max_position_embeddings = max_tokens
    return tokenizer_of(tokenizer.backend_tokenizer, max_tokens)


def _described(parts: Components, features: ViewFeatures) -> NetworkOptions:
    """Network options that say what the folder says."""
    index, unet, volume = parts.index, parts.unet, features.volume
    return NetworkOptions(
        size=int(index["image_size"]), prediction=parts.prediction, unshuffle=int(index["pixel_unshuffle"]),
        channels=tuple(unet.config.block_out_channels),
        attention=tuple("CrossAttn" in name for name in unet.config.down_block_types),
        azimuth_harmonics=features.azimuth_harmonics, elevation_harmonics=features.elevation_harmonics,
        camera_gain=features.gain, view_maps=features.maps,
        text_volume=VolumeOptions(side=volume.side, hidden=volume.hidden) if volume else None,
    )  # fmt: skip
