"""FLUX.1: a rectified-flow transformer over packed latents; the dev model is told the guidance scale.

Black Forest Labs 2024; layout and constants as in diffusers' FluxPipeline. A token is 2 x 2 latent cells. The
timestep shift grows with the number of tokens. The dev model was distilled from guided predictions: its own "no
prompt" prediction is off what it was trained for (guidance card §1.12, rule 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.look import Look
from ..noise_schedule import NoiseSchedule
from ..scheduler_config import schedule_of
from .base import Family, Layout, guidance_input
from .sd3 import transformer_objections

if TYPE_CHECKING:
    from ..kinds.diffusers import Options

_SIDE = 1024
"""Pixels of a side that the published models were tuned at; their configs do not tell."""


class Flux(Family):
    """A transformer over 16-channel latents, CLIP's pooled text and T5's states."""

    name = "flux"
    pipelines = ("FluxPipeline",)
    pipeline = "FluxPipeline"
    network = "transformer"
    networks = ("FluxTransformer2DModel",)
    encoders: Mapping[str, tuple[str, ...]] = {
        "text_encoder": ("CLIPTextModel",),
        "text_encoder_2": ("T5EncoderModel",),
    }
    noise = "rf"
    tokens: Mapping[str, int] = {"tokenizer_2": 512}
    guidance_scale = 3.5
    multiple = 2

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """See Family."""
        return transformer_objections(configs, "in_channels", self.channels(configs), packed=4)

    def size(self, configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, int] | None:
        """1024 x 1024."""
        return _SIDE, _SIDE

    def schedule(self, layout: Layout) -> tuple[NoiseSchedule, str]:
        """A flow whose shift follows from the number of tokens."""
        _, height, width = layout.latent_shape
        return schedule_of(
            layout.configs["scheduler"], layout.folder / "scheduler", (height // 2) * (width // 2)
        )

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """States (1, L, D) of T5 and pooled text (1, D) of CLIP."""
        states, pooled, _ = pipe.encode_prompt(text, None, device=device)
        return {"states": states, "pooled": pooled}

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """The dev model: "guidance" (B,), the scale that it imitates."""
        if not layout.configs["transformer"].get("guidance_embeds"):
            return {}
        asked = options.embedded_guidance
        scale = self.guidance_scale if asked is None else asked
        return {"guidance": guidance_input(len(look.background), scale)}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        height, width = z_t.shape[-2:]
        states, guidance = tensors["states"], tensors.get("guidance")
        out = network(
            hidden_states=pack(z_t),
            timestep=(time / 1000.0).to(z_t.dtype),
            guidance=None if guidance is None else guidance.float(),
            pooled_projections=tensors["pooled"],
            encoder_hidden_states=states,
            txt_ids=states.new_zeros(states.shape[1], 3),
            img_ids=_places(height // 2, width // 2).to(z_t),
            return_dict=False,
        )[0]
        return unpack(out, height, width)


def pack(z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
    """(B, C, h, w) -> (B, h w / 4, 4 C): one token for 2 x 2 cells."""
    return torch.nn.functional.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2)


def unpack(tokens: Float[Tensor, "b n d"], height: int, width: int) -> Float[Tensor, "b c h w"]:
    """The inverse of `pack` for latents of that size."""
    grid = tokens.transpose(1, 2).unflatten(2, (height // 2, width // 2))
    return torch.nn.functional.pixel_shuffle(grid, 2)


def _places(rows: int, columns: int) -> Float[Tensor, "n 3"]:
    """(rows columns, 3) place of each token: 0, row, column."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], dim=-1).flatten(0, 1).float()


FAMILIES = (Flux(),)
