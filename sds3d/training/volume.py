"""The volume that a text makes learns where parts are, from the layers of the pictures: minutes, and no noise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..priors.scorer import Scorer
from ..priors.text_volume import PAINTS, TextVolume, load_text_volume, made_from
from .batches import Batches
from .denoising import encode_captions
from .options import VolumeOptions
from .render import fingerprint
from .short_fit import fit_shortly
from .words import WIDTH, TextTower, set_weights

_CHUNK = 512
_WARM_UP = 50


def targets(layers: np.ndarray, side: int) -> Float[Tensor, "n 5 s s"]:
    """Coverage, the three paints' shade and the mean shade of fixed paints of every picture, averaged over areas.

    Args:
        layers: (N, S, S, 8) bytes, see training.layers.
    """
    parts = []
    for start in range(0, len(layers), _CHUNK):
        some = torch.from_numpy(np.array(layers[start : start + _CHUNK])).float() / 255
        small = F.interpolate(some.movedim(-1, 1), size=(side, side), mode="area")
        parts.append(torch.cat([small[:, 7:8], small[:, :3], small[:, 3:6].mean(1, keepdim=True)], 1).half())
    return torch.cat(parts)


@dataclass(frozen=True)
class VolumeFit:
    """What a volume is learned from.

    Args:
        batches: pictures and captions. tower: reads them. side: of the maps in pixels.
        drop_text: share of the captions that are left out, which makes the empty text's volume the mean of all.
    """

    batches: Batches
    tower: Scorer | TextTower
    options: VolumeOptions
    side: int
    drop_text: float

    def train(self, should_stop: Callable[[], bool], say: Callable[[str], None]) -> TextVolume:
        """A volume whose views are the pictures' layers, by least squares.

        Raises:
            StopRequested: see fit_shortly.
        """
        options, batches, streams = self.options, self.batches, Streams(self.options.seed)
        volume = TextVolume(WIDTH, options.hidden, options.side)
        set_weights(volume, streams, "volume")
        wanted = targets(batches.layers, self.side)
        angles = torch.tensor([[p.azimuth_deg, p.elevation_deg] for p in batches.pictures]).deg2rad()
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1)

        def loss(step: int) -> Tensor:
            rows, captions, _ = batches.named(step, options.batch)
            left_out = streams.uniform((options.batch,), "left out", step=step)[0] < self.drop_text
            said = ["" if out else c.text for out, c in zip(left_out.tolist(), captions, strict=True)]
            _, pooled = encode_captions(self.tower, said)
            shown = volume(pooled, waves[rows, 0], waves[rows, 1], self.side)[:, : 1 + PAINTS]
            return (shown - wanted[rows].float()).square().mean((0, 2, 3)).sum()

        fit_shortly(volume.parameters(), loss, options, "text's volume", _WARM_UP, should_stop, say)
        return volume.eval().requires_grad_(False)

    def fingerprint(self) -> str:
        """16 hex digits over all that the volume follows from."""
        facts = [
            self.options.model_dump(mode="json"), self.side, self.drop_text, self.batches.view_words,
            self.batches.streams.seed, fingerprint(self.batches.pictures, self.batches.layers.shape[1]),
        ]  # fmt: skip
        mark = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8)
        for module in (self.tower.text_encoder, self.tower.text_projection):
            for name, value in module.state_dict().items():
                mark.update(name.encode())
                mark.update(value.contiguous().numpy().tobytes())
        return mark.hexdigest()


def volume_of(
    folder: Path, fit: VolumeFit, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> TextVolume:
    """The volume of a folder, trained first if it is not there; in half precision, as it is shipped.

    Raises:
        StopRequested: `should_stop` said so while it was trained. Sds3dError: the folder's was made from another
            text tower, other pictures or with other options.
    """
    made, found = fit.fingerprint(), made_from(folder)
    if found is None:
        volume = fit.train(should_stop, say)
        folder.mkdir(parents=True, exist_ok=True)
        volume.save(folder, made)
    elif found != made:
        raise Sds3dError(
            f"{folder}: this volume was made from another text tower, other pictures or with other options. Delete "
            "the folder, or name another one as parts="
        )
    return load_text_volume(folder)
