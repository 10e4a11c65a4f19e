"""Growing a finished model: more inputs, the same function at first; a text encoder that begins as another."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.errors import Sds3dError
from sds3d.core.streams import Streams
from sds3d.priors.pixel_unet import unet_output
from sds3d.training.contrast import begin_as, make_scorer, save_scorer
from sds3d.training.network import make_unet, view_features
from sds3d.training.options import NetworkOptions, TextOptions
from sds3d.training.precision import arithmetic
from sds3d.training.start import Start, grown, lengthen, load_start
from sds3d.training.words import WIDTH, TextTower, adopt, make_text_encoder, make_tokenizer, token_ids

SMALL = NetworkOptions(
    size=16, unshuffle=4, channels=(8, 8, 16), azimuth_harmonics=1, elevation_harmonics=1, camera_gain=1.0,
    view_maps=False,
)  # fmt: skip


def tower(words: list[str], seed: int) -> TextTower:
    streams, tokenizer = Streams(seed), make_tokenizer(words)
    return TextTower(make_text_encoder(len(tokenizer), streams), tokenizer, torch.nn.Linear(WIDTH, WIDTH))


def shaken(options: NetworkOptions, seed: int):
    """A network whose layers that start at zero do not: else everything comes out as zero."""
    unet, streams = make_unet(options, seed), Streams(seed + 1)
    with torch.no_grad():
        for name, value in unet.named_parameters():
            value += 0.1 * streams.normal(tuple(value.shape), name)[0]
    return unet.eval()


def answer(unet, options: NetworkOptions, seed: int, has_camera: float) -> torch.Tensor:
    streams = Streams(seed)
    angles = streams.uniform((2, 2), "angles")[0].float() * 180 - 60
    features = view_features(options)
    flags = torch.tensor([has_camera, 1.0])
    view = features.encode(angles[0], angles[1], streams.uniform((2, 3), "ground")[0].float(), flags, flags)
    words = streams.normal((2, 5, WIDTH), "states")[0], streams.normal((2, WIDTH), "pooled")[0]
    z, index = streams.normal((2, 3, options.size, options.size), "z")[0], torch.tensor([10, 900])
    with torch.no_grad():
        return unet_output(
            unet, features, options.unshuffle, z, index, words[0], torch.cat([view, words[1]], 1)
        )


@settings(max_examples=6, deadline=None)
@given(
    azimuth=st.integers(1, 4), elevation=st.integers(1, 3), gain=st.sampled_from([1.0, 3.0, 5.0]),
    maps=st.booleans(), has_camera=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_grown_network_begins_as_the_same_function(azimuth, elevation, gain, maps, has_camera, seed):
    options = SMALL.model_copy(
        update={
            "azimuth_harmonics": azimuth, "elevation_harmonics": elevation, "camera_gain": gain, "view_maps": maps,
        }
    )  # fmt: skip
    before = shaken(SMALL, seed)
    start = Start(before, tower(["red"], seed), SMALL)
    after = grown(start, options, seed).eval()
    said = answer(before, SMALL, seed, has_camera)
    assert float(said.std()) > 1e-3
    assert torch.allclose(answer(after, options, seed, has_camera), said, atol=1e-4 * float(said.abs().max()))


def test_what_cannot_grow_is_refused_by_name():
    start = Start(make_unet(SMALL, 0), tower(["red"], 0), SMALL)
    for change, name in (({"channels": (16, 16, 16)}, "channels"), ({"size": 32}, "size")):
        with pytest.raises(Sds3dError, match=name):
            grown(start, SMALL.model_copy(update=change), 0)
    more = SMALL.model_copy(update={"azimuth_harmonics": 3})
    with pytest.raises(Sds3dError, match="azimuth_harmonics"):
        grown(Start(make_unet(more, 0), start.tower, more), SMALL, 0)


def test_an_adopted_encoder_reads_shared_words_alike():
    old = tower(["red", "cube", "duck"], 1)
    new = tower(["zebra", "duck", "red", "whale"], 2)
    adopt(new.text_encoder, new.tokenizer, old)

    def states(side: TextTower, text: str) -> torch.Tensor:
        return side.text_encoder(token_ids(side.tokenizer, [text])).last_hidden_state

    with torch.no_grad():
        assert torch.allclose(states(new, "red duck"), states(old, "red duck"), atol=1e-6)
        assert not torch.allclose(states(new, "red whale"), states(new, "red zebra"), atol=1e-2)


def test_a_longer_tower_reads_short_sentences_alike():
    short, long = load_start("prior32", ["zorbian"], 0), load_start("prior32", ["zorbian"], 0, 24)
    assert long.tower.tokenizer.model_max_length == 24 > short.tower.tokenizer.model_max_length
    same = lengthen(short.tower.text_encoder, short.tower.tokenizer, 16).model_max_length
    assert same == 16
    length = 16
    said = "a red cube on top of a green cylinder next to a blue cone , side"
    states = [
        t.tower.text_encoder(token_ids(t.tower.tokenizer, [text])).last_hidden_state[0, :length]
        for t in (short, long)
        for text in ("a red cube", said + " view")
    ]
    with torch.no_grad():
        assert torch.allclose(states[0], states[2], atol=1e-6)
    ends = [
        int(
            (token_ids(t.tower.tokenizer, [said + " view"])[0] == t.tower.tokenizer.eos_token_id)
            .int()
            .argmax()
        )
        for t in (short, long)
    ]
    assert ends == [15, 18], "the long tower hears the whole sentence"


def test_a_scorer_goes_on_from_a_finished_one(tmp_path):
    options = TextOptions(size=16, channels=(8, 8), strides=(2, 2))
    first = make_scorer(options, make_tokenizer(["red", "cube"]))
    save_scorer(first, options, tmp_path / "first")
    second = make_scorer(options.model_copy(update={"seed": 5}), make_tokenizer(["duck", "cube", "red"]))
    pictures = Streams(0).uniform((2, 3, 16, 16), "pictures")[0].float()
    begin_as(second, str(tmp_path / "first"))
    with torch.no_grad():
        assert torch.allclose(second.embed_images(pictures), first.embed_images(pictures), atol=1e-2)
        assert torch.allclose(second.embed_texts(["red cube"]), first.embed_texts(["red cube"]), atol=1e-2)
    other = make_scorer(options.model_copy(update={"channels": (8, 16)}), make_tokenizer(["red"]))
    with pytest.raises(Sds3dError, match="channels"):
        begin_as(other, str(tmp_path / "first"))
    with pytest.raises(Sds3dError, match="'scorr' is neither a model folder nor scorer"):
        begin_as(other, "scorr")


def test_bfloat16_only_where_the_cpu_computes_with_it(monkeypatch):
    """On a CPU without it a step took minutes."""
    x = torch.ones(4, 4)
    for best in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("sds3d.training.precision.best_cpu_dtype", lambda best=best: best)
        with arithmetic("auto"):
            assert (x @ x).dtype == best
        with arithmetic("float32"):
            assert (x @ x).dtype == torch.float32
        with arithmetic("bfloat16"):
            assert (x @ x).dtype == torch.bfloat16
