"""What a prior with a closed vocabulary can read, and what to say when it cannot."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from ..core.errors import PromptError

_WORD = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


def split_words(text: str) -> list[str]:
    """Lower-case words and punctuation marks of a prompt."""
    return _WORD.findall(text.lower())


BIGGER = (
    "Free text needs a big model: prior.kind=diffusers prior.folder=<a Stable Diffusion folder> "
    "(its weights on this disk, in practice a GPU)."
)
"""Where a prompt goes that a small model of pictures cannot read."""


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
