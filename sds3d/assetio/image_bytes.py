"""Images in memory: PNG and JPEG, out and in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .color import to_bytes
from .files import shown
from .provenance import NOTHING, Provenance, foreign

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 1 << 27
"""All pictures of one file together: 1.6 GB as the floats that they become. 16k x 8k is admitted."""


def encode_png(image: Float[Tensor, "3 h w"], provenance: Provenance = NOTHING) -> bytes:
    """An 8-bit PNG with the provenance as text chunks, else without metadata; equal images give equal bytes."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in sorted(provenance.items()):
        info.add_itxt(f"sds3d.{name}", value)
    return _encode(image, format="PNG", pnginfo=info)


def png_provenance(data: bytes) -> dict[str, str]:
    """The text chunks of a PNG that `encode_png` wrote, from a file that `decode_image` has read; else nothing."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        text = {
            str(k).removeprefix("sds3d."): str(v)
            for k, v in image.info.items()
            if str(k).startswith("sds3d.")
        }
    return foreign(text)


def encode_jpeg(image: Float[Tensor, "3 h w"]) -> bytes:
    """A JPEG of high quality, colours at full resolution, without metadata."""
    return _encode(image, format="JPEG", quality=95, subsampling=0)


def _encode(image: Float[Tensor, "3 h w"], **how: Any) -> bytes:
    from PIL import Image

    pixels = to_bytes(as_numpy(image).transpose(1, 2, 0))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, **how)
    return out.getvalue()


def decode_image(data: bytes, name: str, path: Path, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "3 h w"]:
    """(3, H, W) sRGB in [0, 1]; an alpha channel is left out.

    Args:
        name: how the file at `path` calls the image, for the error text. max_pixels: larger ones are refused.

    Raises:
        AssetError: the bytes are no image that Pillow reads, or it has more than max_pixels.
    """
    with opened(data, f"{path}: image '{shown(name)}'", max_pixels) as image:
        pixels = np.asarray(as_rgb(image).convert("RGB"), dtype=np.float32) / np.float32(255)
    return as_tensor(pixels.transpose(2, 0, 1)).contiguous()


@contextmanager
def opened(data: bytes, what: str, max_pixels: int = MAX_PIXELS) -> Iterator[Image]:
    """The image of a file, of which only the head is decoded so far.

    Args:
        what: the file, for the text of errors. max_pixels: larger ones are refused.

    Raises:
        AssetError: the bytes are no image that Pillow reads, or it has more than max_pixels; or what is done with it
            shows that it is broken.
    """
    from PIL import Image as images
    from PIL import UnidentifiedImageError

    try:
        with images.open(io.BytesIO(data)) as image:
            if image.width * image.height > max_pixels:
                raise AssetError(
                    f"{what} is {image.width} x {image.height} pixels, too large: the pictures of one file may have "
                    f"{MAX_PIXELS} in all."
                )
            yield image
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, images.DecompressionBombError) as error:
        raise AssetError(f"{what} cannot be read: {shown(error, 200)}.") from error


def as_rgb(image: Image) -> Image:
    """The image in RGB, or in RGBA where it has transparency; 8 bits a channel."""
    if image.mode.startswith("I"):  # grey of 16 bits, which Pillow's own conversion clips at 255
        from PIL import Image as images

        grey = (np.asarray(image).astype(np.float64) / 257).round().clip(0, 255)
        return images.fromarray(grey.astype(np.uint8)).convert("RGB")
    clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if clear else "RGB")
