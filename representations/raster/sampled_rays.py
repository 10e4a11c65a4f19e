"""Rays through an occupancy grid: which places to look at, how much each is seen, and sums along rays.

Formulas and the reference implementation are in `sampled_rays_twin`. A field is asked in between, so that empty
space costs nothing (Müller et al. 2022, arXiv 2201.05989, appendix E.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from . import sampled_rays_native, sampled_rays_twin
from .dispatch import Implementation, RasterError, choose
from .finite import require_finite


@dataclass(frozen=True)
class RaySamples:
    """Samples of N rays behind each other, ray by ray and nearest first.

    Args:
        starts: (N + 1,) int64, the first sample of each ray, and P. ray: (P,) int64, whose each is.
        distance: (P,) from the ray's origin. length: (P,) of the interval. points: (P, 3) world.
    """

    starts: Int[Tensor, " m"]
    ray: Int[Tensor, " p"]
    distance: Float[Tensor, " p"]
    length: Float[Tensor, " p"]
    points: Float[Tensor, "p 3"]

    def __len__(self) -> int:
        return len(self.ray)

    def keep(self, which: Bool[Tensor, " p"]) -> RaySamples:
        """Those samples alone, in order."""
        before = torch.cat([self.starts.new_zeros(1), which.cumsum(0)])
        parts = (t[which] for t in (self.ray, self.distance, self.length, self.points))
        return RaySamples(before[self.starts], *parts)


def sample(
    occupied: Bool[Tensor, "r r r"],
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    offsets: Float[Tensor, " n"] | None = None,
    *,
    half: float,
    samples: int,
    implementation: Implementation = "auto",
) -> RaySamples:
    """Places along rays in the occupied cells of the cube [-half, half]^3 that lie in its ball; no gradients.

    Args:
        occupied: (R, R, R) bool, axes z, y, x. origins: (N, 3). directions: (N, 3) unit vectors.
        offsets: (N,) in [0, 1), where in its interval each sample lies; None for the middle.
        samples: intervals along a diameter of the ball; a shorter chord has proportionally fewer.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    count, size = len(origins), len(occupied)
    if offsets is None:
        offsets = torch.full_like(origins[:, 0], 0.5)
    if tuple(occupied.shape) != (size, size, size) or occupied.dtype != torch.bool or size < 1:
        raise RasterError(
            f"sample: occupied must be (R, R, R) bool, got {tuple(occupied.shape)} {occupied.dtype}"
        )
    if samples < 1 or half <= 0:
        raise RasterError(f"sample: samples must be at least 1 and half positive, got {samples} and {half}")
    named = {"origins": origins, "directions": directions, "offsets": offsets}
    for name, value in named.items():
        wanted = (count,) if name == "offsets" else (count, 3)
        if tuple(value.shape) != wanted:
            raise RasterError(f"sample: {name} must be {wanted}, got {tuple(value.shape)}")
        _require_same("sample", name, value, origins)
    if occupied.device != origins.device:
        raise RasterError(f"sample: occupied is on {occupied.device}, the rays on {origins.device}")
    kernels = _kernels("sample", implementation, origins)
    for name, value in named.items():
        require_finite("sample", name, value)
    return RaySamples(*kernels.sample(occupied, origins, directions, offsets, half, samples))


def weights(
    density: Float[Tensor, " p"],
    samples: RaySamples,
    stop: float = 1e-3,
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, " p"]:
    """How much of each sample is seen; differentiable in the density.

    Args:
        density: (P,) extinction per world unit at the samples, not negative.
        stop: transmittance below which a ray ends; 0 follows every ray to its end.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: a density is NaN or infinite; the text gives its index.
    """
    if tuple(density.shape) != (len(samples),):
        raise RasterError(f"weights: density must be {(len(samples),)}, got {tuple(density.shape)}")
    _require_same("weights", "density", density, samples.length)
    kernels = _kernels("weights", implementation, density)
    require_finite("weights", "density", density)
    return kernels.weights(density, samples.length, samples.starts, stop)


def accumulate(
    weight: Float[Tensor, " p"],
    values: Float[Tensor, "p c"],
    samples: RaySamples,
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n c"]:
    """sum w value along each ray, 0 for rays without samples; differentiable in both.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    if tuple(weight.shape) != (len(samples),) or values.ndim != 2 or len(values) != len(samples):
        raise RasterError(
            f"accumulate: there are {len(samples)} samples, weight is {tuple(weight.shape)} and values "
            f"{tuple(values.shape)}; they must be (P,) and (P, C)"
        )
    for name, value in {"weight": weight, "values": values}.items():
        _require_same("accumulate", name, value, samples.length)
    kernels = _kernels("accumulate", implementation, values)
    require_finite("accumulate", "weight", weight)
    require_finite("accumulate", "values", values)
    return kernels.accumulate(weight, values, samples.starts)


def _kernels(function: str, implementation: Implementation, array: Tensor) -> ModuleType:
    offers = ("native", "twin", "warp") if function == "sample" else ("native", "twin", "nerfacc", "warp")
    choice = choose(function, implementation, array.device, array.dtype, offers=offers)
    if choice == "warp":
        from .warp import sampled_rays as sampled_rays_warp

        return sampled_rays_warp
    if choice == "nerfacc":
        from . import sampled_rays_nerfacc

        return sampled_rays_nerfacc
    return sampled_rays_native if choice == "native" else sampled_rays_twin


def _require_same(function: str, name: str, value: Tensor, like: Tensor) -> None:
    if value.dtype != like.dtype or value.device != like.device:
        raise RasterError(
            f"{function}: {name} is {value.dtype} on {value.device}, the rays {like.dtype} on {like.device}"
        )
