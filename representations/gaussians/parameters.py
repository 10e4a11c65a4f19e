"""The tensors of N Gaussians, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.assets import Splats
from sds3d.core.raw_splats import RawSplats

from ..base import Moments

SH_0 = 0.5 / math.sqrt(math.pi)
"""Value of the harmonic of degree 0: colour = 0.5 + SH_0 · coefficient."""


FLAT = 1e-4
"""Third standard deviation of surfels, world units: what other programs take for flat."""


@dataclass(frozen=True)
class Parameters(RawSplats):
    """N Gaussians in world units; every tensor is a leaf that Adam moves."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Parameters:
        """Each tensor through a function."""
        return Parameters(**{name: function(value) for name, value in self.named().items()})

    def take(self, rows: Int[Tensor, " m"]) -> Parameters:
        """The Gaussians of those rows, detached, in that order."""
        return self.map(lambda value: value.detach()[rows])

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """(N, 3) standard deviations."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Float[Tensor, " n"]:
        """(N,) in (0, 1)."""
        return torch.sigmoid(self.logit_opacities)

    @property
    def colors(self) -> Float[Tensor, "n 3"]:
        """(N, 3) sRGB averaged over all directions; in [0, 1] unless a file said otherwise."""
        return 0.5 + SH_0 * self.sh_dc

    def sh(self, count: int) -> Float[Tensor, "n k 3"]:
        """(N, count, 3): the first `count` harmonics, degree 0 first."""
        dc = self.sh_dc[:, None]
        return dc if count == 1 else torch.cat([dc, self.sh_rest[:, : count - 1]], dim=1)


def logit(opacities: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The inverse of the sigmoid for opacities in [0, 1]; the ends stay finite (|logit| below 14)."""
    return torch.logit(opacities.double().clamp(1e-6, 1 - 1e-6)).float()


def concatenate(parts: list[Parameters]) -> Parameters:
    """All Gaussians of several sets."""
    return Parameters(**{n: torch.cat([p.named()[n] for p in parts]) for n in parts[0].named()})


def rearrange(new: Parameters, rows: Int[Tensor, " m"], moments: Moments) -> Parameters:
    """Tell the optimizer that `new` takes the place of the old parameters.

    Args:
        new: M Gaussians. rows: (M,) the old row whose moments each inherits, -1 for none.

    Returns:
        The new parameters, as fresh leaves.
    """
    new = new.map(lambda value: value.detach().clone())
    for name, value in new.named().items():
        moments.rearrange(name, value, rows)
    return new


def from_splats(splats: Splats, sh_degree: int) -> Parameters:
    """Parameters that render as the splats do; harmonics above `sh_degree` are cut off, missing ones are 0.

    Opacities of exactly 0 and 1 come within 1e-6 of them, scales at least 1e-7.
    """
    count, rest = len(splats.means), (sh_degree + 1) ** 2 - 1
    sh_rest = splats.means.new_zeros(count, rest, 3)
    kept = splats.sh[:, 1 : 1 + rest]
    sh_rest[:, : kept.shape[1]] = kept
    return Parameters(
        means=splats.means.clone(),
        log_scales=splats.scales.clamp_min(1e-7).log(),
        rotations=splats.rotations.clone(),
        logit_opacities=logit(splats.opacities),
        sh_dc=splats.sh[:, 0].clone(),
        sh_rest=sh_rest,
    )


@torch.no_grad()
def project(
    parameters: Parameters, half_extent: float, min_scale: float, surfels: bool = False
) -> Parameters:
    """The nearest allowed parameters: centres in the ball, scales not too small, base colours in [0, 1].

    A projected gradient step; what is allowed already stays bit for bit. The third scale of surfels is `FLAT`.
    """
    p = parameters
    distance = p.means.norm(dim=1, keepdim=True)
    means = torch.where(distance > half_extent, p.means * (half_extent / distance.clamp_min(1e-12)), p.means)
    limit = 0.5 / SH_0
    log_scales = p.log_scales.detach().clamp_min(math.log(min_scale))
    if surfels:
        log_scales[:, 2] = math.log(FLAT)
    return replace(
        p.map(lambda value: value.detach()),
        means=means,
        log_scales=log_scales,
        sh_dc=p.sh_dc.detach().clamp(-limit, limit),
    )
