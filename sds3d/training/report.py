"""The numbers of a finished training run, as `sds3d prior eval` prints them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from ..core.streams import Streams
from ..evaluate.retrieval import Verdict, r_precision
from ..objects.kind import Kind
from ..priors.kinds.embedded import EmbeddedPrior, Options, load_folder
from ..priors.scorer import Scorer, load_scorer
from ..priors.words import read_vocabulary
from .batches import Batches
from .evaluation import (
    Jury,
    angles_deg,
    held_out_pairs,
    held_out_relations,
    judged,
    prediction_errors,
    retrieve,
    seen_captions,
)
from .options import TrainOptions
from .plan import learned_kinds
from .render import open_set, render_set
from .run import prepare_scorer
from .start import start_folder
from .true_pictures import true_pictures

UNSEEN = {"per_kind": 2, "per_relation": 16, "of_three": 8}
"""Pictures of builds that training did not see; no sort that it did not have either."""


def evaluate_run(
    options: TrainOptions,
    captions: int,
    seeds: int,
    say: Callable[[str], None],
    held_out: int | None = None,
) -> dict[str, Any]:
    """Retrieval by judge and scorer (trained first where they are missing); errors on unseen builds.

    True pictures of the same captions are ranked too: what the judges can tell at all.

    Args:
        captions: how many seen captions.
        seeds: samples of each caption; the spread over them is reported.
        held_out: at most how many captions of each held-out sort, `captions` without it. A model that went on from
            another is asked for held-out captions of those kinds alone whose names that one could not read: which
            pairs it was shown is not known here.
    """
    kinds = learned_kinds(options.pictures)
    judges = _judges(options, say)
    prior = load_folder(options.folder / "model", Options())
    known = set[str]()
    if options.start:
        known, _ = read_vocabulary(start_folder(options.start) / "tokenizer")
    unknown = [k for k in kinds if not set(k.name.split()) <= known]
    most = captions if held_out is None else held_out
    groups = {
        "seen": seen_captions(kinds, captions),
        "held-out pairs": held_out_pairs(unknown, most),
        "held-out relations": held_out_relations(kinds, most, unknown),
    }
    out: dict[str, Any] = {}
    for name, asked in groups.items():
        out[name] = {"captions": len(asked)}
        if not asked:
            continue
        jury, rounds = Jury(judges, asked, kinds), []
        for seed in range(seeds):
            rounds.append(retrieve(prior, jury, asked, seed))
            first = r_precision(_given(rounds[-1]["judge"]), 1)
            say(f"{name}, seed {seed}: R@1 {first:.3f} of {len(asked)}")
        true = true_pictures(asked, angles_deg(len(asked), 0), options.network.size)
        out[name] |= summary(rounds) | {"true pictures": summary([judged(jury, true, asked)])}
    return out | _errors(options, prior, kinds)


def _judges(options: TrainOptions, say: Callable[[str], None]) -> dict[str, Scorer]:
    """Judge and scorer of the run; the bundled scorer where it has none."""
    judge = prepare_scorer(options, options.judge, options.parts_folder / "judge", say)
    if options.scorer is None:
        return {"judge": judge, "scorer": load_scorer()}
    own = prepare_scorer(options, options.scorer, options.parts_folder / "scorer", say)
    return {"judge": judge, "scorer": own}


def _errors(
    options: TrainOptions, prior: EmbeddedPrior, kinds: Sequence[Kind]
) -> dict[str, dict[str, float]]:
    """Errors on builds that training did not see, by range of t."""
    unseen = options.pictures.model_copy(
        update={"seed": options.pictures.seed + 1}
        | {name: min(few, getattr(options.pictures, name)) for name, few in UNSEEN.items()}
    )
    place = options.parts_folder / "unseen"
    render_set(unseen, place, 1, lambda done, count: None)
    layers, pictures = open_set(unseen, place)
    batches = Batches(layers, pictures, Streams(options.seed + 1), options.network.size, view_words=0.0)
    return {
        f"error at t {errors.t[0]} to {errors.t[1]}": {
            "right": errors.right,
            "null": errors.null,
            "wrong caption": errors.wrong_caption,
            "one word off": errors.one_word_off,
            "camera turned": errors.camera_turned,
        }
        for errors in prediction_errors(prior, batches, kinds)
    }


def summary(rounds: Sequence[Mapping[str, Sequence[Verdict | None]]]) -> dict[str, Any]:
    """Means and spreads over seeds of R@1 and R@5 of each judge over the captions that it can read.

    "agree" is the share of the pictures, of those that both can read, on whose caption they both do or both do not
    settle.
    """
    judge, scorer = ([_given(r[name]) for r in rounds] for name in ("judge", "scorer"))
    out: dict[str, Any] = {"R@1": _spread(judge, 1), "R@5": _spread(judge, 5)}
    if scorer[0] and judge[0]:
        both = [(a, b) for r in rounds for a, b in zip(r["judge"], r["scorer"], strict=True) if a and b]
        out["by the scorer"] = {
            "captions": len(scorer[0]),
            "R@1": _spread(scorer, 1),
            "R@5": _spread(scorer, 5),
            "agree": f"{mean((a.rank == 1) == (b.rank == 1) for a, b in both):.3f}",
        }
    return out


def _given(verdicts: Sequence[Verdict | None]) -> list[Verdict]:
    """Those that are there."""
    return [v for v in verdicts if v is not None]


def _spread(rounds: Sequence[Sequence[Verdict]], k: int) -> str:
    """Mean and standard deviation over seeds."""
    values = [r_precision(verdicts, k) for verdicts in rounds]
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
