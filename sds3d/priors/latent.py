"""Pixels to latents and back through a variational autoencoder.

z = (mode of the posterior - shift) * scale: scale .18215 and shift 0 for Stable Diffusion 1.x and 2.x (Rombach et
al., "High-resolution image synthesis with latent diffusion models", 2022, arXiv 2112.10752, appendix G on the
rescaling to unit variance), .13025 and 0 for SDXL, 1.5305 and .0609 for SD3, .3611 and .1159 for FLUX; guidance card
§1.9. The numbers are read from the model's own config.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def resized(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c hh ww"]:
    """At `size` = (height, width), bilinear without antialiasing, as the published methods do it; differentiable."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=False)


def encode_latent(
    vae: Any, rgb: Float[Tensor, "b 3 h w"], size: tuple[int, int]
) -> Float[Tensor, "b c latent_h latent_w"]:
    """Display-referred RGB in [0, 1] at any size -> scaled latents; gradients reach `rgb`.

    Args:
        vae: diffusers' AutoencoderKL; runs in its own precision, on its own device.
        size: (height, width) in pixels that the pictures are resized to.

    Returns:
        (B, C, h, w) float32 on the autoencoder's device.
    """
    return (latent_mode(vae, rgb, size).float() - _shift(vae)) * vae.config.scaling_factor


def latent_mode(
    vae: Any, rgb: Float[Tensor, "b 3 h w"], size: tuple[int, int]
) -> Float[Tensor, "b c latent_h latent_w"]:
    """As `encode_latent`, without the model's scale and shift, in the autoencoder's precision."""
    image = resized(2.0 * rgb.to(device=vae.device, dtype=vae.dtype) - 1.0, size)
    return vae.encode(image).latent_dist.mode()


@torch.no_grad()
def decode_latent(vae: Any, z: Float[Tensor, "b c latent_h latent_w"]) -> Float[Tensor, "b 3 h w"]:
    """Scaled latents -> RGB clamped to [0, 1], float32; no gradient."""
    image = vae.decode(
        (z / vae.config.scaling_factor + _shift(vae)).to(device=vae.device, dtype=vae.dtype)
    ).sample
    return (image.float() / 2 + 0.5).clamp(0, 1)


def _shift(vae: Any) -> float:
    """Models from before the option have none."""
    return getattr(vae.config, "shift_factor", None) or 0.0
