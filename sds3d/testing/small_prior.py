"""A prior for checks: exact, a few numbers large, with a network beside it that a critic can change."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..core.cameras import Cameras
from ..core.streams import Streams
from ..priors.base import Cond, Prediction
from ..priors.kinds.analytic import AnalyticPrior
from ..priors.lora import LoraNetwork, LoraSpec, Weights
from ..priors.mixtures import mixture
from ..priors.noise_schedule import NoiseSchedule, stable_diffusion_schedule

SHAPE = (3, 8, 8)
MEANS = {"y": 0.5, "null": 0.0, "neg": -0.4, "src": 0.2}
"""Branch -> mean of its Gaussian; all have the deviation 0.5."""
_POSE, _WIDTH = 16, 8


class SmallPrior(AnalyticPrior):
    """Gaussians, and an adapter that adds the output of a small network to what they say."""

    def make_adapter(self, spec: LoraSpec) -> SmallAdapter:
        """See priors.lora."""
        return SmallAdapter(self, spec)


class SmallAdapter:
    """See priors.lora.Adapter; the network says nothing until it is changed."""

    def __init__(self, prior: SmallPrior, spec: LoraSpec):
        self.prior, self.camera = prior, spec.camera
        self.network = LoraNetwork(_SmallNetwork(SHAPE[0]).to(prior.device), spec)

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """The change that changes nothing."""
        return self.network.init(streams)

    def predict(
        self,
        weights: Weights,
        z_t: Tensor,
        t: Float[Tensor, " b"],
        cond: Cond,
        cameras: Cameras | None,
        told: Bool[Tensor, " b"],
    ) -> Prediction:
        """The prior's answer and the changed network's; the camera's pose is a picture of its numbers."""
        pose = z_t.new_zeros(len(z_t), _POSE)
        if self.camera and cameras is not None:
            pose = cameras.c2w.to(z_t).flatten(1) * told.to(z_t)[:, None]
        seen = torch.cat([z_t, pose[:, :, None, None].expand(-1, -1, *z_t.shape[2:])], dim=1)
        said = self.prior.predict(z_t, t, cond).eps + self.network.with_weights(weights)(seen)
        alpha, sigma = (v.to(z_t).view(-1, 1, 1, 1) for v in self.prior.schedule.levels(t))
        return Prediction.of(said, z_t, alpha, sigma, "epsilon")


class _SmallNetwork(nn.Module):
    """Two convolutions with weights that nobody drew; the second is 0."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.utils.skip_init(nn.Conv2d, channels + _POSE, _WIDTH, 3, padding=1)
        self.last = nn.utils.skip_init(nn.Conv2d, _WIDTH, channels, 1)
        with torch.no_grad():
            count = self.first.weight.numel()
            waves = torch.arange(count, dtype=torch.float32).mul(2.4).sin().view_as(self.first.weight)
            self.first.weight.copy_(waves / math.sqrt(count / _WIDTH))
            for still in (self.first.bias, self.last.weight, self.last.bias):
                still.zero_()

    def forward(self, seen: Tensor) -> Tensor:
        """(B, C + 16, h, w) -> (B, C, h, w)."""
        return self.last(torch.nn.functional.silu(self.first(seen)))


def small_prior(schedule: NoiseSchedule | None = None, device: str = "cpu") -> SmallPrior:
    """An exact prior of (3, 8, 8) with the branches y, null, neg, src, whose network a critic can change."""
    count = math.prod(SHAPE)
    one = torch.ones(1, dtype=torch.float64)
    spread = torch.full((count,), 0.25, dtype=torch.float64)
    laws = {
        name: mixture(one, [torch.full((count,), mean, dtype=torch.float64)], [spread])
        for name, mean in MEANS.items()
    }
    return SmallPrior(laws, SHAPE, schedule or stable_diffusion_schedule(), "epsilon", device)
