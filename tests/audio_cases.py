"""Exactly known priors of sounds, and small sounds, for the tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import mixture
from sds3d.priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule


class ExactSounds(AnalyticPrior):
    """A Gaussian over samples: z (B, 1, 1, T) is E x for sounds x (B, 1, T); E is the identity by default."""

    def __init__(
        self, mean: Tensor, cov: Tensor, schedule: NoiseSchedule | None = None, codec: Tensor | None = None
    ):
        one, count = torch.ones(1, dtype=torch.float64), len(mean)
        law = mixture(one, [mean.double()], [cov.double()])
        table = dict.fromkeys(("y", "null", "neg"), law)
        super().__init__(table, (1, 1, count), schedule or stable_diffusion_schedule())
        self.info = replace(self.info, media="audio", size=(1, count), rate=8000)
        self.codec = torch.eye(count, dtype=torch.float64) if codec is None else codec
        self.back = torch.linalg.inv(self.codec)

    def encode(self, media: Tensor) -> Tensor:
        return (media @ self.codec.T.to(media))[:, :, None]

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.back.T.to(z))[:, :, 0]


@dataclass(frozen=True)
class Form:
    """A canvas of sounds."""

    size: tuple[int, int] = (1, 1024)
    rate: int = 8000
