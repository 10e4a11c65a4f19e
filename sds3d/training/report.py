"""The numbers of a finished training run, as `sds3d prior eval` prints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

from ..core.streams import Streams
from ..evaluate.retrieval import Verdict, r_precision
from ..priors.kinds.embedded import Options, load_folder
from ..priors.words import read_vocabulary
from .batches import Batches
from .evaluation import (
    held_out_pairs,
    held_out_relations,
    prediction_errors,
    retrieve,
    seen_captions,
)
from .options import TrainOptions
from .plan import learned_kinds
from .render import open_set
from .run import prepare_scorer
from .start import start_folder


def evaluate_run(
    options: TrainOptions, captions: int, seeds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Retrieval by the judge (trained first where it is missing) and prediction errors.

    Args:
        captions: how many seen captions, and at most how many of each held-out sort. A model that went on from
            another is asked for held-out captions of those kinds alone whose names that one could not read: which
            pairs it was shown is not known here.
        seeds: samples of each caption; the spread over them is reported.
    """
    kinds = learned_kinds(options.pictures)
    judge = prepare_scorer(options, options.judge, options.parts_folder / "judge", say)
    prior = load_folder(options.folder / "model", Options())
    known = set[str]()
    if options.start:
        known, _ = read_vocabulary(start_folder(options.start) / "tokenizer")
    unknown = [k for k in kinds if not set(k.name.split()) <= known]
    groups = {
        "seen": seen_captions(kinds, captions),
        "held-out pairs": held_out_pairs(unknown, captions),
        "held-out relations": held_out_relations(kinds, captions, unknown),
    }
    out: dict[str, Any] = {}
    for name, asked in groups.items():
        rounds = []
        for seed in range(seeds):
            rounds.append(retrieve(prior, judge, asked, kinds, seed))
            say(f"{name}, seed {seed}: R@1 {r_precision(rounds[-1], 1):.3f} of {len(asked)}")
        out[name] = {"captions": len(asked), "R@1": _spread(rounds, 1), "R@5": _spread(rounds, 5)}
    layers, pictures = open_set(options.pictures, options.parts_folder / "pictures")
    batches = Batches(layers, pictures, Streams(options.seed + 1), options.network.size, view_words=0.0)
    for errors in prediction_errors(prior, batches, kinds):
        out[f"error at t {errors.t[0]} to {errors.t[1]}"] = {
            "right": errors.right,
            "null": errors.null,
            "wrong caption": errors.wrong_caption,
            "camera turned": errors.camera_turned,
        }
    return out


def _spread(rounds: Sequence[Sequence[Verdict]], k: int) -> str:
    """Mean and standard deviation over seeds."""
    values = [r_precision(verdicts, k) for verdicts in rounds]
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
