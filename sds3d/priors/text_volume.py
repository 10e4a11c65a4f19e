"""A coarse volume that a text makes, seen from a camera: where the parts of an object are likely to be.

A small UNet that is told its camera as numbers has to learn for each kind apart how it looks from each side. Here a
sentence makes a coarse volume of density and paints, the same from everywhere, which is projected into the asked view
by emission and absorption (Max 1995) and lies beside the noisy picture as maps: sides follow from geometry. Feature
volumes tell a diffusion model its view in this way in Chan et al., "Generative novel view synthesis with 3D-aware
diffusion models", 2023, arXiv 2304.02602; there a picture makes the volume, and here a text.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..assetio.files import write_atomic
from ..core.cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG
from ..core.errors import Sds3dError
from .view_maps import plane_points

FILE = "text_volume.safetensors"
PAINTS = 4
"""Main, second, third paint, and how bright the paints are that a kind fixes."""
CHANNELS = PAINTS + 2
"""Coverage, the paints, nearness."""


class TextVolume(nn.Module):
    """Pooled text to maps of a view.

    Args:
        text: width of the pooled text. hidden: width of the layers before the volume. side: voxels a side.
        samples: points a ray. reach: half the volume's side, in the world's units.
    """

    def __init__(
        self, text: int = 128, hidden: int = 224, side: int = 14, samples: int = 16, reach: float = 1.05
    ):
        super().__init__()
        self.facts = {"text": text, "hidden": hidden, "side": side, "samples": samples, "reach": reach}
        self.side, self.hidden, self.samples, self.reach = side, hidden, samples, reach
        self.layers = nn.Sequential(
            nn.Linear(text, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, (1 + PAINTS) * side**3),
        )  # fmt: skip

    def volume(
        self, pooled: Float[Tensor, "b d"]
    ) -> tuple[Float[Tensor, "b 1 s s s"], Float[Tensor, "b 4 s s s"]]:
        """Density in 1 / length and paints in [0, 1], both indexed [z, y, x] of the world."""
        raw = self.layers(pooled).unflatten(1, (1 + PAINTS, self.side, self.side, self.side))
        return 8 * F.softplus(raw[:, :1] - 4), torch.sigmoid(raw[:, 1:])

    def forward(
        self,
        pooled: Float[Tensor, "b d"],
        azimuth: Float[Tensor, "b 2"],
        elevation: Float[Tensor, "b 2"],
        side: int,
    ) -> Float[Tensor, "b 6 s s"]:
        """What a camera sees of it: coverage, the paints times coverage, nearness times coverage.

        Args:
            azimuth, elevation: sin and cos of the angles. side: pixels a side.
        """
        return self.seen(*self.volume(pooled), azimuth, elevation, side)

    def seen(
        self,
        density: Float[Tensor, "b 1 s s s"],
        paints: Float[Tensor, "b 4 s s s"],
        azimuth: Float[Tensor, "b 2"],
        elevation: Float[Tensor, "b 2"],
        side: int,
    ) -> Float[Tensor, "b 6 h w"]:
        """What a camera sees of given volumes; the rest as `forward`.

        Args:
            density, paints: as `volume` gives them.
        """
        azimuth, elevation = azimuth.to(density), elevation.to(density)
        points, length, near = self._rays(azimuth, elevation, side)
        grid = points / self.reach
        inside = (grid.abs() <= 1).all(-1)[:, None]
        at = F.grid_sample(torch.cat([density, paints], 1), grid, align_corners=True, padding_mode="border")
        thickness = at[:, :1] * inside * length[:, None]
        before = torch.cat([torch.zeros_like(thickness[:, :, :1]), thickness.cumsum(2)[:, :, :-1]], dim=2)
        weight = (-before).exp() * (1 - (-thickness).exp())
        seen = torch.cat([torch.ones_like(weight), at[:, 1:], near.expand_as(weight)], dim=1)
        return (weight * seen).sum(2)

    def _rays(
        self, azimuth: Float[Tensor, "b 2"], elevation: Float[Tensor, "b 2"], side: int
    ) -> tuple[Float[Tensor, "b n h w 3"], Float[Tensor, "b 1 h w"], Float[Tensor, "1 1 n 1 1"]]:
        """Points on the rays through the pixels, the distance between neighbours, and how near each is in (0, 1)."""
        points, towards, _ = plane_points(azimuth, elevation, side)
        plane = points.movedim(1, -1) * (DEFAULT_DISTANCE * math.tan(math.radians(DEFAULT_FOV_Y_DEG / 2)))
        eye = (DEFAULT_DISTANCE * towards)[:, None, None]
        ray = plane - eye
        # rays end in the plane through the origin at 1; the ball of the volume reaches as far before as behind
        depth = 1.4 * self.reach / DEFAULT_DISTANCE
        steps = (torch.arange(self.samples, device=azimuth.device, dtype=azimuth.dtype) + 0.5) / self.samples
        place = (1 + depth * (2 * steps - 1))[None, :, None, None, None]
        length = ray.norm(dim=-1) * (2 * depth / self.samples)
        return eye[:, None] + place * ray[:, None], length[:, None], (1 - steps)[None, None, :, None, None]

    def save(self, folder: Path, made: str = "") -> None:
        """Write text_volume.safetensors, in half precision; its facts are the file's metadata.

        Args:
            made: a fingerprint of what it was made from.
        """
        from safetensors.torch import save

        weights = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        data = save(weights, metadata={"facts": json.dumps(self.facts), "made": made})
        write_atomic(folder / FILE, data, overwrite=True)


def load_text_volume(folder: Path) -> TextVolume:
    """The volume of a model folder, float32, frozen.

    Raises:
        Sds3dError: it is missing or broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no mapping)
        volume = TextVolume(**facts)
        volume.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Sds3dError(f"{folder / FILE}: is no text's volume: {error}") from error
    return volume.eval().requires_grad_(False)


def made_from(folder: Path) -> str | None:
    """The fingerprint in a folder's file; None where there is no file that could be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, framework="pt") as file:
            return (file.metadata() or {}).get("made", "")
    except (OSError, SafetensorError):
        return None
