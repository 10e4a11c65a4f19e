"""The object of a picture without what is behind it, framed as the pictures of a training set are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..core.errors import AssetError
from ..core.resize import resize
from .photo import Photo

SHARE = 0.74
"""Reach of a silhouette over half of the frame: the median of the 59 kinds that prior32 knows, seen from
the front at elevation 15 by the default camera."""
USUAL = (0.55, 0.86)
"""Reaches that need no fitting: those of all but three of these kinds."""
_OFF = 0.12
"""How far from the middle the box of a silhouette may lie then, over half of the frame; theirs lie as far."""
MOST_SIDE = 512
"""Longest side in pixels of a cut-out."""

_NEAR = 0.06
"""How far a channel may be off the background's, at least."""
_EVEN = 0.7
"""Share of the border that has to look like the background; an object may reach across some of it."""
_HOLE = 0.003
"""Least share of the picture of a piece of background that the object encloses, as a ring does."""


Behind = Literal["auto"] | tuple[float, float, float]
"""See `cut_out`."""


@dataclass(frozen=True)
class Cutout:
    """An object on a square.

    Args:
        color: (3, S, S) sRGB in [0, 1] times alpha. alpha: (1, S, S) in [0, 1].
    """

    color: Float[Tensor, "3 s s"]
    alpha: Float[Tensor, "1 s s"]

    def at(self, side: int) -> Cutout:
        """The same with another number of pixels."""
        both = resize(torch.cat([self.color, self.alpha])[None], (side, side))[0]
        return Cutout(both[:3], both[3:])

    def over(self, background: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 s s"]:
        """The object over each of these colours."""
        return self.color + (1 - self.alpha) * background[:, :, None, None]


def cut_out(photo: Photo, background: Behind, fit: bool, what: str) -> Cutout:
    """The object alone, on a square.

    Args:
        background: the colour behind the object, RGB in [0, 1]; auto: what is transparent, or else the border's colour.
        fit: centre it, and scale it so that it reaches over SHARE of half the frame, unless it lies in the picture as
            objects of training pictures do; else the frame is the picture's longer side.
        what: the picture, for the text of errors.

    Raises:
        AssetError: what is behind the object cannot be told, or there is no object.
    """
    rgb, alpha = photo.rgb, photo.alpha
    if alpha is None or background != "auto":
        alpha = torch.ones_like(rgb[:1]) if alpha is None else alpha
        behind = _border_color(rgb, what) if background == "auto" else torch.tensor(background)
        rgb, found = _without(rgb, behind)
        alpha = alpha * found
    inside = alpha[0] > 0.5
    if not bool(inside.any()) or int(inside.sum()) < 16:
        raise AssetError(
            f"{what}: shows no object: all of it looks like its background. Cut the object out (a PNG with "
            "transparency), or name the background's colour."
        )
    return _framed(torch.cat([rgb * alpha, alpha]), inside, fit)


def _border(rgb: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 n"]:
    """The pixels of the picture's border, one fiftieth of its smaller side wide."""
    w = max(1, min(rgb.shape[1:]) // 50)
    inner = rgb[:, w:-w]
    parts = (rgb[:, :w], rgb[:, -w:], inner[:, :, :w], inner[:, :, -w:])
    return torch.cat([part.reshape(3, -1) for part in parts], dim=1)


def _border_color(rgb: Float[Tensor, "3 h w"], what: str) -> Float[Tensor, " 3"]:
    """The colour that the border has nearly everywhere.

    Raises:
        AssetError: it has several.
    """
    border = _border(rgb)
    middle = border.median(dim=1).values
    even = float(((border - middle[:, None]).abs().amax(0) < _NEAR).float().mean())
    if even < _EVEN:
        raise AssetError(
            f"{what}: its border has no single colour ({even:.0%} of it is alike), so that the object cannot be told "
            "from what is behind it. Cut the object out (a PNG with transparency), or name the background's colour."
        )
    return middle


def _without(
    rgb: Float[Tensor, "3 h w"], behind: Float[Tensor, " 3"]
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """(colours of the object, its coverage): background is what looks like it and hangs together with the border.

    A pixel at the outline is a mixture of the background and the neighbour that is least like it.
    """
    away = (rgb - behind[:, None, None]).abs().amax(0)
    border = (_border(rgb) - behind[:, None]).abs().amax(0)
    spread = float(border[border < _NEAR].double().std(correction=0)) if bool((border < _NEAR).any()) else 0.0
    outside = _connected(away < max(_NEAR, 4 * spread), away, max(0.01, 2 * spread))
    window = torch.nn.functional.pad(away[None, None], (1, 1, 1, 1), mode="replicate")
    most, where = torch.nn.functional.max_pool2d(window, 3, stride=1, return_indices=True)
    near = torch.nn.functional.max_pool2d(outside[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0.5
    padded = torch.nn.functional.pad(rgb[None], (1, 1, 1, 1), mode="replicate")[0].flatten(1)
    purest = padded[:, where[0, 0].flatten()].reshape(rgb.shape)
    edge = near & ~outside
    share = (away / most[0, 0].clamp_min(1e-6)).clamp(0, 1)
    alpha = torch.where(outside, 0.0, torch.where(edge, share, 1.0))[None]
    return torch.where(edge, purest, rgb), alpha


def _connected(alike: Bool[Tensor, "h w"], away: Float[Tensor, "h w"], hole: float) -> Bool[Tensor, "h w"]:
    """The pieces of `alike` that touch the border, and large enclosed ones that are the background's colour exactly.

    Args:
        away: from the background's colour. hole: mean of it in a piece that counts as a hole, at most.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(alike.numpy())
    rim = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    kept = np.isin(np.arange(count + 1), rim)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    means = np.bincount(pieces.ravel(), weights=away.numpy().ravel(), minlength=count + 1) / sizes.clip(1)
    kept |= (sizes >= _HOLE * pieces.size) & (means <= hole)
    kept[0] = False
    return torch.from_numpy(kept[pieces])


def _framed(layers: Float[Tensor, "4 h w"], inside: Bool[Tensor, "h w"], fit: bool) -> Cutout:
    """The layers on a square whose frame is the picture's, or that of training pictures."""
    height, width = inside.shape
    centre, half = torch.tensor([width / 2, height / 2]), max(height, width) / 2
    if fit:
        y, x = inside.nonzero(as_tuple=True)
        corners = torch.stack([x, y]).float()
        box = (corners.amin(1) + corners.amax(1) + 1) / 2
        reach = float((corners + 0.5 - box[:, None]).norm(dim=0).max())
        off = float((box - centre).abs().max())
        if not (USUAL[0] * half <= reach <= USUAL[1] * half and off <= _OFF * half):
            centre, half = box, reach / SHARE
    side = max(16, min(MOST_SIDE, round(2 * half)))
    factor = side / (2 * half)
    if factor < 1.0:  # by area first, so that nothing is skipped
        layers = resize(layers[None], (max(1, round(height * factor)), max(1, round(width * factor))))[0]
        scale = torch.tensor([layers.shape[2] / width, layers.shape[1] / height])
    else:
        scale = torch.ones(2)
    return _window(layers, centre * scale, half * scale, side)


def _window(
    layers: Float[Tensor, "4 h w"], centre: Float[Tensor, " 2"], half: Float[Tensor, " 2"], side: int
) -> Cutout:
    """A window of the layers, transparent beyond their border.

    Args:
        centre, half: (x, y) in pixels.
    """
    height, width = layers.shape[1:]
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    x, y = centre[0] + half[0] * steps, centre[1] + half[1] * steps
    grid = torch.stack(torch.broadcast_tensors(2 * x[None, :] / width - 1, 2 * y[:, None] / height - 1), -1)
    out = torch.nn.functional.grid_sample(
        layers[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0].clamp(0, 1)
    return Cutout(torch.minimum(out[:3], out[3:]), out[3:])
