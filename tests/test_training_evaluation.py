"""What a trained prior is asked: captions that training never showed are never shown."""

from __future__ import annotations

import pytest
import torch

from sds3d.core.streams import Streams
from sds3d.evaluate.retrieval import Verdict
from sds3d.objects.captions import PREFIXES, content_of, read_caption
from sds3d.objects.catalogue import find
from sds3d.objects.held_out import pair_is_held_out, relation_is_held_out
from sds3d.priors.scorer import load_judge, load_scorer
from sds3d.training.evaluation import Jury, candidates, held_out_pairs, held_out_relations, judged
from sds3d.training.network import make_unet, save_model
from sds3d.training.options import NetworkOptions, PictureOptions, ReadingOptions, TextOptions, TrainOptions
from sds3d.training.plan import learned_kinds, plan
from sds3d.training.reading import reader_of
from sds3d.training.render import render_set
from sds3d.training.report import evaluate_run, summary
from sds3d.training.true_pictures import true_picture, true_pictures

KINDS = [
    find(name) for name in ("cube", "duck", "car", "dragon", "mushroom", "table", "cow", "mug", "sphere")
]


def read(caption: str):
    for prefix in PREFIXES:
        caption = caption.removeprefix(prefix)
    return read_caption(caption)


def test_held_out_pairs_are_held_out_and_differ():
    captions = held_out_pairs(KINDS, 60)
    assert len(set(captions)) == len(captions) == 60
    assert any(" with " in c for c in captions)
    for caption in captions:
        subject, colours = read(caption)
        assert pair_is_held_out(colours["main"], subject.kinds[0]), caption


def test_held_out_relations_hold_a_new_kind():
    new = [find("dragon"), find("mug")]
    captions = held_out_relations(KINDS, 40, new)
    assert captions
    for caption in captions:
        subject, _ = read(caption)
        assert {k.name for k in subject.kinds} & {"dragon", "mug"}, caption
        assert relation_is_held_out(subject.kinds[0], subject.relation, subject.kinds[1])


def verdict(rank: int) -> Verdict:
    return Verdict(rank, 10, "a red cube", 0.5, 1.0)


def test_two_judges_are_told_apart():
    judge = [
        [verdict(1), verdict(1), verdict(2), verdict(9)],
        [verdict(1), verdict(1), verdict(1), verdict(1)],
    ]
    scorer = [[verdict(1), None, verdict(1), verdict(6)], [verdict(1), None, verdict(3), verdict(1)]]
    found = summary([{"judge": a, "scorer": b} for a, b in zip(judge, scorer, strict=True)])
    assert found["R@1"] == "0.750 ± 0.354"
    assert found["R@5"] == "0.875 ± 0.177"
    other = found["by the scorer"]
    assert other["captions"] == 3
    assert other["R@1"] == "0.667 ± 0.000"
    assert other["agree"] == "0.667", (
        "of six pictures one is settled by the judge alone, one by the scorer alone"
    )


def test_a_judge_that_cannot_read_a_caption_says_nothing():
    asked = ["a red cube", "a red unicorn"]
    jury = Jury({"scorer": load_scorer()}, asked, KINDS)
    picture = Streams(0).uniform((1, 3, 32, 32), "picture")[0].float()
    assert jury.rank(picture, asked[0])["scorer"] is not None
    assert jury.rank(picture, asked[1]) == {"scorer": None}


def test_each_picture_is_judged_by_itself():
    asked = ["a red cube", "a blue duck"]
    jury = Jury({"scorer": load_scorer()}, asked, KINDS)
    pictures = Streams(1).uniform((2, 3, 32, 32), "pictures")[0].float()
    alone = [jury.rank(pictures[i : i + 1], caption)["scorer"] for i, caption in enumerate(asked)]
    assert judged(jury, pictures, asked) == {"scorer": alone}
    assert judged(jury, pictures.flip(0), asked) != {"scorer": alone}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> TrainOptions:
    """A finished run of a network that knows nothing."""
    folder = tmp_path_factory.mktemp("evaluation")
    pictures = PictureOptions(
        kinds=("cube", "mug", "unicorn"), per_kind=2, per_relation=2, of_three=0, size=16
    )
    network = NetworkOptions(size=16, unshuffle=2, channels=(8, 16), attention=(False, True))
    judge = TextOptions(steps=2, batch=4, size=16, channels=(8, 8), strides=(2, 2), every_pair=True)
    options = TrainOptions(
        folder=folder,
        pictures=pictures,
        network=network,
        judge=judge,
        reading=ReadingOptions(steps=2, batch=4),
    )
    render_set(pictures, folder / "pictures")
    kinds = learned_kinds(pictures)
    tower = reader_of(
        folder / "tower",
        kinds,
        lambda: plan(pictures),
        ReadingOptions(steps=2, batch=4),
        0.3,
        lambda: False,
        print,
    )
    save_model(make_unet(network, 0), tower, network, folder / "model")
    return options


def test_a_run_is_judged_on_what_it_did_not_see(run):
    found = evaluate_run(run, 2, 2, lambda line: None, held_out=1)
    assert found["seen"]["captions"] == 2
    assert found["held-out pairs"]["captions"] == 1
    assert " ± " in found["seen"]["R@1"]
    assert {"R@1", "R@5"} <= set(found["seen"]["true pictures"]), "what the judges can tell at all"
    errors = [value for key, value in found.items() if key.startswith("error at t")]
    assert len(errors) == 4
    assert all(set(e) == {"right", "null", "wrong caption", "one word off", "camera turned"} for e in errors)
    assert all(e["right"] != e["wrong caption"] for e in errors)


def test_a_scorer_of_the_run_reads_all_of_its_words(run):
    small = TextOptions(seed=5, steps=2, batch=4, size=16, channels=(8, 8), strides=(2, 2))
    found = evaluate_run(run.model_copy(update={"scorer": small}), 3, 1, lambda line: None)
    assert (run.folder / "scorer" / "config.json").exists()
    assert found["seen"]["by the scorer"]["captions"] == 3, "the bundled one does not know unicorns"


def test_candidates_speak_of_objects_that_there_are_and_differ():
    """A word of "christmas tree" exchanged gives "christmas fish", which is no object."""
    kinds = [find(name) for name in ("christmas tree", "tree", "fish", "carrot")]
    asked = [f"a {colour} christmas tree" for colour in ("red", "blue", "pink", "green", "purple", "white")]
    found = candidates(asked, kinds, 60)
    assert found[: len(asked)] == asked
    assert len({content_of(caption) for caption in found}) == len(found) == 60


def test_a_scorer_that_rewards_ask_has_seen_nothing_held_out():
    with pytest.raises(ValueError, match="held out"):
        TrainOptions(scorer=TextOptions(every_pair=True))
    with pytest.raises(ValueError, match="take another"):
        TrainOptions(scorer=TextOptions(seed=7), reading=ReadingOptions())


def test_judges_put_true_pictures_first():
    """Of plain captions, as the generator draws them; two objects stand as they are asked."""
    asked = ["a red mushroom", "a blue cube", "a red and white striped mug", "a yellow duck on a green table"]
    angles = torch.tensor([[30.0, 10.0], [80.0, 20.0], [140.0, 15.0], [300.0, 15.0]])
    jury = Jury(
        {"judge": load_judge(), "scorer": load_scorer()},
        asked,
        [find(n) for n in ("mug", "car", "owl", "table")],
    )
    pictures = true_pictures(asked, angles, 64)
    for name, verdicts in judged(jury, pictures, asked).items():
        assert [v.rank <= 2 for v in verdicts] == [True] * 4, (name, verdicts)


@pytest.mark.parametrize(
    ("caption", "shown"),
    [
        ("a red mushroom with a blue stem", {"red", "blue"}),
        ("a green mushroom", {"green"}),
        ("a 3d render of a red and blue striped cube", {"red", "blue"}),
        ("a red cube on a green table", {"red", "green"}),
        ("a blue cube next to a red sphere", {"red", "blue"}),
    ],
)
def test_a_true_picture_has_the_colours_that_are_said(caption, shown):
    red, green, blue = true_picture(caption, 30.0, 15.0, 32, 0)
    above = {"red": (red, green, blue), "green": (green, red, blue), "blue": (blue, red, green)}
    found = {name for name, (own, a, b) in above.items() if int((own > torch.maximum(a, b) + 0.2).sum()) >= 5}
    assert found == shown


def test_a_true_picture_shines_where_that_is_said():
    plain, glossy = (true_picture(f"a {word} sphere", 30.0, 15.0, 32, 0) for word in ("red", "glossy red"))
    assert (glossy >= plain).all()
    assert (glossy > plain + 0.05).any()
