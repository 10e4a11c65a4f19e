"""A picture file that somebody brings, read as colours and coverage: sizes are checked before anything is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.errors import AssetError
from .files import read_bytes, shown
from .image_bytes import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of the files that are read."""
MOST_BYTES = 64 << 20
MOST_PIXELS = 1 << 26
"""Of a picture; telephones make up to 50 million."""
LEAST_SIDE = 8
"""Smaller pictures show nothing."""
WORKED_SIDE = 1024
"""Longest side in pixels that is kept; more is averaged away at once."""

_FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Photo:
    """A picture, upright, its longest side at most WORKED_SIDE pixels.

    Args:
        rgb: (3, H, W) sRGB in [0, 1]. alpha: (1, H, W) in [0, 1]; None where every pixel is opaque.
    """

    rgb: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "1 h w"] | None


def photo_bytes(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        AssetError: there is no such file, or it is too large for a picture.
    """
    return read_bytes(path, MOST_BYTES, "a PNG, JPEG or WebP picture")


def read_photo(data: bytes, path: Path) -> Photo:
    """The picture of a PNG, JPEG or WebP file.

    CMYK and grey pictures, palettes and 16 bits a channel become sRGB; the turn that a camera noted is carried out.

    Args:
        path: for the text of errors.

    Raises:
        AssetError: it is of another type, moves, is too large or too small, or is broken off.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check(image, path)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _photo(upright)
    except UnidentifiedImageError as error:
        raise AssetError(f"{path}: is no PNG, JPEG or WebP picture; save it as one of these.") from error
    except Image.DecompressionBombError as error:
        raise AssetError(f"{path}: is too large: {shown(error, 120)}.") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise AssetError(f"{path}: is broken: {shown(error, 120)}. Save the picture again.") from error


def _check(image: Image, path: Path) -> None:
    """Refuse by the head of the file."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise AssetError(
            f"{path}: has {width} x {height} pixels, more than {MOST_PIXELS / 1e6:.0f} million; make it smaller."
        )
    if min(width, height) < LEAST_SIDE:
        raise AssetError(
            f"{path}: has {width} x {height} pixels, which show nothing; each side takes at least {LEAST_SIDE}."
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise AssetError(f"{path}: moves, with {frames} pictures in it; save the one that is meant.")


def _photo(image: Image) -> Photo:
    """Colours and coverage; the colours of shrunk pixels are mixed by their coverage."""
    image = as_rgb(image)
    clear = image.mode == "RGBA"
    factor = -(-max(image.size) // WORKED_SIDE)
    if factor > 1:
        image = (image.convert("RGBa") if clear else image).reduce(factor)
        image = image.convert("RGBA") if clear else image
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    alpha = pixels[3:] if clear and bool((pixels[3:] < 1).any()) else None
    return Photo(pixels[:3].contiguous(), alpha)
