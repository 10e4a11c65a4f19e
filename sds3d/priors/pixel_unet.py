"""The embedded prior's network: a diffusers UNet on pixel-unshuffled RGB, and how camera and text reach it.

Training and use share this file, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from .text_volume import CHANNELS as VOLUME_CHANNELS
from .text_volume import TextVolume, load_text_volume
from .view_maps import CHANNELS, view_maps


@dataclass(frozen=True)
class ViewFeatures:
    """How a camera and a background become numbers for the class embedding.

    Args:
        azimuth_harmonics, elevation_harmonics: sin and cos of 1, 2, … times the angle.
        gain: factor of the camera's numbers; the pooled text beside them has the norm √width and drowns them
            otherwise.
        maps: give the network view_maps too, beside the picture.
        volume: and what the camera sees of the text's volume.
    """

    azimuth_harmonics: int = 1
    elevation_harmonics: int = 1
    gain: float = 1.0
    maps: bool = False
    volume: TextVolume | None = field(default=None, compare=False)

    @classmethod
    def of(cls, index: Mapping[str, Any], folder: Path) -> ViewFeatures:
        """The features that the model_index.json of a folder names; without an entry, first harmonics."""
        named = dict(index.get("view_features", {}))
        has_volume = named.pop("volume", False)
        return cls(**named, volume=load_text_volume(folder) if has_volume else None)

    def on(self, device: torch.device) -> ViewFeatures:
        """With the volume on a device."""
        return self if self.volume is None else replace(self, volume=self.volume.to(device))

    @property
    def width(self) -> int:
        """Numbers a view."""
        return 2 * (self.azimuth_harmonics + self.elevation_harmonics) + 5

    @property
    def camera_width(self) -> int:
        """How many of them, the first ones, are the camera's."""
        return self.width - 4

    @property
    def map_channels(self) -> int:
        """Channels of `maps_of`."""
        return CHANNELS * self.maps + VOLUME_CHANNELS * (self.volume is not None)

    def maps_of(self, class_labels: Float[Tensor, "b w"], side: int) -> Float[Tensor, "b c s s"]:
        """The maps of the cameras that `encode` put into these labels; no channels where the network has none."""
        start = 2 * self.azimuth_harmonics
        told = class_labels[:, self.camera_width - 1] / self.gain
        azimuth, elevation = (class_labels[:, i : i + 2] / self.gain for i in (0, start))
        maps = [class_labels.new_zeros(len(class_labels), 0, side, side)]
        if self.maps:
            maps.append(view_maps(azimuth, elevation, told, side))
        if self.volume is not None:
            seen = self.volume(class_labels[:, self.width :], azimuth, elevation, side)
            maps.append(seen * told[:, None, None, None])
        return torch.cat(maps, dim=1)

    def encode(
        self,
        azimuth_deg: Float[Tensor, " b"],
        elevation_deg: Float[Tensor, " b"],
        background: Float[Tensor, "b 3"],
        has_camera: Float[Tensor, " b"],
        has_background: Float[Tensor, " b"],
    ) -> Float[Tensor, "b w"]:
        """Harmonics of the angles, a flag for the camera, the background in [-1, 1], a flag for it.

        Args:
            has_camera, has_background: 1 where the network is told, 0 where it is not; its numbers are zero then.
        """
        waves = []
        for angle, count in (
            (azimuth_deg, self.azimuth_harmonics),
            (elevation_deg, self.elevation_harmonics),
        ):
            for k in range(1, count + 1):
                turned = torch.deg2rad(angle) * k
                waves += [turned.sin(), turned.cos()]
        camera = torch.stack([*waves, torch.ones_like(azimuth_deg)], dim=-1) * (
            self.gain * has_camera[:, None]
        )
        ground = torch.cat([2 * background - 1, torch.ones_like(background[:, :1])], dim=-1)
        return torch.cat([camera, ground * has_background[:, None]], dim=-1)


def pool_text(
    states: Float[Tensor, "b l d"],
    ids: Int[Tensor, "b l"],
    end_id: int,
    weight: Float[Tensor, "d d"],
    bias: Float[Tensor, " d"],
) -> Float[Tensor, "b d"]:
    """The projected state of the last word's end token at norm √d; zero for an empty prompt, as in training."""
    end = (ids == end_id).int().argmax(1)
    rows = states[torch.arange(len(states), device=states.device), end]
    pooled = F.normalize(rows @ weight.T + bias, dim=-1) * states.shape[-1] ** 0.5
    # token 0 opens the sentence: an end at 1 means that there is no word between
    return pooled * (end > 1).to(pooled.dtype)[:, None]


def unet_output(
    unet: Any,
    features: ViewFeatures,
    unshuffle: int,
    z_t: Float[Tensor, "b 3 s s"],
    index: Int[Tensor, " b"],
    states: Float[Tensor, "b l d"],
    class_labels: Float[Tensor, "b w"],
    maps: Float[Tensor, "b c m m"] | None = None,
) -> Float[Tensor, "b 3 s s"]:
    """One forward: pixels folded into channels, through the UNet in its own precision, and back; float32.

    Args:
        features: how class_labels hold the camera. unshuffle: side of the blocks of pixels that become channels.
        index: discrete times. maps: what `features.maps_of` makes of the labels, where it was made before.
    """
    dtype = unet.dtype
    folded = F.pixel_unshuffle(z_t, unshuffle)
    if maps is None:
        maps = features.maps_of(class_labels, folded.shape[-1])
    folded = torch.cat([folded, maps], dim=1).to(dtype)
    output = unet(folded, index, states.to(dtype), class_labels=class_labels.to(dtype), return_dict=False)[0]
    return F.pixel_shuffle(output.float(), unshuffle)
