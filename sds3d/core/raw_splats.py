"""Gaussians before activation: as files of splats hold them, and as optimizers move them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from .assets import Splats


@dataclass(frozen=True)
class RawSplats:
    """N Gaussians before activation, float32.

    Args:
        means: (N, 3). log_scales: (N, 3) natural logarithms of the standard deviations.
        rotations: (N, 4) quaternions w, x, y, z of any length, normalised where they are used.
        logit_opacities: (N,) log(o / (1 - o)).
        sh_dc: (N, 3) harmonics of degree 0. sh_rest: (N, K - 1, 3) the higher ones.
    """

    means: Float[Tensor, "n 3"]
    log_scales: Float[Tensor, "n 3"]
    rotations: Float[Tensor, "n 4"]
    logit_opacities: Float[Tensor, " n"]
    sh_dc: Float[Tensor, "n 3"]
    sh_rest: Float[Tensor, "n k 3"]

    def __len__(self) -> int:
        return len(self.means)

    def named(self) -> dict[str, Tensor]:
        """Name -> tensor."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to_splats(self, name: str = "splats") -> Splats:
        """The activated Gaussians, on the CPU, with tensors of their own."""
        p = {key: value.detach().cpu() for key, value in self.named().items()}
        return Splats(
            means=p["means"].clone(),
            scales=p["log_scales"].exp(),
            rotations=torch.nn.functional.normalize(p["rotations"], dim=1),
            opacities=torch.sigmoid(p["logit_opacities"]),
            sh=torch.cat([p["sh_dc"][:, None], p["sh_rest"]], dim=1),
            name=name,
        )
