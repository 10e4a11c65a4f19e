"""Nobody judges: what stands in the place of a prior where photographs say what a scene looks like."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..core.look import Look, Render
from .base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from .noise_schedule import NoiseSchedule, stable_diffusion_schedule


class Absent:
    """A Prior (see priors.base) that has no network: pictures are their own latents.

    Args:
        size: (height, width) in pixels of the pictures.
    """

    def __init__(self, size: tuple[int, int]):
        self.info = PriorInfo("photographs", "image", size, (3, *size), "x0", branches=(), licence="none")
        self.schedule: NoiseSchedule = stable_diffusion_schedule()

    def prepare(self, prompts: Prompts) -> Embedded:
        """Words mean nothing here."""
        return Embedded({})

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """No conditions."""
        return {}

    def encode(self, media: Tensor) -> Tensor:
        """The pictures."""
        return media

    def decode(self, z: Tensor) -> Tensor:
        """The pictures."""
        return z

    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """Never asked.

        Raises:
            ValueError: always.
        """
        raise ValueError("there is no prior in a fit of photographs")
