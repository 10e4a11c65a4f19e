"""PixArt-alpha and PixArt-Sigma: a transformer with T5 text that predicts noise and its variance.

Chen et al., "PixArt-alpha", 2023, arXiv 2310.00426; "PixArt-Sigma", 2024, arXiv 2403.04692. The learned variance is
split off. Alpha at 1024 pixels is also told the picture's size and shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.look import Look
from .base import Family, Layout
from .sd3 import transformer_objections

if TYPE_CHECKING:
    from ..kinds.diffusers import Options


class PixArt(Family):
    """PixArt-Sigma: a transformer over 4-channel latents, up to 300 T5 states with a mask."""

    name = "pixart-sigma"
    pipelines: tuple[str, ...] = ("PixArtSigmaPipeline",)
    pipeline = "PixArtSigmaPipeline"
    network = "transformer"
    networks = ("PixArtTransformer2DModel", "Transformer2DModel")
    encoders: Mapping[str, tuple[str, ...]] = {"text_encoder": ("T5EncoderModel",)}
    tokens: Mapping[str, int] = {"tokenizer": 300}
    multiple = 2

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """See Family."""
        return transformer_objections(configs, "in_channels", self.channels(configs))

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, L, D) of T5 and their mask (1, L)."""
        states, mask, _, _ = pipe.encode_prompt(
            text,
            do_classifier_free_guidance=False,
            device=device,
            max_sequence_length=self.tokens["tokenizer"],
        )
        return {"states": states, "mask": mask}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The first half of the output's channels."""
        out = network(
            z_t,
            encoder_hidden_states=tensors["states"],
            encoder_attention_mask=tensors["mask"],
            timestep=time,
            added_cond_kwargs={
                "resolution": tensors.get("resolution"),
                "aspect_ratio": tensors.get("aspect_ratio"),
            },
            return_dict=False,
        )[0]
        return out[:, : z_t.shape[1]]


class PixArtAlpha(PixArt):
    """PixArt-alpha: 120 T5 states; at 1024 pixels also the picture's size and shape."""

    name = "pixart-alpha"
    pipelines = ("PixArtAlphaPipeline",)
    pipeline = "PixArtAlphaPipeline"
    tokens: Mapping[str, int] = {"tokenizer": 120}

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """ "resolution" (B, 2) height and width in pixels, "aspect_ratio" (B, 1), where the model reads them."""
        config = layout.configs["transformer"]
        reads = config.get("use_additional_conditions")
        if not (config.get("sample_size") == 128 if reads is None else reads):
            return {}
        height, width = layout.size
        count = len(look.background)
        return {
            "resolution": torch.tensor([[float(height), float(width)]]).repeat(count, 1),
            "aspect_ratio": torch.full((count, 1), height / width),
        }


FAMILIES = (PixArt(), PixArtAlpha())
