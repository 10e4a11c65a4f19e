"""The words that the model reads, and its text tower: a small CLIP text encoder over whole words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ..core.streams import Streams
from ..priors.scorer import Scorer

MAX_TOKENS = 24
"""Tokens of a prompt, the opening and the closing one counted."""
WIDTH = 128
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_INIT_STD = 0.05


@dataclass(frozen=True)
class TextTower:
    """The text side of a model: what training reads captions with (a Scorer serves as well).

    Args:
        text_encoder, tokenizer: transformers objects. text_projection: a linear layer from state to pooled text.
    """

    text_encoder: Any
    tokenizer: Any
    text_projection: torch.nn.Linear


def make_tokenizer(words: Sequence[str]) -> Any:
    """A transformers tokenizer: lower case, one token a word, numbered in this order."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    numbers = {word: i for i, word in enumerate([*_SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return tokenizer_of(tokenizer, MAX_TOKENS)


def tokenizer_of(backend: Any, max_tokens: int) -> Any:
    """The transformers object around a `tokenizers.Tokenizer` whose prompts have at most `max_tokens` tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
        model_max_length=max_tokens,
    )  # fmt: skip


def token_ids(tokenizer: Any, texts: Sequence[str]) -> Int[Tensor, "b l"]:
    """(B, MAX_TOKENS) ids."""
    return tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")["input_ids"]


def make_text_encoder(vocabulary_size: int, streams: Streams) -> Any:
    """An untrained CLIPTextModel: two layers of 128, weights from `streams`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=vocabulary_size, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=MAX_TOKENS, projection_dim=WIDTH, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model: Any = CLIPTextModel._from_config(config, attn_implementation="eager")
    set_weights(model, streams, "text", matrix_std=_INIT_STD)
    return model


def load_projection(folder: Path) -> torch.nn.Linear:
    """The layer from state to pooled text of a model folder, float32, frozen."""
    from safetensors.torch import load_file

    weights = load_file(folder / "text_projection.safetensors")
    layer = torch.nn.Linear(*weights["weight"].shape[::-1])
    layer.load_state_dict({name: value.float() for name, value in weights.items()})
    return layer.requires_grad_(False)


def half_copy(text_encoder: Any) -> Any:
    """A copy of a text encoder in half precision."""
    text = type(text_encoder)(text_encoder.config)
    text.load_state_dict(text_encoder.state_dict())
    return text.half()


@torch.no_grad()
def adopt(text_encoder: Any, tokenizer: Any, tower: TextTower | Scorer) -> None:
    """Begin a text encoder, in place, as the tower's: its layers, its words' vectors, its first positions.

    Words and positions that the tower lacks stay as they are.
    """
    theirs, known = tower.text_encoder.state_dict(), tower.tokenizer.get_vocab()
    shared = [(row, known[word]) for word, row in tokenizer.get_vocab().items() if word in known]
    for name, mine in text_encoder.state_dict().items():
        other = theirs[name]
        if name.endswith("token_embedding.weight"):
            mine[[row for row, _ in shared]] = other[[row for _, row in shared]]
        elif name.endswith("position_embedding.weight"):
            count = min(len(mine), len(other))
            mine[:count] = other[:count]
        elif not name.endswith("position_ids"):
            mine.copy_(other)


@torch.no_grad()
def set_weights(module: torch.nn.Module, streams: Streams, tag: str, matrix_std: float | None = None) -> None:
    """Redraw every weight that a library drew from torch's global numbers.

    Matrices and kernels get 1/√(3 · fan-in), the spread of torch's own layers, biases 0; what a library set to a
    constant (norms at 1, layers that start at 0) stays.

    Args:
        matrix_std: standard deviation of two-dimensional weights instead.
    """
    for name, parameter in module.named_parameters():
        if parameter.numel() > 1 and float(parameter.std()) == 0.0:
            continue
        if parameter.ndim < 2:
            parameter.zero_()
            continue
        std = (3 * parameter[0].numel()) ** -0.5
        if matrix_std is not None and parameter.ndim == 2:
            std = matrix_std
        parameter.copy_(streams.normal(tuple(parameter.shape), "weights", tag, name)[0] * std)
