"""The volume that a text makes learns where parts are, from the layers of the pictures: minutes, and no noise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.errors import Sds3dError, StopRequested
from ..core.streams import Streams
from ..priors.scorer import Scorer
from ..priors.text_volume import PAINTS, TextVolume, load_text_volume, made_from
from .batches import Batches
from .denoising import encode_captions
from .options import VolumeOptions
from .words import WIDTH, TextTower, set_weights

_CHUNK = 512


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


def train_volume(
    batches: Batches,
    tower: Scorer | TextTower,
    options: VolumeOptions,
    side: int,
    drop_text: float,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> TextVolume:
    """A volume whose views are the pictures' layers, by least squares.

    Args:
        side: of the maps in pixels. drop_text: share of the captions that are left out, which makes the empty text's
            volume the mean of all.

    Raises:
        StopRequested: `should_stop` said so; minutes of work are given up.
    """
    streams, volume = Streams(options.seed), TextVolume(WIDTH, options.hidden, options.side)
    set_weights(volume, streams, "volume")
    wanted = targets(batches.layers, side)
    angles = torch.tensor([[p.azimuth_deg, p.elevation_deg] for p in batches.pictures]).deg2rad()
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)
    optimizer = torch.optim.AdamW(
        volume.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    for step in range(options.steps):
        if should_stop():
            raise StopRequested(
                f"stopped at step {step} of {options.steps} of the text's volume; it will start again"
            )
        down = 2 * (1 - step / options.steps)
        optimizer.param_groups[0]["lr"] = options.learning_rate * min(1.0, (step + 1) / 50, max(0.02, down))
        rows, captions, _ = batches.named(step, options.batch)
        left_out = streams.uniform((options.batch,), "left out", step=step)[0] < drop_text
        said = ["" if out else c.text for out, c in zip(left_out.tolist(), captions, strict=True)]
        _, pooled = encode_captions(tower, said)
        shown = volume(pooled, waves[rows, 0], waves[rows, 1], side)[:, : 1 + PAINTS]
        loss = (shown - wanted[rows].float()).square().mean((0, 2, 3)).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(volume.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()
        if (step + 1) % 100 == 0:
            say(f"text's volume {step + 1}/{options.steps} loss {float(loss.detach()):.4f}")
    return volume.eval().requires_grad_(False)


def volume_of(
    folder: Path,
    batches: Batches,
    tower: Scorer | TextTower,
    options: VolumeOptions,
    side: int,
    drop_text: float,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> TextVolume:
    """The volume of a folder, trained first if it is not there; in half precision, as it is shipped.

    Raises:
        StopRequested: `should_stop` said so while it was trained. Sds3dError: the folder's was made from another
            text tower, other pictures or with other options.
    """
    made, found = _fingerprint(batches, tower, options, side, drop_text), made_from(folder)
    if found is None:
        volume = train_volume(batches, tower, options, side, drop_text, should_stop, say)
        folder.mkdir(parents=True, exist_ok=True)
        volume.save(folder, made)
    elif found != made:
        raise Sds3dError(
            f"{folder}: this volume was made from another text tower, other pictures or with other options. Delete "
            "the folder, or name another one as parts="
        )
    return load_text_volume(folder)


def _fingerprint(
    batches: Batches, tower: Scorer | TextTower, options: VolumeOptions, side: int, drop_text: float
) -> str:
    """16 hex digits over all that the volume follows from."""
    said = [p.subject for p in batches.pictures]
    facts = [options.model_dump(mode="json"), side, drop_text, batches.view_words, batches.streams.seed]
    mark = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8)
    for picture, subject in zip(batches.pictures, said, strict=True):
        names = [k.name for k in subject.kinds]
        mark.update(f"{names} {subject.relation} {subject.pattern} {picture.azimuth_deg:.4f}".encode())
    encoder, layer = tower.text_encoder.state_dict(), tower.text_projection.state_dict()
    for name, value in sorted({**encoder, **{f"projection.{k}": v for k, v in layer.items()}}.items()):
        mark.update(name.encode())
        mark.update(value.contiguous().numpy().tobytes())
    return mark.hexdigest()
