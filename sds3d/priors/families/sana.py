"""Sana, and SANA-Sprint distilled from it: a linear transformer over deeply compressed latents.

Xie et al., "SANA", 2024, arXiv 2410.10629: a rectified flow with timestep shift, text states of a decoder-only
language model, an autoencoder with 32 pixels a cell. Chen et al., "SANA-Sprint", 2025, arXiv 2503.09641: the network
still is a flow's, asked at sigma = sin s / (sin s + cos s) for an angle s in [0, pi / 2] (their eq. 5 and 6), and is
told the guidance scale; every time was distilled.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.look import Look
from ..latent import resized
from ..noise_schedule import NoiseSchedule
from .base import Family, Layout, guidance_input
from .sd3 import transformer_objections

if TYPE_CHECKING:
    from ..kinds.diffusers import Options


class Sana(Family):
    """A transformer over 32-channel latents, Gemma 2 text states with a mask."""

    name = "sana"
    pipelines: tuple[str, ...] = ("SanaPipeline", "SanaPAGPipeline")
    pipeline = "SanaPipeline"
    network = "transformer"
    networks = ("SanaTransformer2DModel",)
    encoders: Mapping[str, tuple[str, ...]] = {
        "text_encoder": ("Gemma2Model", "Gemma2PreTrainedModel", "Gemma2ForCausalLM")
    }
    noise = "rf"
    tokens: Mapping[str, int] = {"tokenizer": 300}
    vae = "AutoencoderDC"

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """See Family."""
        return transformer_objections(configs, "in_channels", self.channels(configs))

    def channels(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Channels of z."""
        return int(configs["vae"].get("latent_channels", 32))

    def factor(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Pixels of a latent cell, per side."""
        return 2 ** (len(configs["vae"].get("encoder_block_out_channels", [0])) - 1)

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, 300, D) and mask (1, 300); the pipeline's own instruction goes before a prompt."""
        if positive:
            asked = inspect.signature(type(pipe).__call__).parameters["complex_human_instruction"].default
            states, mask, *_ = pipe.encode_prompt(text, device=device, complex_human_instruction=asked)
            return {"states": states, "mask": mask}
        return self._embed_negative(pipe, text, device)

    def _embed_negative(self, pipe: Any, text: str, device: torch.device) -> dict[str, Tensor]:
        """Without the instruction, as the pipeline encodes its negative prompt."""
        _, _, states, mask = pipe.encode_prompt("", True, negative_prompt=text, device=device)
        return {"states": states, "mask": mask}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        out = network(
            z_t,
            encoder_hidden_states=tensors["states"],
            encoder_attention_mask=tensors["mask"],
            timestep=time.float() * network.config.timestep_scale,
            return_dict=False,
        )[0]
        return out[:, : z_t.shape[1]]

    def encode(self, vae: Any, rgb: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Tensor:
        """The autoencoder is deterministic and has no shift."""
        image = resized(2.0 * rgb.to(device=vae.device, dtype=vae.dtype) - 1.0, size)
        return vae.encode(image).latent.float() * vae.config.scaling_factor


class SanaSprint(Sana):
    """The same network after distillation to few steps."""

    name = "sana-sprint"
    pipelines = ("SanaSprintPipeline",)
    pipeline = "SanaSprintPipeline"
    guidance_scale = 4.5

    def schedule(self, layout: Layout) -> tuple[NoiseSchedule, str]:
        """A flow without shift."""
        return NoiseSchedule("rf"), "velocity"

    def _embed_negative(self, pipe: Any, text: str, device: torch.device) -> dict[str, Tensor]:
        """The model knows no negative prompt; without the instruction, as its parent's."""
        states, mask = pipe.encode_prompt(text, device=device)
        return {"states": states, "mask": mask}

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """ "guidance" (B,): the scale that it imitates, in the network's unit."""
        asked = options.embedded_guidance
        unit = float(layout.configs["transformer"].get("guidance_embeds_scale", 0.1))
        scale = self.guidance_scale if asked is None else asked
        return {"guidance": unit * guidance_input(len(look.background), scale)}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The flow's velocity; the network's time is sigma itself."""
        return network(
            z_t,
            encoder_hidden_states=tensors["states"],
            encoder_attention_mask=tensors["mask"],
            guidance=tensors["guidance"],
            timestep=time.float() / 1000.0,
            return_dict=False,
        )[0]


FAMILIES = (Sana(), SanaSprint())
