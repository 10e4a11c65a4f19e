"""How close two sets of pictures are: PSNR and SSIM, over everything or inside a mask."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def psnr(
    first: Float[Tensor, "b c h w"],
    second: Float[Tensor, "b c h w"],
    inside: Bool[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], picture by picture.

    -10 log10 of the mean squared error over channels and pixels, or over the pixels of `inside` alone.

    Returns:
        (B,); inf where the pictures are equal, NaN where a mask is empty.
    """
    squared = (first.double() - second.double()) ** 2
    weight = torch.ones_like(squared) if inside is None else inside.double().expand_as(squared)
    error = (squared * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)
    return -10.0 * torch.log10(error)


def _window(size: int, sigma: float) -> Float[Tensor, "1 1 s s"]:
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    g = torch.exp(-0.5 * (x / sigma) ** 2)
    g = g / g.sum()
    return (g[:, None] * g[None, :])[None, None]


def ssim(first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Structural similarity in [-1, 1] of pictures in [0, 1], mean over pixels and channels.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
    eq. 13 with their Gaussian window (11 pixels, sigma 1.5), K1 = .01, K2 = .03; the border where the window
    does not fit is left out.

    Raises:
        ValueError: pictures smaller than the window.
    """
    if min(first.shape[-2:]) < 11:
        raise ValueError(f"SSIM needs pictures of at least 11 × 11 pixels, got {tuple(first.shape[-2:])}")
    window = _window(11, 1.5)
    channels = first.shape[1]

    def mean(x: Tensor) -> Tensor:
        flat = torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], window)
        return flat.reshape(len(first), channels, *flat.shape[-2:])

    a, b = first.double(), second.double()
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (
        (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    )
    return value.flatten(1).mean(1)
