"""Dense grids: compose levels into a volume, march rays through it, total variation.

Conventions, formulas and the reference implementation are in `march_twin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from . import march_native, march_twin
from .dispatch import Implementation, RasterError, choose
from .finite import require_finite as _require_finite


def compose(
    levels: Sequence[Float[Tensor, "l l l 4"]],
    bias: Float[Tensor, "r r r"],
    density_gain: float = 20.0,
    color_gain: float = 1.5,
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "r r r 4"]:
    """The activated volume of a multi-resolution grid; differentiable in the levels.

    Args:
        levels: raw grids (L, L, L, 4), L >= 2, axes z, y, x, channels density, red, green, blue.
        bias: (R, R, R) added to the raw density at the volume's resolution; -inf makes a place empty.
        density_gain: extinction per world unit where the softplus is 1. color_gain: slope of the sigmoid.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: a level holds NaN or infinity; the text gives its index.
    """
    _require_cube("compose", "bias", bias, channels=())
    if not levels:
        raise RasterError("compose: no levels")
    for number, level in enumerate(levels):
        _require_cube("compose", f"levels[{number}]", level, like=bias)
    kernels = _kernels("compose", implementation, bias)
    for number, level in enumerate(levels):
        _require_finite("compose", f"levels[{number}]", level)
    return kernels.compose(levels, bias, density_gain, color_gain)


def march(
    volume: Float[Tensor, "r r r 4"],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    offsets: Float[Tensor, " n"] | None = None,
    *,
    half: float,
    samples: int,
    stop: float = 1e-3,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n 5"]:
    """Colour over black, alpha, and alpha times mean distance of each ray; differentiable in the volume.

    Args:
        volume: (R, R, R, 4) on the cube [-half, half]^3; only the ball of radius `half` is seen.
        origins: (N, 3). directions: (N, 3) unit vectors. Camera gradients are not offered.
        offsets: (N,) in [0, 1), where in its interval each sample lies; None for the middle.
        samples: intervals along a diameter; a shorter chord has proportionally fewer.
        stop: transmittance below which a ray ends; 0 follows every ray to its end.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Returns:
        (N, 5): red, green, blue, alpha, alpha * distance.

    Raises:
        RasterError: shapes, types or devices that do not fit, no implementation for the device, or a ray
            that requires a gradient.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    if offsets is None:
        offsets = torch.full_like(origins[:, 0], 0.5)
    _require_cube("march", "volume", volume)
    count = len(origins)
    rays = {
        "origins": (origins, (count, 3)),
        "directions": (directions, (count, 3)),
        "offsets": (offsets, (count,)),
    }
    for name, (value, shape) in rays.items():
        _require_ray("march", name, value, shape, volume)
    if samples < 1 or half <= 0:
        raise RasterError(f"march: samples must be at least 1 and half positive, got {samples} and {half}")
    kernels = _kernels("march", implementation, volume)
    for name, value in {
        "volume": volume,
        "origins": origins,
        "directions": directions,
        "offsets": offsets,
    }.items():
        _require_finite("march", name, value)
    return kernels.march(volume, origins, directions, offsets, half, samples, stop)


def total_variation(
    volume: Float[Tensor, "r r r 4"],
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, ""]:
    """Weighted sum of squared differences between neighbours; differentiable in the volume.

    Args:
        weights: one factor a channel.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: a shape is wrong, or no implementation for the device.
    """
    _require_cube("total_variation", "volume", volume)
    if len(weights) != 4:
        raise RasterError(f"total_variation: one weight a channel, 4, got {len(weights)}")
    return _kernels("total_variation", implementation, volume).total_variation(volume, weights)


def _kernels(function: str, implementation: Implementation, array: Tensor) -> ModuleType:
    offers = ("native", "twin", "warp")
    choice = choose(function, implementation, array.device, array.dtype, offers=offers)
    if choice == "warp":
        from .warp import march as march_warp

        return march_warp
    return march_native if choice == "native" else march_twin


def _require_cube(
    function: str, name: str, value: Tensor, channels: tuple[int, ...] = (4,), like: Tensor | None = None
) -> None:
    size = len(value) if value.ndim else 0
    if tuple(value.shape) != (size, size, size, *channels) or size < 2:
        wanted = ", ".join(["R, R, R", *map(str, channels)])
        raise RasterError(f"{function}: {name} must be ({wanted}) with R >= 2, got {tuple(value.shape)}")
    if like is not None:
        _require_same("compose", name, value, like)


def _require_ray(function: str, name: str, value: Tensor, shape: tuple[int, ...], volume: Tensor) -> None:
    if tuple(value.shape) != shape:
        raise RasterError(f"{function}: {name} must be {shape}, got {tuple(value.shape)}")
    if value.requires_grad:
        raise RasterError(
            f"{function}: {name} requires a gradient, but camera gradients are not offered: detach it"
        )
    _require_same(function, name, value, volume)


def _require_same(function: str, name: str, value: Tensor, like: Tensor) -> None:
    if value.dtype != like.dtype or value.device != like.device:
        raise RasterError(
            f"{function}: {name} is {value.dtype} on {value.device}, the others {like.dtype} on {like.device}"
        )
