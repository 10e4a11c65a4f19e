"""Image–text scorers: how well a picture fits a caption. In the box are one for rewards and one that judges.

A small convolutional tower and a text tower map pictures and captions to unit vectors; their inner product is
the score (contrastive training as in Radford et al., "Learning transferable visual models from natural
language supervision", 2021, arXiv 2103.00020). The weights, and how they were made: assets/README.md.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import PromptError, Sds3dError
from .kinds.embedded import assets_folder
from .words import split_words

_GROUPS = 8


class _Block(nn.Module):
    """3 × 3 convolution without bias, group norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.norm(self.conv(x)))


class ImageTower(nn.Module):
    """Picture in [-1, 1] at the tower's own size -> embedding, not normalised.

    Args:
        image_size: side in pixels. channels, strides: one entry a block. embedding: width of the result.
    """

    def __init__(self, image_size: int, channels: Sequence[int], strides: Sequence[int], embedding: int):
        super().__init__()
        inputs = [3, *channels[:-1]]
        self.blocks = nn.Sequential(*map(_Block, inputs, channels, strides))
        side = image_size
        for stride in strides:
            side = -(-side // stride)
        self.hidden = nn.Linear(channels[-1] * side * side, 2 * embedding)
        self.out = nn.Linear(2 * embedding, embedding)

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """(B, 3, S, S) -> (B, D)."""
        return self.out(functional.silu(self.hidden(self.blocks(x).flatten(1))))


class Scorer(nn.Module):
    """Scores pictures against captions; frozen, float32, differentiable in the picture.

    Args:
        image: the image tower. text_encoder: a transformers CLIPTextModel. tokenizer: its tokenizer.
        image_size: side of the square that pictures are resized to.
    """

    def __init__(self, image: ImageTower, text_encoder: nn.Module, tokenizer: Any, image_size: int):
        super().__init__()
        embedding = image.out.out_features
        self.image, self.text_encoder, self.tokenizer, self.image_size = (
            image,
            text_encoder,
            tokenizer,
            image_size,
        )
        self.text_projection = nn.Linear(embedding, embedding)
        self.log_scale = nn.Parameter(torch.zeros(()))

    @property
    def temperature(self) -> float:
        """What cosines were multiplied with in training; softmax(temperature · cosines) is a probability."""
        return float(self.log_scale.exp())

    def embed_images(self, rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Unit vectors of pictures in [0, 1] of any size, resized by area averaging.

        Returns:
            (B, D), each of length 1; gradients reach `rgb`.
        """
        if rgb.ndim != 4 or rgb.shape[1] != 3:
            raise ValueError(f"pictures must be (B, 3, H, W), got {tuple(rgb.shape)}")
        small = functional.interpolate(rgb.float(), size=(self.image_size, self.image_size), mode="area")
        return functional.normalize(self.image(small * 2.0 - 1.0), dim=-1)

    def unknown_words(self, texts: Sequence[str]) -> dict[str, list[str]]:
        """Words outside the vocabulary -> the nearest known ones (possibly none)."""
        vocabulary = [word for word in self.tokenizer.get_vocab() if not word.startswith("<")]
        words = dict.fromkeys(word for text in texts for word in split_words(text))
        return {w: difflib.get_close_matches(w, vocabulary, n=3) for w in words if w not in vocabulary}

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit vectors of captions, (N, D).

        Raises:
            PromptError: a caption is too long, or holds words that the scorer has never seen; its score would
                mean nothing.
        """
        longest = self.tokenizer.model_max_length - 2
        for text in texts:
            if len(split_words(text)) > longest:
                raise PromptError(f"the image–text scorer reads at most {longest} words; shorten {text!r}.")
        if unknown := self.unknown_words(texts):
            near = "; ".join(f"'{w}'" + (f" (near: {', '.join(n)})" if n else "") for w, n in unknown.items())
            raise PromptError(
                f"the image–text scorer does not know {near}. It serves captions such as 'a red car'; "
                "see assets/README.md for its words."
            )
        return self.text_vectors(texts)

    def text_vectors(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """As `embed_texts`, (N, D), but with gradients to the weights and without checks: for training."""
        ids = self.tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")[
            "input_ids"
        ]
        states = self.text_encoder(ids).last_hidden_state
        end = (ids == self.tokenizer.eos_token_id).int().argmax(1)
        rows = self.text_projection(states[torch.arange(len(ids)), end])
        return functional.normalize(rows.float(), dim=-1)

    def score(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, "b n"]:
        """Cosines in [-1, 1] of every picture with every caption, (B, N)."""
        return self.embed_images(rgb) @ self.embed_texts(texts).T


SCALE = ".scale"
"""Ends the name of what an 8-bit weight of a scorer's file is multiplied with."""


def packed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a scorer's file holds them.

    Matrices and kernels are 8-bit with a scale a row (the largest of the row is 127), the rest is in half precision. A
    cosine changes by about a hundredth at most, and a file is half as large.

    Raises:
        ValueError: a weight is not finite.
    """
    out: dict[str, Tensor] = {}
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} is not finite: what has diverged is not written")
        if value.ndim < 2:
            out[name] = value.half()
            continue
        rows = value.float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        out[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(value.shape)
        out[name + SCALE] = scale
    return out


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The float32 weights of what `packed` made; weights in half or full precision as they are."""
    out: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        ones = [1] * (value.ndim - 1)
        out[name] = value.float() if scale is None else value.float() * scale.reshape(-1, *ones)
    return out


def load_judge() -> Scorer:
    """The bundled scorer that only measures: no reward asks it, and it shares no weights with a prior's tower."""
    return load_scorer(assets_folder() / "judge")


def load_scorer(folder: Path | None = None) -> Scorer:
    """The scorer of a folder laid out as assets/scorer (the default), frozen, float32, on the CPU.

    Raises:
        Sds3dError: a file of it is missing or cut off.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, CLIPTextModel

    folder = assets_folder() / "scorer" if folder is None else Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text())
        stored = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise Sds3dError(
            f"{folder}: no whole image–text scorer lies there ({error}); install it again"
        ) from error
    tower = ImageTower(config["image_size"], config["channels"], config["strides"], config["embedding"])
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    scorer = Scorer(tower, text_encoder, tokenizer, config["image_size"])
    weights = unpacked(stored)
    missing, unexpected = scorer.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.startswith("text_encoder.")]
    if missing or unexpected:
        raise ValueError(f"{folder}/model.safetensors: missing {missing}, unexpected {unexpected}")
    return scorer.float().eval().requires_grad_(False)
