"""Prompt debiasing: leaving words out of a view's prompt that contradict the view.

Hong et al., "Debiasing scores and prompts of 2D diffusion for view-consistent text-to-3D generation", 2023, arXiv
2303.15413. "A smiling dog" wants a face, and so fights "back view". How much a word k speaks for or against a view v
is asked of a masked language model, on the sentence "This image is depicting a [MASK] view of <prompt>":

    r(v, k) = p(v | all words) / ( 1/2 p(v | all words) + 1/2 p(v | all words but k) )

with p renormalised over the four view words. For view v the words with r < 0.95 are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.errors import Sds3dError

SIDES = ("front", "side", "back", "overhead")
"""The word for each of views.VIEW_WORDS."""

THRESHOLD = 0.95

SideProbability = Callable[[str], Mapping[str, float]]
"""A prompt -> how likely each of SIDES is in the sentence about it; sums to 1."""


def without_contradictions(
    prompt: str, side: str, probability: SideProbability, threshold: float = THRESHOLD
) -> str:
    """The prompt without the words that speak against a view; at least one word is kept.

    Args:
        side: one of SIDES. threshold: words with r below it go; r lies in (0, 2), and is 1 for a neutral word.
    """
    words = prompt.split()
    if len(words) < 2:
        return prompt
    whole = probability(prompt)[side]
    ratios = []
    for k in range(len(words)):
        rest = probability(" ".join(words[:k] + words[k + 1 :]))[side]
        ratios.append(whole / (0.5 * whole + 0.5 * rest))
    kept = [word for word, r in zip(words, ratios, strict=True) if r >= threshold]
    return " ".join(kept) if kept else words[ratios.index(max(ratios))]


def masked_language_model(folder: str | Path) -> SideProbability:
    """Ask a masked language model in a folder on this disk, such as BERT's.

    Raises:
        Sds3dError: it cannot be loaded, or does not know the four view words as whole words.
    """
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise Sds3dError(
            f"prior.debias: {folder} holds no language model (no config.json). It takes the folder of a masked one, "
            "such as: hf download google-bert/bert-base-uncased --local-dir bert"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForMaskedLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        ).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(
            f"prior.debias: {folder} cannot be loaded as a masked language model: {error}"
        ) from error
    ids = [tokenizer.encode(side, add_special_tokens=False) for side in SIDES]
    if tokenizer.mask_token is None or any(len(one) != 1 or one[0] == tokenizer.unk_token_id for one in ids):
        raise Sds3dError(
            f"prior.debias: the model in {folder} has no mask, or not the words {', '.join(SIDES)}."
        )

    @torch.no_grad()
    def probability(prompt: str) -> dict[str, float]:
        text = f"This image is depicting a {tokenizer.mask_token} view of {prompt}"
        tokens = tokenizer(text, return_tensors="pt")
        place = int((tokens["input_ids"][0] == tokenizer.mask_token_id).int().argmax())
        logits = model(**tokens).logits[0, place, [one[0] for one in ids]]
        return dict(zip(SIDES, logits.double().softmax(0).tolist(), strict=True))

    return probability
