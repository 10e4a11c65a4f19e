"""Stable Diffusion 3 and 3.5: a transformer that predicts the velocity of a rectified flow.

Esser et al., "Scaling rectified flow transformers for high-resolution image synthesis", 2024, arXiv 2403.03206. Two
CLIP encoders and T5 (which may be left out), latents of 16 channels with scale and shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .base import Family


class StableDiffusion3(Family):
    """MM-DiT over 16-channel latents."""

    name = "sd3"
    pipelines = ("StableDiffusion3Pipeline",)
    pipeline = "StableDiffusion3Pipeline"
    network = "transformer"
    networks = ("SD3Transformer2DModel",)
    encoders: Mapping[str, tuple[str, ...]] = {
        "text_encoder": ("CLIPTextModelWithProjection",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "text_encoder_3": ("T5EncoderModel",),
    }
    optional = frozenset({"text_encoder_3"})
    noise = "rf"
    tokens: Mapping[str, int] = {"tokenizer_3": 256}
    multiple = 2

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """See Family."""
        return transformer_objections(configs, "in_channels", self.channels(configs))

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, L, D) and pooled text (1, D)."""
        states, _, pooled, _ = pipe.encode_prompt(
            text, None, None, device=device, do_classifier_free_guidance=False
        )
        return {"states": states, "pooled": pooled}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        return network(
            hidden_states=z_t,
            timestep=time.float(),
            encoder_hidden_states=tensors["states"],
            pooled_projections=tensors["pooled"],
            return_dict=False,
        )[0]


def transformer_objections(
    configs: Mapping[str, Mapping[str, Any]], key: str, channels: int, packed: int = 1
) -> list[str]:
    """Whether the transformer takes the latents of this autoencoder, `packed` cells a token."""
    given = configs["transformer"].get(key)
    if given == channels * packed:
        return []
    return [
        f"the transformer takes {given} channels, the latent has {channels * packed} (editing, filling and control "
        "models take more)"
    ]


FAMILIES = (StableDiffusion3(),)
