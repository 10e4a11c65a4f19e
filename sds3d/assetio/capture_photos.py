"""Photographs as pictures of one size that a pinhole took, with square pixels and the axis in the middle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..core.errors import AssetError
from ..core.lenses import Lens
from ..core.resize import resize
from .capture import Photo
from .files import read_bytes
from .image_bytes import as_rgb, opened

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_HELD = 4 << 30
"""Bytes of all photographs together at the size that they are fitted in."""


@dataclass(frozen=True)
class Photos:
    """N photographs of one size.

    Args:
        rgb: (N, 3, H, W) sRGB. alpha: (N, 1, H, W), all 255 where a photograph has none. weight: (N, 1, H, W), 0 where
            it has no pixel or its mask says so.
        fov_y_deg: (N,) vertical angle of view of the whole picture.
    """

    rgb: UInt8[Tensor, "n 3 h w"]
    alpha: UInt8[Tensor, "n 1 h w"]
    weight: UInt8[Tensor, "n 1 h w"]
    fov_y_deg: Float[Tensor, " n"]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[-2], self.rgb.shape[-1]

    @property
    def transparent(self) -> bool:
        """Whether any of them has pixels that show nothing."""
        return bool((self.alpha < 255).any())

    def rows(self, index: Tensor | list[int]) -> Photos:
        """Some of them."""
        return Photos(self.rgb[index], self.alpha[index], self.weight[index], self.fov_y_deg[index])


def size_of(file: Path) -> tuple[int, int]:
    """(width, height) of a picture file, by its head.

    Raises:
        AssetError: it is no picture.
    """
    with _opened(file) as image:
        return image.width, image.height


def check_heads(photos: Sequence[Photo]) -> None:
    """Look at the heads of the files, which costs little beside the pictures.

    Raises:
        AssetError: one is no picture, or of other proportions than its camera.
    """
    for photo in photos:
        for file in (photo.file, photo.mask):
            if file is not None:
                _check_size(file, size_of(file), photo.lens)


def common_size(lenses: Sequence[Lens], side: int) -> tuple[int, int]:
    """(height, width) that all pictures fit into when their longest sides are `side`, or their own where smaller."""
    side = min(side, max(max(lens.width, lens.height) for lens in lenses))
    sizes = [(lens.height, lens.width) for lens in lenses]
    scaled = [(max(1, round(side * h / max(h, w))), max(1, round(side * w / max(h, w)))) for h, w in sizes]
    return max(h for h, _ in scaled), max(w for _, w in scaled)


def load_photos(photos: Sequence[Photo], size: tuple[int, int]) -> Photos:
    """The pictures, as a pinhole would have taken them.

    Args:
        size: (height, width) in pixels, see `common_size`.

    Raises:
        AssetError: a picture cannot be read or is not as wide as its camera says; all together are too large.
    """
    if len(photos) * size[0] * size[1] * 5 > MAX_HELD:
        raise AssetError(
            f"{len(photos)} photographs of {size[1]} x {size[0]} pixels are more than the {MAX_HELD >> 30} GB that "
            "sds3d holds at once: set capture.size to less."
        )
    rows = [_straightened(photo, size) for photo in photos]
    rgb, alpha, weight = (
        torch.stack(layer) for layer in zip(*(row.split([3, 1, 1]) for row in rows), strict=True)
    )
    return Photos(rgb, alpha, weight, torch.tensor([fov_of(photo.lens, size) for photo in photos]))


def fov_of(lens: Lens, size: tuple[int, int]) -> float:
    """Vertical angle of view in degrees of the picture that a lens' photograph becomes."""
    return math.degrees(2 * math.atan(0.5 * size[0] / focal_of(lens, size)))


def focal_of(lens: Lens, size: tuple[int, int]) -> float:
    """Focal length in pixels with which a picture of `size` shows about what the lens does."""
    return lens.fx * max(size) / max(lens.width, lens.height)


def _straightened(photo: Photo, size: tuple[int, int]) -> UInt8[Tensor, "5 h w"]:
    """rgb, alpha and weight of the picture that a pinhole would have taken."""
    layers, focal = _layers(photo), focal_of(photo.lens, size)
    # colours are mixed by their alpha, so that what shows nothing does not bleed into the outline
    layers[:3] *= layers[3:4]
    layers = _shrunk(layers, focal / photo.lens.fx)
    lens = photo.lens.resized(layers.shape[-1], layers.shape[-2])
    height, width = size
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    rays = torch.stack([(x - width / 2) / focal, (y - height / 2) / focal], dim=-1)
    pixel = lens.bent(rays) * rays.new_tensor([lens.fx, lens.fy]) + rays.new_tensor([lens.cx, lens.cy])
    span = pixel.new_tensor([lens.width, lens.height])
    inside = ((pixel >= -1e-6) & (pixel <= span + 1e-6)).all(-1)
    grid = (2 * pixel / span - 1).float()[None]
    found = torch.nn.functional.grid_sample(
        layers[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
    found[:3] /= found[3:4].clamp_min(1e-6)
    found[4] *= inside
    found = (255 * found).round().clamp(0, 255).to(torch.uint8)
    found[4] = torch.where(found[4] > 127, 255, 0)
    return found


def _shrunk(layers: Float[Tensor, "5 h w"], factor: float) -> Float[Tensor, "5 hh ww"]:
    """The layers at about that factor of their size where it is below 1, by area."""
    if factor >= 1.0:
        return layers
    height, width = (max(1, round(n * factor)) for n in layers.shape[-2:])
    return resize(layers[None], (height, width))[0]


def _layers(photo: Photo) -> Float[Tensor, "5 h w"]:
    """rgb, alpha and weight in [0, 1], of the file's own size.

    Raises:
        AssetError: the picture has other proportions than its camera, or its mask than the picture.
    """
    with _opened(photo.file) as image:
        width, height = image.width, image.height
        pixels = np.asarray(as_rgb(image), dtype=np.float32) / np.float32(255)
    _check_size(photo.file, (width, height), photo.lens)
    out = torch.ones(5, height, width)
    out[: pixels.shape[2]] = torch.from_numpy(pixels).permute(2, 0, 1)
    if photo.mask is not None:
        with _opened(photo.mask) as image:
            _check_size(photo.mask, (image.width, image.height), photo.lens)
            grey = as_rgb(image).convert("L").resize((width, height))
        out[4] = torch.from_numpy(np.asarray(grey, dtype=np.float32) / np.float32(255))
    return out


def _check_size(file: Path, found: tuple[int, int], lens: Lens) -> None:
    """Pictures may be smaller than their cameras say, as images_2 and images_4 are, but not of other proportions."""
    width, height = found
    if abs(width * lens.height - height * lens.width) > max(lens.width, lens.height) * 1.5:
        raise AssetError(
            f"{file}: is {width} x {height} pixels, and its camera takes pictures of {lens.width} x {lens.height}: "
            "the proportions differ, so that it is not the picture that is meant."
        )


def _opened(file: Path) -> AbstractContextManager[Image]:
    return opened(read_bytes(file, wanted="a picture"), f"{file}:")
