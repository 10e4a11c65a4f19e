"""Images in memory: PNG and JPEG, out and in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .color import to_bytes

MAX_PIXELS = 16384 * 16384


def encode_png(image: Float[Tensor, "3 h w"]) -> bytes:
    """An 8-bit PNG without metadata; equal images give equal bytes."""
    return _encode(image, format="PNG")


def encode_jpeg(image: Float[Tensor, "3 h w"]) -> bytes:
    """A JPEG of high quality, colours at full resolution, without metadata."""
    return _encode(image, format="JPEG", quality=95, subsampling=0)


def _encode(image: Float[Tensor, "3 h w"], **how: Any) -> bytes:
    from PIL import Image

    pixels = to_bytes(as_numpy(image).transpose(1, 2, 0))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, **how)
    return out.getvalue()


def decode_image(data: bytes, name: str, path: Path) -> Float[Tensor, "3 h w"]:
    """(3, H, W) sRGB in [0, 1]; an alpha channel is left out.

    Args:
        name: how the file at `path` calls the image, for the error text.

    Raises:
        AssetError: the bytes are no image that Pillow reads, or it has more than MAX_PIXELS.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise AssetError(
                    f"{path}: image '{name}' is {image.width} x {image.height} pixels, too large."
                )
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AssetError(f"{path}: image '{name}' cannot be read: {error}.") from error
    return as_tensor(pixels.transpose(2, 0, 1)).contiguous()
