"""Low-rank changes of published models: the family's own forward, told the camera by its pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Bool, Float
from torch import Tensor

from ..core.cameras import Cameras
from ..core.streams import Streams
from .base import Cond, Prediction
from .lora import LoraNetwork, LoraSpec, Weights, flat_pose
from .noise_schedule import over

if TYPE_CHECKING:
    from .kinds.diffusers import DiffusersPrior


class PublishedAdapter:
    """See priors.lora.Adapter. Models that take a camera hear zeros where they are not told; others learn a pose."""

    def __init__(self, prior: DiffusersPrior, spec: LoraSpec):
        self._prior, self._pose = prior, spec.camera and not prior.family.uses_camera
        self._hears = spec.camera
        self._network = LoraNetwork(prior.network, spec, self._pose)

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """See Adapter."""
        return self._network.init(streams)

    def predict(
        self,
        weights: Weights,
        z_t: Tensor,
        t: Float[Tensor, " b"],
        cond: Cond,
        cameras: Cameras | None,
        told: Bool[Tensor, " b"],
    ) -> Prediction:
        """See Adapter."""
        prior = self._prior
        tensors = {
            k: v.to(prior.device, prior.dtype if v.is_floating_point() else None)
            for k, v in cond.tensors.items()
            if k != "skips"
        }
        if "camera" in tensors:
            tensors["camera"] = over(told & self._hears, tensors["camera"]) * tensors["camera"]
        pose = flat_pose(cameras, told, prior.device) if self._pose else None
        network = self._network.with_weights(weights, pose)
        time = prior.schedule.network_time(t).to(prior.device)
        output = prior.family.forward(network, z_t.to(prior.device, prior.dtype), time, tensors).float()
        alpha, sigma = (over(v, z_t) for v in prior.schedule.levels(t))
        return Prediction.of(output, z_t, alpha, sigma, prior.info.prediction)
