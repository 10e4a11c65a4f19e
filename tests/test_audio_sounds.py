"""The procedural sounds: kinds, words, what is held out, and that the words are heard."""

from __future__ import annotations

import numpy as np
import pytest

from sds3d.core.streams import Streams
from sds3d.sounds.captions import (
    NUMBERS_NEEDED,
    allowed,
    draw_caption,
    every_caption,
    plain_caption,
    split,
    vocabulary,
)
from sds3d.sounds.catalogue import SoundError, catalogue, find
from sds3d.sounds.held_out import pair_is_held_out
from sds3d.sounds.manner import MODIFIERS
from sds3d.sounds.wave import RATE, SAMPLES
from sds3d.training.sound_options import SoundSetOptions
from sds3d.training.sounds import SoundBatches, captions_of, is_held_out, make_set, one_word_away

STREAMS = Streams(3)


def centroid(signal: np.ndarray) -> float:
    """Hertz around which a signal's power lies, on a logarithmic axis."""
    power = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE)
    return float(np.exp((power[4:] * np.log(hz[4:])).sum() / power[4:].sum()))


def middle(signal: np.ndarray) -> float:
    """Seconds before which half of the energy has passed."""
    power = np.cumsum(signal**2)
    return float(np.searchsorted(power, power[-1] / 2)) / RATE


def test_there_are_many_kinds_with_words_of_their_own():
    assert len(catalogue()) >= 25
    assert len(every_caption()) == len(set(every_caption())) > 200
    assert find("plucked string").name == "guitar"
    with pytest.raises(SoundError, match="Did you mean bell"):
        find("bel")


@pytest.mark.parametrize("name", list(catalogue()))
def test_a_kind_makes_a_sound_at_a_peak_of_one_and_the_same_again(name):
    kind = catalogue()[name]
    first = kind.sound(STREAMS, 1)
    assert first.shape == (SAMPLES,)
    assert bool(np.isfinite(first).all())
    assert np.abs(first).max() == pytest.approx(1.0)
    if name in ("rain", "bird", "piano"):
        assert np.array_equal(first, kind.sound(STREAMS, 1))
        assert not np.array_equal(first, kind.sound(STREAMS, 2))


@pytest.mark.parametrize("name", ["bell", "drum", "flute", "siren", "beep", "engine"])
def test_high_is_above_low(name):
    kind = catalogue()[name]
    pairs = [[centroid(kind.sound(STREAMS, i, (word,))) for word in ("low", "high")] for i in range(2)]
    assert all(high > 1.3 * low for low, high in pairs)


@pytest.mark.parametrize("name", ["bell", "snare", "beep", "thunder"])
def test_long_outlasts_short(name):
    kind = catalogue()[name]
    assert middle(kind.sound(STREAMS, 0, ("long",))) > 1.3 * middle(kind.sound(STREAMS, 0, ("short",)))


@pytest.mark.parametrize("name", ["static", "cymbal", "engine"])
def test_bright_is_above_dull(name):
    kind = catalogue()[name]
    assert centroid(kind.sound(STREAMS, 0, ("bright",))) > 1.1 * centroid(kind.sound(STREAMS, 0, ("dull",)))


def test_a_word_that_a_kind_does_not_follow_is_refused():
    with pytest.raises(ValueError, match="cannot be fast"):
        catalogue()["bell"].sound(STREAMS, 0, ("fast",))


def test_captions_keep_to_the_axes_of_their_kind_and_name_known_words():
    words = set(vocabulary())
    for i, kind in enumerate(catalogue().values()):
        numbers = STREAMS.uniform((NUMBERS_NEEDED,), "caption", ids=(i,))[0].tolist()
        caption = draw_caption(kind, numbers)
        axes = [MODIFIERS[m][0] for m in caption.said]
        assert len(set(axes)) == len(axes)
        assert set(axes) <= set(kind.axes)
        assert set(split(caption.text)) <= words
        assert not any(pair_is_held_out(m, kind) for m in caption.said)


def test_some_pairs_are_held_out_and_the_judge_hears_them():
    kinds = list(catalogue().values())
    pairs = [(m, k) for k in kinds for m in k.modifiers]
    share = sum(pair_is_held_out(*pair) for pair in pairs) / len(pairs)
    assert 0.07 < share < 0.2
    assert "low" not in allowed(catalogue()["flute"])
    assert "low" in allowed(catalogue()["flute"], every_pair=True)
    assert plain_caption(catalogue()["rain"], ("fast",)) == "fast rain"
    assert plain_caption(catalogue()["organ"]) == "an organ"


def test_one_word_away_changes_one_word():
    kinds = list(catalogue().values())
    for u in (0.1, 0.6, 0.95):
        words, changed = ["a", "high", "bell"], one_word_away("a high bell", kinds, (u, 0.4)).split()
        assert sum(a != b for a, b in zip(words, changed, strict=True)) == 1


def test_a_set_goes_on_where_it_stopped_and_training_leaves_out_what_is_held_out(tmp_path):
    options = SoundSetOptions(kinds=("beep", "flute"), per_kind=150)
    calls = iter((False, True))
    with pytest.raises(Exception, match="sound 256"):
        make_set(options, tmp_path, lambda: next(calls), lambda line: None)
    levels, captions = make_set(options, tmp_path, lambda: False, lambda line: None)
    assert levels.shape == (300, 64, 32)
    assert levels[-1].max() > 100, "the last one was made too"
    assert captions == captions_of(options)
    assert any(is_held_out(c) for c in captions)
    batches = SoundBatches(levels, captions, Streams(0))
    batch = batches.draw(2, 64)
    assert batch.z.shape == (64, 1, 64, 32)
    assert not any("long beep" in text for text in batch.captions)
    assert batch.captions == batches.draw(2, 64).captions
