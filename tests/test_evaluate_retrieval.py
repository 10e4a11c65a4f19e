"""R-precision with a judge whose answers are known, and the fixed views."""

from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.streams import Streams
from sds3d.evaluate.captions import COLOURS, OBJECTS, candidates, caption_of
from sds3d.evaluate.retrieval import Judge, Verdict, r_precision
from sds3d.evaluate.views import judge_cameras, outline_cameras, render_views, unseen_cameras
from sds3d.priors.scorer import load_scorer

WORDS = ["a red cube", "a green cube", "a blue cube"]


class ColourEye:
    """Embeds a picture as its mean colour and the three captions as the three axes."""

    def embed_images(self, rgb):
        return rgb.mean((2, 3))

    def embed_texts(self, texts):
        return torch.eye(3)[[WORDS.index(t) for t in texts]]


def flat(*colours):
    return torch.tensor(colours)[:, :, None, None].expand(-1, 3, 4, 4)


def test_views_are_pooled_before_ranking():
    judge = Judge(ColourEye(), WORDS)
    pictures = flat((0.9, 0.0, 0.2), (0.1, 0.6, 0.2), (0.1, 0.6, 0.2))
    green = judge.rank(pictures, "a green cube")
    assert (green.rank, green.best, green.candidates) == (1, "a green cube", 3)
    assert green.view_hits == pytest.approx(2 / 3)
    assert green.score == pytest.approx(0.4)
    assert judge.rank(pictures, "A red  CUBE").rank == 2
    assert judge.rank(pictures, "a blue cube").rank == 3


def test_a_prompt_outside_the_candidates_has_no_rank():
    judge = Judge(ColourEye(), WORDS)
    assert judge.serves("a red cube")
    assert not judge.serves("a dog")
    with pytest.raises(ValueError, match="none of the 3 candidate"):
        judge.rank(flat((1.0, 0.0, 0.0)), "a dog")


@settings(max_examples=20, deadline=None)
@given(ranks=st.lists(st.integers(1, 20), min_size=1, max_size=30), k=st.integers(1, 20))
def test_r_precision_grows_with_k_to_one(ranks, k):
    verdicts = [Verdict(rank, 708, "", 0.0, 0.0) for rank in ranks]
    assert r_precision(verdicts, k) == sum(r <= k for r in ranks) / len(ranks)
    assert r_precision(verdicts, k) <= r_precision(verdicts, k + 1) <= r_precision(verdicts, 20) == 1.0


def test_no_objects_have_no_precision():
    with pytest.raises(ValueError, match="no objects"):
        r_precision([])


def test_the_candidates_are_every_colour_of_every_object_once():
    captions = candidates()
    assert len(captions) == len(set(captions)) == len(COLOURS) * len(OBJECTS) == 1404
    assert caption_of(" A Red  cube ") == "a red cube"
    assert caption_of("a orange cube") == caption_of("an orange cube") == "an orange cube"
    assert {caption_of(text) for text in ("", "a", "red cube", "the red cube")} == {None}
    assert caption_of("a red zebra") is None


def test_the_candidates_speak_of_what_the_shipped_model_learned():
    config = Path(__file__).resolve().parents[1] / "configs" / "prior" / "prior64.yaml"
    assert list(OBJECTS) == yaml.safe_load(config.read_text())["pictures"]["kinds"]


def test_the_fixed_views_are_where_they_are_said_to_be():
    assert outline_cameras().azimuth_deg.tolist() == [45.0 * k for k in range(8)]
    assert set(outline_cameras().elevation_deg.tolist()) == {15.0}
    assert len(judge_cameras()) == 16
    unseen = unseen_cameras()
    assert float(unseen.elevation_deg.min()) > -10.0
    assert float(unseen.elevation_deg.max()) < 60.0
    to_step = (unseen.azimuth_deg + 22.5) % 45.0 - 22.5
    assert float(to_step.abs().min()) > 0.5


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_batches_do_not_show_in_rendered_views(batch):
    """The pretended renderer paints each view's azimuth over the background it was handed."""

    def render(look):
        paint = (look.cameras.azimuth_deg / 360.0)[:, None, None, None]
        rgb = paint * Streams(0).uniform((3, *look.size), "paint").float() + look.background[:, :, None, None]
        return {"rgb": rgb, "alpha": rgb[:, :1], "extra": rgb}

    cameras = judge_cameras()
    whole = render_views(render, cameras, (5, 6), (0.1, 0.2, 0.3), batch=len(cameras))
    parts = render_views(render, cameras, (5, 6), (0.1, 0.2, 0.3), batch=batch)
    assert set(parts) == {"rgb", "alpha"}
    assert parts["rgb"].shape == (16, 3, 5, 6)
    assert torch.equal(parts["rgb"], whole["rgb"])


def test_renders_that_are_not_finite_rank_last():
    judge = Judge(load_scorer(), ["a red cube", "a blue cube", "a red car"])
    assert judge.rank(torch.full((1, 3, 32, 32), float("nan")), "a red cube").rank == 3


def test_a_candidate_is_served_as_it_is_spelt():
    judge = Judge(load_scorer(), ["a orange cube", "a red cube"])
    assert judge.rank(torch.ones(1, 3, 32, 32), "a orange cube").candidates == 2
    assert judge.serves(" A red  cube ")
