"""Stable Diffusion that sees a picture beside its own: InstructPix2Pix and inpainting.

Brooks et al., "InstructPix2Pix", 2022, arXiv 2211.09800: the UNet takes four more channels, the source's latent as the
encoder gives it, without the latents' scale; "no picture" is zeros. Inpainting as Stable Diffusion's own models do it
(Rombach et al., "High-resolution image synthesis with latent diffusion models", 2022, arXiv 2112.10752): five more, the
region that may change and the scaled latent of the source with that region at mid-grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ...core.errors import ConfigError
from ...core.look import Render
from ..latent import encode_latent, latent_mode
from .stable_diffusion import StableDiffusion, width_objections


class _Beside(StableDiffusion):
    """A UNet that reads further channels beside the noisy latent.

    Attributes:
        more: how many. inputs: names of what `seen` gives, in the order of the channels.
    """

    more = 0
    inputs: tuple[str, ...] = ()

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The channels tell these models from plain ones."""
        unet, channels = configs["unet"], self.channels(configs)
        given = (int(unet.get("in_channels", 4)), int(unet.get("out_channels", 4)))
        reasons = []
        if given != (channels + self.more, channels):
            reasons.append(
                f"the UNet maps {given[0]} channels to {given[1]}, expected {channels + self.more} to {channels}"
            )
        return reasons + width_objections(unet, configs)

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """See Family."""
        beside = torch.cat([z_t, *(tensors[name] for name in self.inputs)], dim=1)
        return network(beside, time, tensors["states"], return_dict=False)[0]


class InstructPix2Pix(_Beside):
    """Edits by instruction; the branches are y: words and picture, src: the picture alone, null: neither."""

    name = "instruct-pix2pix"
    pipelines = ("StableDiffusionInstructPix2PixPipeline",)
    more = 4
    inputs = ("picture",)
    maps = frozenset({"source"})
    blank = frozenset({"picture"})
    sees_source = True

    def seen(self, vae: Any, maps: Render, size: tuple[int, int]) -> dict[str, Tensor]:
        """ "picture" (B, 4, h, w): the source's latent, unscaled."""
        return {"picture": latent_mode(vae, _needed(maps, "source", self.name), size).float()}


class Inpainting(_Beside):
    """Fills a region of a picture by words."""

    name = "inpainting"
    pipelines = ("StableDiffusionInpaintPipeline",)
    more = 5
    inputs = ("region", "kept")
    maps = frozenset({"source", "region"})

    def seen(self, vae: Any, maps: Render, size: tuple[int, int]) -> dict[str, Tensor]:
        """ "region" (B, 1, h, w), 1 where it may change, and "kept" (B, 4, h, w): the scaled latent of the rest."""
        source = _needed(maps, "source", self.name)
        region = _needed(maps, "region", self.name).to(source)
        inside = (F.interpolate(region, size=source.shape[2:], mode="nearest") >= 0.5).to(source)
        kept = encode_latent(vae, source * (1.0 - inside) + 0.5 * inside, size)
        return {"region": F.interpolate(inside, size=kept.shape[2:], mode="nearest"), "kept": kept}


def _needed(maps: Render, name: str, family: str) -> Float[Tensor, "b c h w"]:
    """One of the maps.

    Raises:
        ConfigError: nobody gave it.
    """
    if name not in maps:
        what = {"source": "an original that is edited", "region": "a region that may change"}[name]
        raise ConfigError(
            f"models of the family {family} look at {what}, and this run has none.",
            key="prior",
            hint="They are for edits: `sds3d edit` hands both over.",
        )
    return maps[name]


FAMILIES = (InstructPix2Pix(), Inpainting())
