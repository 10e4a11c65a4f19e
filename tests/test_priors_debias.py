"""Prompt debiasing: the published rule on probabilities worked out by hand, and through a tiny language model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_cases import folder_of, load
from hypothesis import given
from hypothesis import strategies as st

from sds3d.core.errors import Sds3dError
from sds3d.priors import base
from sds3d.priors.debias import SIDES, masked_language_model, without_contradictions
from sds3d.priors.views import VIEW_WORDS


def faces(prompt: str) -> dict[str, float]:
    """A smile wants the front; a tail is neutral."""
    front = 0.7 if "smiling" in prompt.split() else 0.25
    rest = (1.0 - front) / 3
    return {side: front if side == "front" else rest for side in SIDES}


def test_a_word_that_fights_the_view_is_left_out() -> None:
    """r(back, smiling) = .1 / (.05 + .125) = .57; r(front, smiling) = .7 / (.35 + .125) = 1.47; others 1."""
    prompt = "a smiling dog with a tail"
    assert without_contradictions(prompt, "front", faces) == prompt
    for side in ("side", "back", "overhead"):
        assert without_contradictions(prompt, side, faces) == "a dog with a tail"
    assert without_contradictions(prompt, "back", faces, threshold=0.5) == prompt


@given(words=st.lists(st.sampled_from(["a", "red", "dog", "smiling"]), min_size=1, max_size=6))
def test_words_stay_in_order_and_one_is_always_kept(words: list[str]) -> None:
    for side in SIDES:
        kept = without_contradictions(" ".join(words), side, faces).split()
        assert kept
        rest = iter(words)
        assert all(word in rest for word in kept)


def test_a_neutral_model_changes_nothing() -> None:
    assert without_contradictions("a red dog", "back", lambda _: dict.fromkeys(SIDES, 0.25)) == "a red dog"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny masked language model with random weights."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *SIDES,
        "this",
        "image",
        "is",
        "depicting",
        "a",
        "view",
    ]
    vocabulary = {word: i for i, word in enumerate([*words, "of", "smiling", "dog", "red", "fox"])}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=2.0,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


def test_a_language_model_is_asked(bert: Path) -> None:
    ask = masked_language_model(bert)
    found = ask("a smiling dog")
    assert set(found) == set(SIDES)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found != ask("a red fox")


def test_view_prompts_go_through_it(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sds3d.priors.kinds import diffusers as kind

    monkeypatch.setattr(kind, "masked_language_model", lambda _: faces)
    prior = load(folder_of("sd1"), debias=str(bert))
    told = prior.prepare(base.Prompts("a smiling dog", view_words=True)).tensors
    for i, words in enumerate(VIEW_WORDS):
        prompt = "a smiling dog" if i == 0 else "a dog"
        alone = prior.prepare(base.Prompts(f"{prompt}, {words}")).tensors["y.states"]
        torch.testing.assert_close(told[f"y{i}.states"], alone)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(Sds3dError, match=r"prior.debias: .* holds no language model"):
        masked_language_model(tmp_path)
    with pytest.raises(Sds3dError, match=r"cannot be loaded as a masked language model"):
        masked_language_model(folder_of("sd1") / "unet")
