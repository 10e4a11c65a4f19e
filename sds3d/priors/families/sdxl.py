"""Stable Diffusion XL: two text encoders side by side, pooled text and the picture's sizes as further inputs.

Podell et al., "SDXL", 2023, arXiv 2307.01952; micro-conditioning: §2.2. The "no prompt" of the base model is zeros,
not the empty sentence (`force_zeros_for_empty_prompt`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.look import Look
from .base import Family, Layout
from .stable_diffusion import scale_embedding, width_objections

if TYPE_CHECKING:
    from ..kinds.diffusers import Options


class StableDiffusionXL(Family):
    """A UNet over 4-channel latents, CLIP ViT-L and OpenCLIP bigG."""

    name = "sdxl"
    attention = True
    pipelines = ("StableDiffusionXLPipeline",)
    pipeline = "StableDiffusionXLPipeline"
    encoders: Mapping[str, tuple[str, ...]] = {
        "text_encoder": ("CLIPTextModel",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
    }

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The refiner and inpainting variants have other inputs."""
        unet = configs["unet"]
        reasons = []
        if unet.get("addition_embed_type") != "text_time":
            reasons.append(
                f"the UNet's addition_embed_type is {unet.get('addition_embed_type')!r}, not 'text_time'"
            )
        if unet.get("in_channels", 4) != self.channels(configs):
            reasons.append(
                f"the UNet takes {unet.get('in_channels', 4)} channels, the latent has {self.channels(configs)} "
                "(inpainting and editing models take more)"
            )
        pooled = int(configs["text_encoder_2"].get("projection_dim", 512))
        wanted = int(unet.get("projection_class_embeddings_input_dim") or 0)
        given = pooled + 6 * int(unet.get("addition_time_embed_dim") or 0)
        if wanted != given:
            reasons.append(
                f"the UNet reads {wanted} numbers of pooled text and sizes, {given} are given (the refiner)"
            )
        return reasons + width_objections(unet, configs)

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, 77, D) of both encoders and the second one's pooled text (1, D)."""
        nothing = not positive and not text
        states, none, pooled, none_pooled = pipe.encode_prompt(
            text, device=device, do_classifier_free_guidance=nothing
        )
        return {"states": none, "pooled": none_pooled} if nothing else {"states": states, "pooled": pooled}

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """ "sizes" (B, 6): original height and width, crop's top and left, target height and width, in pixels."""
        height, width = layout.size
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
        count = len(look.background)
        return {"sizes": sizes.expand(count, -1)} | scale_embedding(layout, count, options)

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        return network(
            z_t,
            time,
            tensors["states"],
            timestep_cond=tensors.get("w"),
            added_cond_kwargs={"text_embeds": tensors["pooled"], "time_ids": tensors["sizes"]},
            return_dict=False,
        )[0]


FAMILIES = (StableDiffusionXL(),)
