"""A text tower that learned to read: from the pooled text, linear layers tell what a caption says.

The generator knows what each of its sentences means, so no picture is needed: kinds, the colour of each paint, pattern,
gloss, relation and side are classified, all at once. What a caption says is then a linear function of the pooled text,
which a network that is fitted on it can use at once; pairs and relations that are held out are in no sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..objects.captions import NUMBERS_NEEDED, Caption, Subject, draw_caption, vocabulary
from ..objects.colours import FIXED
from ..objects.kind import Kind
from ..objects.patterns import PATTERN_WORDS, PATTERNS
from ..objects.scenes import RELATIONS
from ..priors.pixel_unet import pool_text
from ..priors.views import VIEW_WORDS
from .batches import SINGLE_SHARE
from .network import save_text_side
from .options import ReadingOptions
from .plan import Picture
from .short_fit import fit_shortly
from .words import (
    WIDTH,
    TextTower,
    load_projection,
    make_text_encoder,
    make_tokenizer,
    set_weights,
    token_ids,
)

_SPREAD = 0.05
_WARM_UP = 100


class Meaning:
    """What a caption says, as answers to ten questions.

    The kinds of up to three objects, the colours of three paints, the pattern, gloss, relation and side. "None" is the
    last answer where there may be none.
    """

    def __init__(self, kinds: Sequence[Kind]):
        self.kinds = [k.name for k in kinds]
        self.answers: tuple[Sequence, ...] = (
            self.kinds, [*self.kinds, None], [*self.kinds, None], [*FIXED], [*FIXED], [*FIXED],
            [*PATTERNS, None], [False, True], [*RELATIONS, None], [*VIEW_WORDS, None],
        )  # fmt: skip

    def of(self, subject: Subject, caption: Caption, side: str | None) -> list[int]:
        """The number of each answer."""
        kinds = [*(k.name for k in subject.kinds), None, None][:3]
        paints = [caption.colours.get(p, "gray") for p in ("main", "second", "third")]
        said = set(caption.text.split()) & set(PATTERN_WORDS.get(subject.pattern or "", ()))
        told = [*kinds, *paints, subject.pattern if said else None, caption.glossy, subject.relation, side]
        return [list(known).index(answer) for known, answer in zip(self.answers, told, strict=True)]


class Sentences:
    """Captions of the pictures' subjects and what they say; a pure function of the step.

    Args:
        view_words: share that says a side. every_pair: also pairs and relations that are held out, for judges.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        meaning: Meaning,
        streams: Streams,
        view_words: float,
        every_pair: bool = False,
    ):
        shown = [p.subject for p in pictures if every_pair or not p.held_out]
        self.single = [s for s in shown if len(s.kinds) == 1]
        self.several = [s for s in shown if len(s.kinds) > 1] or self.single
        self.meaning, self.streams = meaning, streams
        self.view_words, self.every_pair = view_words, every_pair

    def draw(self, step: int, count: int) -> tuple[list[str], Int[Tensor, "b q"]]:
        """`count` sentences, and their answers."""
        numbers = self.streams.uniform((count, NUMBERS_NEEDED + 4), "reading", step=step)[0].tolist()
        texts, answers = [], []
        for drawn in numbers:
            pool_share, which, said, side_number = drawn[NUMBERS_NEEDED:]
            pool = self.single if pool_share < SINGLE_SHARE else self.several
            subject = pool[int(which * len(pool))]
            caption = draw_caption(subject, drawn[:NUMBERS_NEEDED], self.every_pair)
            side = VIEW_WORDS[int(side_number * len(VIEW_WORDS))] if said < self.view_words else None
            texts.append(caption.text + (f", {side}" if side else ""))
            answers.append(self.meaning.of(subject, caption, side))
        return texts, torch.tensor(answers)


def train_reader(
    kinds: Sequence[Kind],
    sentences: Sentences,
    options: ReadingOptions,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> TextTower:
    """A tower over the kinds' words whose pooled text answers the questions.

    Raises:
        StopRequested: `should_stop` said so; minutes of work are given up.
    """
    streams, tokenizer = Streams(options.seed), make_tokenizer(vocabulary(kinds))
    encoder = make_text_encoder(len(tokenizer.get_vocab()), streams).train().requires_grad_(True)
    layers = torch.nn.ModuleList(
        torch.nn.Linear(WIDTH, n) for n in (WIDTH, *(len(a) for a in sentences.meaning.answers))
    )
    set_weights(layers, streams, "reader", matrix_std=_SPREAD)
    projection, questions = layers[0], layers[1:]
    assert isinstance(projection, torch.nn.Linear)

    def loss(step: int) -> Tensor:
        texts, answers = sentences.draw(step, options.batch)
        ids = token_ids(tokenizer, texts)
        states = encoder(ids).last_hidden_state
        pooled = pool_text(states, ids, tokenizer.eos_token_id, projection.weight, projection.bias)
        said = [F.cross_entropy(ask(pooled), answers[:, i]) for i, ask in enumerate(questions)]
        return torch.stack(said).sum()

    weights = [*encoder.parameters(), *layers.parameters()]
    fit_shortly(weights, loss, options, "text tower", _WARM_UP, should_stop, say)
    return TextTower(encoder.eval().requires_grad_(False), tokenizer, projection.requires_grad_(False))


def reader_of(
    folder: Path,
    kinds: Sequence[Kind],
    pictures: Callable[[], Sequence[Picture]],
    options: ReadingOptions,
    view_words: float,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> TextTower:
    """The tower of a folder, trained first if it is not there; in half precision, as it is shipped.

    Raises:
        StopRequested: `should_stop` said so while it was trained. Sds3dError: the folder's learned other kinds, or with
            other options.
    """
    facts = {"options": options.model_dump(mode="json"), "view_words": view_words, "words": vocabulary(kinds)}
    mark = folder / "reading.json"
    if mark.is_file():
        if json.loads(mark.read_text()) != facts:
            raise Sds3dError(
                f"{folder}: this text tower learned other kinds or with other options. Delete the folder, or name "
                "another one as parts="
            )
    else:
        sentences = Sentences(pictures(), Meaning(kinds), Streams(options.seed), view_words)
        save_text_side(train_reader(kinds, sentences, options, should_stop, say), folder)
        # last: with it the folder is whole
        mark.write_text(json.dumps(facts) + "\n")
    return load_tower(folder)


def load_tower(folder: Path) -> TextTower:
    """The text side of a model folder, float32, frozen."""
    from transformers import AutoTokenizer, CLIPTextModel

    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    return TextTower(encoder.eval().requires_grad_(False), tokenizer, load_projection(folder))
