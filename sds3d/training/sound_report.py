"""The numbers of a finished run of the audio prior, as `sds3d prior eval` prints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.look import Look
from ..core.streams import Streams
from ..priors.base import Prompts, concatenate
from ..priors.kinds.audio import AudioPrior, Options, load_folder
from ..priors.noise_schedule import over
from ..priors.scorer import Scorer
from ..priors.sound_scorer import as_pictures
from ..sounds.captions import allowed, plain_caption
from ..sounds.held_out import pair_is_held_out
from .sound_options import SoundTrainOptions
from .sound_run import prepare_sound_scorer, sample
from .sounds import SoundBatches, learned_kinds, make_set, one_word_away

BINS = (0.15, 0.4, 0.65, 0.9)
"""Times at which errors are told."""
_AT_ONCE = 32


def fields(options: SoundTrainOptions) -> dict[str, list[str]]:
    """Captions by sort: of kinds alone and with a modifier that training says, and with one that is held out."""
    kinds = learned_kinds(options.sounds)
    seen = [plain_caption(k) for k in kinds] + [plain_caption(k, (m,)) for k in kinds for m in allowed(k)]
    kept = [plain_caption(k, (m,)) for k in kinds for m in k.modifiers if pair_is_held_out(m, k)]
    return {"seen": seen, "held-out pairs": kept}


def ranks(
    scorer: Scorer, z: Float[Tensor, "b 1 m n"], asked: Sequence[str], field: Sequence[str]
) -> list[int]:
    """1 + the number of captions of the field that a scorer prefers to the asked one, for each spectrogram."""
    with torch.no_grad():
        images, texts = scorer.embed_images(as_pictures(z, scorer.image_size)), scorer.embed_texts(field)
        own = (images * scorer.embed_texts(asked)).sum(1, keepdim=True)
    return ((images @ texts.T > own + 1e-6).sum(1) + 1).tolist()


def evaluate_sounds(
    options: SoundTrainOptions, captions: int, seeds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Retrieval among all captions by the judge (trained first where it is missing), and prediction errors.

    Args:
        captions: at most how many of each sort. seeds: samples of each.
    """
    levels, known = make_set(options.sounds, options.folder / "sounds", lambda: False, say)
    judge = prepare_sound_scorer(options, options.judge, options.folder / "judge", levels, known, say)
    prior, by_sort = load_folder(options.folder / "model", Options()), fields(options)
    field = [c for part in by_sort.values() for c in part]
    out: dict[str, Any] = {}
    for name, part in by_sort.items():
        chosen = part[:: max(1, -(-len(part) // captions))]
        found: list[int] = []
        for seed in range(seeds):
            for first in range(0, len(chosen), _AT_ONCE):
                asked = chosen[first : first + _AT_ONCE]
                found += ranks(judge, sample(prior, asked, seed=seed * 1000 + first), asked, field)
            say(f"{name}, seed {seed}")
        out[name] = {
            "captions": len(chosen),
            "of": len(field),
            "R@1": share(found, 1),
            "R@5": share(found, 5),
        }
    held = SoundBatches(levels, known, Streams(options.seed + 1)).draw(1_000_000_007, 48)
    out["judge on true sounds"] = {
        "R@1": share(ranks(judge, held.z, held.captions, _with(field, held.captions)), 1)
    }
    for t, row in errors(prior, held.z, held.captions, options).items():
        out[f"error at t {t:g}"] = row
    return out


def _with(field: Sequence[str], more: Sequence[str]) -> list[str]:
    """Both, each caption once."""
    return list(dict.fromkeys([*field, *more]))


def share(found: Sequence[int], k: int) -> float:
    """Share of ranks up to k."""
    return round(sum(rank <= k for rank in found) / len(found), 3)


@torch.no_grad()
def errors(
    prior: AudioPrior, z: Float[Tensor, "b 1 m n"], captions: Sequence[str], options: SoundTrainOptions
) -> dict[float, dict[str, float]]:
    """Mean squared error of the predicted spectrogram told the right caption, none, and one a word away."""
    kinds, look = learned_kinds(options.sounds), Look(None, prior.info.size, torch.zeros(1, 3))
    numbers = Streams(5).uniform((len(z), 2), "wrong")[0].tolist()
    wrong = [one_word_away(c, kinds, n) for c, n in zip(captions, numbers, strict=True)]
    eps = Streams(5).normal(tuple(z.shape), "eval noise")[0]
    empty = prior.condition(prior.prepare(Prompts(captions[0])), look, {})["null"]
    conditions = {
        "right": concatenate([prior.condition(prior.prepare(Prompts(c)), look, {})["y"] for c in captions]),
        "null": concatenate([empty] * len(z)),
        "wrong caption": concatenate(
            [prior.condition(prior.prepare(Prompts(c)), look, {})["y"] for c in wrong]
        ),
    }
    out = {}
    for time in BINS:
        t = torch.full((len(z),), time, dtype=torch.float64)
        z_t = over(prior.schedule.alpha(t), z) * z + over(prior.schedule.sigma(t), z) * eps
        out[time] = {
            name: round(float((prior.predict(z_t, t, cond).x0 - z).square().mean()), 5)
            for name, cond in conditions.items()
        }
    return out
