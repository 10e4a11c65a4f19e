"""DeepFloyd IF, first stage: a pixel model at 64 x 64 that also predicts its variance.

DeepFloyd Lab 2023, after Saharia et al., "Imagen", 2022, arXiv 2205.11487. The learned variance (the second half of
the output channels) is no part of the score and is split off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..pixels import decode_pixels, encode_pixels
from .base import Family


class DeepFloyd(Family):
    """A pixel UNet, T5 text states."""

    name = "deepfloyd-if"
    pipelines = ("IFPipeline",)
    pipeline = "IFPipeline"
    encoders: Mapping[str, tuple[str, ...]] = {"text_encoder": ("T5EncoderModel",)}
    tokens: Mapping[str, int] = {"tokenizer": 77}
    vae = ""

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The upscaling stages take a second picture."""
        unet = configs["unet"]
        maps = (unet.get("in_channels", 4), unet.get("out_channels", 4))
        if maps in ((3, 6), (3, 3)):
            return []
        return [f"the UNet maps {maps[0]} channels to {maps[1]}, not 3 to 6 (stages II and III upscale)"]

    def channels(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Red, green, blue."""
        return 3

    def factor(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """One pixel a cell."""
        return 1

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, 77, D) of T5."""
        states, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False, device=device)
        return {"states": states}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The first three channels of the output."""
        return network(z_t, time, encoder_hidden_states=tensors["states"], return_dict=False)[0][:, :3]

    def encode(self, vae: Any, rgb: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Tensor:
        """2 x - 1 at the model's size."""
        return encode_pixels(rgb, size)

    def decode(self, vae: Any, z: Tensor) -> Tensor:
        """(z + 1) / 2, clamped."""
        return decode_pixels(z)


FAMILIES = (DeepFloyd(),)
