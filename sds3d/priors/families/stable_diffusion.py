"""Stable Diffusion 1.x and 2.x, and latent consistency models distilled from them.

Rombach et al., "High-resolution image synthesis with latent diffusion models", 2022, arXiv 2112.10752. Luo et al.,
"Latent consistency models", 2023, arXiv 2310.04378: the UNet is told the guidance scale as an embedding of
w = s - 1 that is added to the time's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.look import Look
from .base import Family, Layout, guidance_input

if TYPE_CHECKING:
    from ..kinds.diffusers import Options

LCM_SCALE = 8.5
"""Guidance scale that latent consistency models are told when nobody asks for another."""


class StableDiffusion(Family):
    """A UNet over 4-channel latents, one CLIP text encoder."""

    name = "stable-diffusion"
    attention = True
    pipelines: tuple[str, ...] = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline")

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Inpainting, upscaling and other editors have more inputs than a picture and a text."""
        unet, channels = configs["unet"], self.channels(configs)
        maps = (unet.get("in_channels", 4), unet.get("out_channels", 4))
        reasons = []
        if maps != (channels, channels):
            reasons.append(
                f"the UNet maps {maps[0]} channels to {maps[1]}, the latent has {channels} (inpainting, editing and "
                "upscaling models take more)"
            )
        extra = ("addition_embed_type", "class_embed_type", "num_class_embeds")
        reasons += [
            f"the UNet wants a further input ({name})" for name in extra if unet.get(name) is not None
        ]
        return reasons + width_objections(unet, configs)

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """Consistency models: the embedded guidance scale, "w" (B, D)."""
        return scale_embedding(layout, len(look.background), options)

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        return network(z_t, time, tensors["states"], timestep_cond=tensors.get("w"), return_dict=False)[0]


def width_objections(unet: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whether the text encoders' states, side by side, have the width that the UNet reads."""
    encoders = [config for name, config in configs.items() if name.startswith("text_encoder")]
    given = sum(int(config.get("hidden_size", 512)) for config in encoders)
    read = unet.get("cross_attention_dim", 1280)
    read = read[0] if isinstance(read, list) else read
    if read == given:
        return []
    return [f"the UNet reads text states of width {read}, the text encoder gives {given}"]


def scale_embedding(layout: Layout, count: int, options: Options) -> dict[str, Tensor]:
    """{"w": (B, D)} sines and cosines of 1000 (s - 1) where the UNet has an input for them, else {}."""
    width = layout.configs["unet"].get("time_cond_proj_dim")
    if width is None:
        return {}
    asked = options.embedded_guidance
    angle = 1000.0 * (guidance_input(count, LCM_SCALE if asked is None else asked) - 1.0)
    half = int(width) // 2
    rate = torch.exp(-math.log(10000.0) / (half - 1) * torch.arange(half, dtype=torch.float32))
    angles = angle[:, None] * rate
    return {"w": torch.cat([angles.sin(), angles.cos()], dim=1)}


FAMILIES = (StableDiffusion(),)
