"""Masks painted on views of an object, lifted onto what these views show of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d import assetio
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError

from .region import Elements, View, Vote

SIDE = 256
"""Pixels of the views that tell what is seen of an object."""


def lifted(views: Sequence[View], vote: Vote) -> Elements:
    """The elements of which most of the views that see them say that they are white.

    An element is in if more than half of the views that see it show more than half of it under what is lighter than
    middle grey; so a tie is a no, and what no view sees is out.

    Raises:
        AssetError: a picture cannot be read, or is not square as the view is.
    """
    cameras = orbit([v.azimuth_deg for v in views], [v.elevation_deg for v in views])
    maps = torch.stack([_mask(view) for view in views])
    return {name: ballot.majority() for name, ballot in vote(cameras, maps).items()}


def _mask(view: View) -> Float[Tensor, "h w"]:
    """1 under white and 0 under black, at the side of the views."""
    picture = assetio.read(Path(view.file)).picture
    if picture is None or picture.pixels.shape[1] != picture.pixels.shape[2]:
        raise AssetError(f"{view.file}: a mask is a square picture, painted over a view of the object.")
    white = (picture.pixels.mean(0, keepdim=True) > 0.5).float()[None]
    return F.interpolate(white, size=(SIDE, SIDE), mode="area")[0, 0]
