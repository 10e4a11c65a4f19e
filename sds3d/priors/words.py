"""What a prior with a closed vocabulary can read, and what to say when it cannot."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ..core.errors import PromptError, Sds3dError

_WORD = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


def split_words(text: str) -> list[str]:
    """Lower-case words and punctuation marks of a prompt."""
    return _WORD.findall(text.lower())


BIGGER = (
    "Free text needs a big model: prior.kind=diffusers prior.folder=<a Stable Diffusion folder> "
    "(its weights on this disk, in practice a GPU)."
)
"""Where a prompt goes that a small model of pictures cannot read."""


def read_vocabulary(folder: Path) -> tuple[set[str], int]:
    """(words, tokens of a prompt) that a word-level tokenizer's folder tells, without loading it.

    Raises:
        Sds3dError: its files are missing or broken.
    """
    try:
        words = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
        room = int(json.loads((folder / "tokenizer_config.json").read_bytes())["model_max_length"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Sds3dError(f"{folder}: the model's word list cannot be read: {error}") from error
    return set(words), room


def check_texts(
    texts: Iterable[str],
    vocabulary: Collection[str],
    max_tokens: int,
    model: str,
    empty: str,
    bigger: str = BIGGER,
) -> None:
    """Refuse prompts, of which the first is the one that must not be empty; see `check_words`.

    Args:
        vocabulary: with the marks such as <pad>, which are no words. max_tokens: two of them open and close a sentence.
        empty: what to say of an empty first prompt.

    Raises:
        PromptError: says which text and why.
    """
    known = {w for w in vocabulary if not w.startswith("<")}
    for number, text in enumerate(texts):
        if not number and not text.strip():
            raise PromptError(empty)
        check_words(text, known, max_tokens - 2, model, bigger)


def check_words(
    text: str, vocabulary: Collection[str], max_words: int, model: str, bigger: str = BIGGER
) -> None:
    """Refuse a prompt that the model cannot read.

    Args:
        model: its name. bigger: the way to a model that reads any text.

    Raises:
        PromptError: names the unknown words, the nearest known ones, and the way to a big model.
    """
    words = split_words(text)
    unknown = [w for w in dict.fromkeys(words) if w not in vocabulary]
    if unknown:
        advice = "; ".join(f"'{w}'{_nearest(w, vocabulary)}" for w in unknown)
        raise PromptError(f'the {model} prior cannot serve "{text}": it does not know {advice}. {bigger}')
    if len(words) > max_words:
        raise PromptError(
            f'the {model} prior reads at most {max_words} words, "{text}" has {len(words)}. {bigger}'
        )


def _nearest(word: str, vocabulary: Collection[str]) -> str:
    known = [w for w in vocabulary if w.isalpha() and len(w) > 1]
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f" (nearest it does: {', '.join(close)})" if close else " (nothing near it)"
