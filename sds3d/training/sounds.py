"""The training sounds: made once as spectrograms, drawn in batches; every number from Streams."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..assetio.files import write_atomic
from ..core.errors import Sds3dError, StopRequested
from ..core.streams import Streams
from ..priors.sound_scorer import as_pictures
from ..priors.spectrogram import FLOOR, RANGE_DB, Codec
from ..sounds.captions import NUMBERS_NEEDED, SoundCaption, draw_caption
from ..sounds.catalogue import catalogue, find
from ..sounds.held_out import pair_is_held_out
from ..sounds.kind import SoundKind
from ..sounds.manner import MODIFIERS
from .sound_options import SoundSetOptions

LATEST_START = 0.06
"""Sounds begin within so many seconds."""
_CHUNK = 256


@dataclass(frozen=True)
class SoundBatch:
    """What one step hears: spectrograms z (B, 1, bands, columns) and B sentences."""

    z: Float[Tensor, "b 1 m n"]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class PictureBatch:
    """The same for a scorer of pictures: grey spectrograms (B, 3, S, S) in [0, 1]."""

    rgb: Float[Tensor, "b 3 s s"]
    captions: tuple[str, ...]


def learned_kinds(options: SoundSetOptions) -> list[SoundKind]:
    """The kinds of the set.

    Raises:
        SoundError: a name is not in the catalogue.
    """
    return [find(name) for name in options.kinds] or list(catalogue().values())


def captions_of(options: SoundSetOptions) -> list[SoundCaption]:
    """Every sound's sentence, in order; pairs that are held out are among them."""
    kinds = learned_kinds(options)
    numbers = Streams(options.seed).uniform((len(kinds) * options.per_kind, NUMBERS_NEEDED), "sound caption")[
        0
    ]
    return [
        draw_caption(kinds[i % len(kinds)], row, every_pair=True) for i, row in enumerate(numbers.tolist())
    ]


def is_held_out(caption: SoundCaption) -> bool:
    """Whether training of the prior leaves it out."""
    return any(pair_is_held_out(word, caption.kind) for word in caption.said)


def waveform(caption: SoundCaption, number: int, options: SoundSetOptions) -> Float[Tensor, " t"]:
    """Sound `number` of the set: as its caption says, begun a little late, at some level."""
    streams = Streams(options.seed)
    signal = caption.kind.sound(streams, number, caption.said)
    late, level = streams.uniform((2,), "sound place", ids=(number,))[0].tolist()
    start = int(late * LATEST_START * Codec().rate)
    shifted = np.concatenate([np.zeros(start), signal[: len(signal) - start]])
    return torch.from_numpy(shifted * 10 ** (-options.quiet_db * level / 20)).float()


def make_set(
    options: SoundSetOptions, folder: Path, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> tuple[np.ndarray, list[SoundCaption]]:
    """The set's spectrograms (N, bands, columns) as bytes of z's range [-1, 1], and their captions.

    What is missing is made; a set that was stopped goes on.

    Raises:
        StopRequested: `should_stop` said so; what was made stays.
    """
    captions, codec = captions_of(options), Codec()
    path, ledger = folder / "sounds.npy", folder / "sounds.json"
    mark = _fingerprint(captions, options)
    known = json.loads(ledger.read_text()) if ledger.exists() and path.exists() else {}
    done = int(known.get("done", 0)) if known.get("fingerprint") == mark else 0
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(captions), *codec.shape[1:])
    if not done:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    out = np.lib.format.open_memmap(path, mode="r+")
    for first in range(done, len(captions), _CHUNK):
        if should_stop():
            raise StopRequested(f"stopped at sound {first} of {len(captions)}; it will go on")
        part = captions[first : first + _CHUNK]
        audio = torch.stack([waveform(c, first + i, options) for i, c in enumerate(part)])[:, None]
        z = codec.encode(audio)[:, 0]
        out[first : first + len(part)] = ((z.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
        out.flush()
        text = json.dumps({"fingerprint": mark, "done": first + len(part)})
        write_atomic(ledger, text.encode(), overwrite=True)
        say(f"sounds {first + len(part)}/{len(captions)}")
    return np.load(path, mmap_mode="r"), captions


def _fingerprint(captions: Sequence[SoundCaption], options: SoundSetOptions) -> str:
    lines = [f"{c.kind.name}|{' '.join(c.said)}" for c in captions]
    return hashlib.blake2b("\n".join([options.model_dump_json(), *lines]).encode(), digest_size=8).hexdigest()


class SoundBatches:
    """Draws batches from a set.

    Args:
        levels: (N, bands, columns) bytes. captions: theirs. every_pair: also held-out pairs (for the judge).
        quieter_db: sounds are drawn up to so much quieter than they were made.
    """

    def __init__(
        self,
        levels: np.ndarray,
        captions: Sequence[SoundCaption],
        streams: Streams,
        every_pair: bool = False,
        quieter_db: float = 6.0,
    ):
        if len(levels) != len(captions):
            raise Sds3dError(f"the set holds {len(levels)} sounds and {len(captions)} captions; make it anew")
        self.levels, self.captions, self.streams, self.quieter_db = levels, captions, streams, quieter_db
        self.usable = [i for i, c in enumerate(captions) if every_pair or not is_held_out(c)]

    def draw(self, step: int, count: int) -> SoundBatch:
        """The batch of a step."""
        drawn = self.streams.uniform((count, 2), "sound batch", step=step)[0]
        rows = [self.usable[int(u * len(self.usable))] for u in drawn[:, 0].tolist()]
        z = torch.from_numpy(np.stack([self.levels[i] for i in rows])).float() / 127.5 - 1
        power = 10 ** ((z - 1) * RANGE_DB / 10) - FLOOR
        power = power.clamp(min=0) * 10 ** (-self.quieter_db * drawn[:, 1].float() / 10)[:, None, None]
        return SoundBatch(
            (1 + 10 * torch.log10(power + FLOOR) / RANGE_DB)[:, None],
            tuple(self.captions[i].text for i in rows),
        )


class AsPictures:
    """The same batches for the contrastive run.

    Args:
        size: side of the pictures.
    """

    def __init__(self, batches: SoundBatches, size: int):
        self.batches, self.size = batches, size

    def draw(self, step: int, count: int) -> PictureBatch:
        """The batch of a step."""
        batch = self.batches.draw(step, count)
        return PictureBatch(as_pictures(batch.z, self.size), batch.captions)


def one_word_away(caption: str, kinds: Sequence[SoundKind], numbers: Sequence[float]) -> str:
    """The caption with one modifier or kind exchanged for another of its sort."""
    words = caption.split()
    sorts = [list(MODIFIERS), [k.name for k in kinds if " " not in k.name]]
    places = [(i, sort) for i, word in enumerate(words) for sort in sorts if word in sort]
    if not places:
        return f"{caption} recording"
    index, sort = places[int(numbers[0] * len(places))]
    others = [word for word in sort if word != words[index]]
    words[index] = others[int(numbers[1] * len(others))]
    return " ".join(words)
