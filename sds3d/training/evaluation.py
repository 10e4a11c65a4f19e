"""How good a trained prior is: retrieval among captions one word apart, and what caption and camera are worth."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import orbit
from ..core.look import Look
from ..core.streams import Streams
from ..evaluate.retrieval import Judge, Verdict
from ..objects.captions import NUMBERS_NEEDED, Subject, colours_of, content_of, draw_caption, with_article
from ..objects.catalogue import ObjectError
from ..objects.colours import NAMED
from ..objects.held_out import pair_is_held_out, relation_is_held_out
from ..objects.kind import Kind
from ..objects.scenes import RELATIONS, related
from ..priors.base import Cond, Prompts, concatenate
from ..priors.kinds.embedded import EmbeddedPrior
from ..priors.scorer import Scorer
from ..priors.words import split_words
from .batches import Batches
from .contrast import one_word_away
from .sampling import ddim

BINS = ((0.02, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.98))
"""Ranges of t over which errors are averaged."""


ENOUGH = 100
"""Captions in a row that say nothing new: so few kinds have been exhausted, nearly."""


def seen_captions(kinds: Sequence[Kind], count: int, seed: int = 0) -> list[str]:
    """Captions of one object that training may have shown, no two of one content; fewer where few kinds say no more."""
    streams, out = Streams(seed), dict[Hashable, str]()
    number = newest = 0
    while len(out) < count and number - newest <= ENOUGH:
        kind = kinds[number % len(kinds)]
        drawn = streams.uniform((NUMBERS_NEEDED,), "eval caption", ids=(number,))[0].tolist()
        text = draw_caption(Subject((kind,)), drawn).text
        content = content_of(text)
        if content not in out:
            out[content], newest = text, number
        number += 1
    return list(out.values())


def held_out_pairs(kinds: Sequence[Kind], count: int, seed: int = 0) -> list[str]:
    """Captions of one object in a colour that training never showed on it, plain ones first.

    Every "a colour kind" that is held out; then, up to `count`, such pairs with a part in another colour or shining,
    no two of one content.
    """
    streams, pairs = Streams(seed), [(c, k) for k in kinds for c in NAMED if pair_is_held_out(c, k)]
    out = _by_content(with_article(f"{c} {k.name}") for c, k in pairs)
    for number in range(40 * len(pairs)):
        if len(out) >= count:
            break
        colour, kind = pairs[number % len(pairs)]
        drawn = streams.uniform((NUMBERS_NEEDED,), "eval held out", ids=(number,))[0].tolist()
        drawn[0] = (list(NAMED).index(colour) + 0.5) / len(NAMED)
        caption = draw_caption(Subject((kind,)), drawn, every_pair=True)
        if caption.colours["main"] == colour:
            out.setdefault(content_of(caption.text), caption.text)
    return list(out.values())[:count]


def _by_content(captions: Iterable[str]) -> dict[Hashable, str]:
    """The first caption of each content."""
    out = dict[Hashable, str]()
    for caption in captions:
        out.setdefault(content_of(caption), caption)
    return out


def _says_something(caption: str) -> bool:
    """Whether it speaks of objects that there are: a word of "a pink christmas tree" exchanged may give none."""
    try:
        content_of(caption)
    except ObjectError:
        return False
    return True


def held_out_relations(
    kinds: Sequence[Kind], count: int, new: Sequence[Kind] | None = None, seed: int = 0
) -> list[str]:
    """Captions of two objects in a relation that training never showed; their colours it did.

    Args:
        new: of the two, at least one is among these; without it any pair will do.
    """
    streams, names = Streams(seed), {k.name for k in kinds}
    fresh = names if new is None else {k.name for k in new}
    triples = [
        (a, relation, b)
        for relation in RELATIONS
        for a, b in related(relation)
        if a.name in names and b.name in names and {a.name, b.name} & fresh
        if relation_is_held_out(a, relation, b)
    ]
    order = streams.uniform((len(triples),), "eval relations")[0].argsort().tolist()
    out = []
    for i in order[:count]:
        a, relation, b = triples[i]
        u, v = streams.uniform((2,), "eval colours", ids=(i,))[0].tolist()
        first, second = (colours_of(k) for k in (a, b))
        colours = first[int(u * len(first))], second[int(v * len(second))]
        out.append(
            f"{with_article(f'{colours[0]} {a.name}')} {relation} {with_article(f'{colours[1]} {b.name}')}"
        )
    return out


def candidates(asked: Sequence[str], kinds: Sequence[Kind], count: int = 1000) -> list[str]:
    """The asked captions, for each one a caption one word away, and others up to `count`; one of each content."""
    streams = Streams(1)
    near = [
        one_word_away(caption, kinds, streams.uniform((2,), "near", ids=(i,))[0].tolist())
        for i, caption in enumerate(asked)
    ]
    sound = [caption for caption in near if _says_something(caption)]
    known = _by_content([*asked, *sound, *seen_captions(kinds, count, seed=1)])
    return list(known.values())[: max(count, len(_by_content(asked)))]


class Jury:
    """Judges side by side, each over the candidates that it can read.

    Args:
        judges: by name. asked: the captions that are sampled. kinds: what other candidates speak of.
    """

    def __init__(self, judges: Mapping[str, Scorer], asked: Sequence[str], kinds: Sequence[Kind]):
        known = candidates(asked, kinds)
        self._said = _by_content(known)
        self.judges = {name: Judge(scorer, readable(scorer, known)) for name, scorer in judges.items()}

    def rank(self, rgb: Float[Tensor, "b 3 h w"], caption: str) -> dict[str, Verdict | None]:
        """Each judge's verdict on views of one object; None from one that cannot read the caption.

        Of asked captions that have one content, the first one stands for all.
        """
        said = self._said[content_of(caption)]
        return {
            name: judge.rank(rgb, said) if said in judge.captions else None
            for name, judge in self.judges.items()
        }


def readable(scorer: Scorer, captions: Sequence[str]) -> list[str]:
    """The captions of which a scorer knows every word and that are not too long for it."""
    vocabulary, longest = set(scorer.tokenizer.get_vocab()), scorer.tokenizer.model_max_length - 2
    words = {caption: split_words(caption) for caption in captions}
    return [c for c, said in words.items() if len(said) <= longest and vocabulary.issuperset(said)]


def angles_deg(count: int, seed: int) -> Float[Tensor, "n 2"]:
    """Azimuth and elevation from which each caption is drawn."""
    drawn = Streams(seed).uniform((count, 2), "eval camera")[0]
    return torch.stack([360 * drawn[:, 0], -5 + 60 * drawn[:, 1]], 1)


def retrieve(
    prior: EmbeddedPrior, jury: Jury, asked: Sequence[str], seed: int = 0, steps: int = 20
) -> dict[str, list[Verdict | None]]:
    """Sample each caption once, from some side on white, and let each judge rank it."""
    angles = angles_deg(len(asked), seed)
    verdicts: dict[str, list[Verdict | None]] = {name: [] for name in jury.judges}
    for start in range(0, len(asked), 16):
        part = list(asked[start : start + 16])
        cameras = orbit(*angles[start : start + 16].T.tolist())
        pictures = ddim(prior, part, cameras, torch.ones(len(part), 3), steps, seed=seed * 100_000 + start)
        for name, found in judged(jury, pictures, part).items():
            verdicts[name] += found
    return verdicts


def judged(
    jury: Jury, pictures: Float[Tensor, "b 3 h w"], asked: Sequence[str]
) -> dict[str, list[Verdict | None]]:
    """Each judge's verdict on each picture and its caption."""
    found = [jury.rank(pictures[i : i + 1], caption) for i, caption in enumerate(asked)]
    return {name: [each[name] for each in found] for name in jury.judges}


@dataclass(frozen=True)
class Errors:
    """Mean squared error of the predicted picture in one range of t, told different things."""

    t: tuple[float, float]
    right: float
    null: float
    wrong_caption: float
    one_word_off: float
    camera_turned: float


@torch.no_grad()
def prediction_errors(
    prior: EmbeddedPrior, batches: Batches, kinds: Sequence[Kind], pictures: int = 64
) -> list[Errors]:
    """What the right caption and the right camera are worth, by noise level.

    "turned" tells the network the opposite side; "wrong" another picture's caption, "one word off"
    its own with one word exchanged.
    """
    streams = Streams(5)
    batch = batches.draw(1_000_000_007, pictures)
    numbers = streams.uniform((pictures, 2), "wrong", step=0)[0].tolist()
    near = [one_word_away(c, kinds, n) for c, n in zip(batch.captions, numbers, strict=True)]
    size = prior.info.size
    sums = torch.zeros(len(BINS), 5)
    for i in range(pictures):
        background = batch.background[i : i + 1]
        azimuth, elevation = float(batch.azimuth_deg[i]), float(batch.elevation_deg[i])
        look = Look(orbit([azimuth], [elevation]), size, background)
        turned = Look(orbit([azimuth + 180.0], [elevation]), size, background)
        told = prior.prepare(Prompts(batch.captions[i]))
        conditions = [
            prior.condition(told, look, {})["y"],
            prior.condition(told, look, {})["null"],
            prior.condition(prior.prepare(Prompts(_another(batch.captions, i))), look, {})["y"],
            prior.condition(prior.prepare(Prompts(near[i])), look, {})["y"],
            prior.condition(told, turned, {})["y"],
        ]
        x0 = prior.encode(batch.rgb[i : i + 1])
        sums += _errors(prior, x0, conditions, streams, i)
    mean = (sums / pictures).tolist()
    return [Errors(t, *row) for t, row in zip(BINS, mean, strict=True)]


def _another(captions: Sequence[str], number: int) -> str:
    """The next picture's caption that says something else."""
    order = [*captions[number + 1 :], *captions[:number]]
    return next((c for c in order if c != captions[number]), captions[number])


def _errors(
    prior: EmbeddedPrior, x0: Tensor, conditions: Sequence[Cond], streams: Streams, number: int
) -> Float[Tensor, "n c"]:
    """Error at the middle of each range of t under each condition; the noise does not depend on the condition."""
    told, out = concatenate(conditions), []
    for index, (low, high) in enumerate(BINS):
        t = torch.tensor([(low + high) / 2], dtype=torch.float64)
        eps = streams.normal(tuple(x0.shape[1:]), "eval noise", index, ids=(number,))
        a, s = (float(v) for v in prior.schedule.levels(t))
        z_t = (a * x0 + s * eps).expand(len(conditions), -1, -1, -1)
        predicted = prior.predict(z_t, t.expand(len(conditions)), told).x0
        out.append((predicted - x0).square().flatten(1).mean(1))
    return torch.stack(out)
