"""A text tower that learns from sentences: what they say, what it makes of them, a folder that is read back."""

from __future__ import annotations

import pytest
import torch

from sds3d.core.errors import Sds3dError, StopRequested
from sds3d.core.streams import Streams
from sds3d.objects.captions import Caption, Subject
from sds3d.objects.catalogue import find
from sds3d.priors.pixel_unet import pool_text
from sds3d.training.options import PictureOptions, ReadingOptions, TextOptions, TrainOptions
from sds3d.training.plan import learned_kinds, plan
from sds3d.training.reading import Meaning, Sentences, reader_of
from sds3d.training.render import render_set
from sds3d.training.run import prepare_scorer
from sds3d.training.words import TextTower, token_ids

PICTURES = PictureOptions(
    kinds=("cube", "mug", "duck", "table", "mushroom"), per_kind=8, per_relation=8, of_three=4
)
KINDS = learned_kinds(PICTURES)


def pooled(tower: TextTower, *texts: str) -> torch.Tensor:
    """What the network is told of a text."""
    ids, layer = token_ids(tower.tokenizer, texts), tower.text_projection
    with torch.no_grad():
        states = tower.text_encoder(ids).last_hidden_state
        return pool_text(states, ids, tower.tokenizer.eos_token_id, layer.weight, layer.bias)


@pytest.fixture(scope="module")
def tower(tmp_path_factory) -> TextTower:
    """A tower of a few seconds."""
    options = ReadingOptions(steps=120, batch=48)
    place = tmp_path_factory.mktemp("reading")
    return reader_of(place, KINDS, lambda: plan(PICTURES), options, 0.3, lambda: False, print)


def test_what_a_caption_says():
    meaning = Meaning(KINDS)
    duck, table = find("duck"), find("table")
    said = meaning.of(
        Subject((duck, table), "on"),
        Caption("a red duck on a blue table", {"main": "red", "second": "blue"}),
        "back view",
    )
    answers = [known[i] for known, i in zip(meaning.answers, said, strict=True)]
    assert answers == ["duck", "table", None, "red", "blue", "gray", None, False, "on", "back view"]


@pytest.mark.parametrize(("text", "told"), [("a red and white striped mug", "striped"), ("a red mug", None)])
def test_a_pattern_counts_where_it_is_said(text, told):
    meaning = Meaning(KINDS)
    said = meaning.of(Subject((find("mug"),), pattern="striped"), Caption(text, {"main": "red"}), None)
    assert meaning.answers[6][said[6]] == told


def test_sentences_repeat_and_keep_out_what_is_held_out():
    pictures = plan(PICTURES)
    kept_out = {(p.subject.kinds, p.subject.relation) for p in pictures if p.held_out}
    sentences = Sentences(pictures, Meaning(KINDS), Streams(0), 0.3)
    texts, answers = sentences.draw(3, 64)
    again, same = sentences.draw(3, 64)
    assert texts == again
    assert torch.equal(answers, same)
    assert texts != sentences.draw(4, 64)[0]
    assert not kept_out & {(s.kinds, s.relation) for s in sentences.several}
    assert any(t.endswith("view") for t in texts)
    assert not all(t.endswith("view") for t in texts)


def test_equal_meanings_lie_together(tower):
    cup, mug, pink, duck = (
        pooled(tower, "a red cup", "a photo of a red mug", "a pink mug", "a red duck") / 128**0.5
    )
    assert float(cup @ mug) > 0.9
    assert float(mug @ pink) < float(cup @ mug) - 0.05
    assert float(mug @ duck) < float(cup @ mug) - 0.05


def test_order_counts(tower):
    a, b = pooled(tower, "a red duck on a blue table", "a blue duck on a red table") / 128**0.5
    assert float(a @ b) < 0.9


def test_the_empty_prompt_is_zero(tower):
    assert not pooled(tower, "").any()


def test_a_finished_tower_is_read_back(tower, tmp_path):
    options = ReadingOptions(steps=2, batch=4)

    def asked():
        return reader_of(tmp_path, KINDS, lambda: plan(PICTURES), options, 0.3, lambda: False, print)

    first = pooled(asked(), "a red mug")
    assert torch.equal(first, pooled(asked(), "a red mug"))
    with pytest.raises(Sds3dError, match="learned other kinds or with other options"):
        reader_of(tmp_path, KINDS[:3], lambda: plan(PICTURES), options, 0.3, lambda: False, print)
    with pytest.raises(StopRequested, match="step 0 of 2"):
        reader_of(tmp_path / "b", KINDS, lambda: plan(PICTURES), options, 0.3, lambda: True, print)


def test_a_judge_can_begin_as_a_reader(tmp_path):
    """Its text side then tells captions apart before it has seen a picture; held-out pairs are in its sentences."""
    reading = ReadingOptions(steps=60, batch=32, seed=5)
    judge = TextOptions(
        steps=1,
        batch=2,
        size=8,
        channels=(8,),
        strides=(2,),
        optimizer="muon",
        every_pair=True,
        reading=reading,
    )
    options = TrainOptions(folder=tmp_path, pictures=PICTURES.model_copy(update={"size": 8}), judge=judge)
    render_set(options.pictures, tmp_path / "pictures")
    scorer = prepare_scorer(options, judge, tmp_path / "judge", print)
    cup, mug, duck = scorer.text_vectors(["a red mug", "a photo of a red mug", "a blue duck"])
    assert float(cup @ mug) > 0.9 > float(cup @ duck)


def test_a_scorer_has_one_beginning(tmp_path):
    """Regression: with start and reading the reading won in silence."""
    judge = TextOptions(start="scorer", reading=ReadingOptions())
    with pytest.raises(Sds3dError, match="start and reading: a scorer goes on from one of them"):
        prepare_scorer(TrainOptions(folder=tmp_path), judge, tmp_path / "judge", print)
