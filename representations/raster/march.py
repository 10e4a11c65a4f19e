"""Dense grids: compose levels into a volume, march rays through it, total variation.

Conventions, formulas and the reference implementation are in `march_twin`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import NonFiniteError

from . import march_twin


def compose(
    levels: Sequence[Float[Tensor, "l l l 4"]],
    bias: Float[Tensor, "r r r"],
    density_gain: float = 20.0,
    color_gain: float = 1.5,
) -> Float[Tensor, "r r r 4"]:
    """The activated volume of a multi-resolution grid; differentiable in the levels.

    Args:
        levels: raw grids (L, L, L, 4), L >= 2, axes z, y, x, channels density, red, green, blue.
        bias: (R, R, R) added to the raw density at the volume's resolution; -inf makes a place empty.
        density_gain: extinction per world unit for softplus = 1. color_gain: slope of the colour's sigmoid.

    Raises:
        NonFiniteError: a level holds NaN or infinity; the text gives its index.
    """
    for number, level in enumerate(levels):
        _require_finite(f"levels[{number}]", level)
    return march_twin.compose(levels, bias, density_gain, color_gain)


def march(
    volume: Float[Tensor, "r r r 4"],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    offsets: Float[Tensor, " n"] | None = None,
    *,
    half: float,
    samples: int,
    stop: float = 1e-3,
) -> Float[Tensor, "n 5"]:
    """Colour over black, alpha, and alpha times mean distance of each ray; differentiable in the volume.

    Args:
        volume: (R, R, R, 4) on the cube [-half, half]^3; only the ball of radius `half` is seen.
        origins: (N, 3). directions: (N, 3) unit vectors. Camera gradients are not offered.
        offsets: (N,) in [0, 1), where in its interval each sample lies; None for the middle.
        samples: intervals along a diameter; a shorter chord has proportionally fewer.
        stop: transmittance below which a ray ends; 0 follows every ray to its end.

    Returns:
        (N, 5): red, green, blue, alpha, alpha * distance.

    Raises:
        ValueError: a shape is wrong, or a ray requires a gradient.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    if offsets is None:
        offsets = torch.full_like(origins[:, 0], 0.5)
    _check_rays(volume, origins, directions, offsets, samples)
    return march_twin.march(volume, origins, directions, offsets, half, samples, stop)


def total_variation(
    volume: Float[Tensor, "r r r 4"], weights: Sequence[float] = (1.0,) * 4
) -> Float[Tensor, ""]:
    """Weighted sum of squared differences between neighbours; differentiable in the volume.

    Args:
        weights: one factor a channel.
    """
    return march_twin.total_variation(volume, weights)


def _check_rays(volume: Tensor, origins: Tensor, directions: Tensor, offsets: Tensor, samples: int) -> None:
    count = len(origins)
    if volume.ndim != 4 or volume.shape[-1] != 4 or len(set(volume.shape[:3])) != 1 or volume.shape[0] < 2:
        raise ValueError(f"march: the volume must be (R, R, R, 4) with R >= 2, got {tuple(volume.shape)}")
    for name, value, shape in (
        ("origins", origins, (count, 3)),
        ("directions", directions, (count, 3)),
        ("offsets", offsets, (count,)),
    ):
        if tuple(value.shape) != shape:
            raise ValueError(f"march: {name} must be {shape}, got {tuple(value.shape)}")
        if value.requires_grad:
            raise ValueError(
                f"march: {name} requires a gradient, but camera gradients are not offered; detach it"
            )
        _require_finite(name, value)
    if samples < 1:
        raise ValueError(f"march: samples must be at least 1, got {samples}")
    _require_finite("volume", volume)


def _require_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinity by name and index; a sum is finite only if every term is."""
    if torch.isfinite(value.detach().sum()):
        return
    bad = (~torch.isfinite(value.detach())).nonzero()
    if len(bad):
        index = tuple(bad[0].tolist())
        raise NonFiniteError(
            f"{name}{list(index)} is {float(value[index])}: {len(bad)} of {value.numel()} values"
        )
