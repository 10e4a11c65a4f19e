"""Pictures of a run: PNG files, contact sheets, preview strips, turntable films.

Images are (3, H, W) float tensors, display-referred (sRGB) in [0, 1]; values outside are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.errors import AssetError, MissingPackageError
from .check import as_numpy
from .color import to_bytes
from .files import read_bytes, replacing, shown, write_atomic
from .image_bytes import MAX_PIXELS, decode_image, encode_png


def save_png(image: Float[Tensor, "3 h w"], path: str | Path, overwrite: bool = False) -> Path:
    """Write an 8-bit PNG in one step.

    Raises:
        AssetError: the shape is no image, the values are not finite, or the file cannot be written.
    """
    path = Path(path)
    _check([image], path)
    write_atomic(path, encode_png(image), overwrite)
    return path


def load_image(path: str | Path) -> Float[Tensor, "3 h w"]:
    """A PNG or JPEG file as (3, H, W) sRGB in [0, 1]; AssetError where it cannot be read."""
    path = Path(path)
    return decode_image(read_bytes(path), path.name, path)


def grid(images: Sequence[Float[Tensor, "3 h w"]], columns: int, gap: int = 2) -> Float[Tensor, "3 gh gw"]:
    """Images of one size in rows of `columns`, `gap` white pixels between them; missing cells are white."""
    height, width = images[0].shape[1:]
    rows = -(-len(images) // columns)
    out = torch.ones(3, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, image in enumerate(images):
        y, x = index // columns * (height + gap), index % columns * (width + gap)
        out[:, y : y + height, x : x + width] = image.detach().cpu()
    return out


def contact_sheet(
    images: Sequence[Float[Tensor, "3 h w"]], path: str | Path, columns: int = 4, overwrite: bool = False
) -> Path:
    """Write views of an object as one PNG, four in a row (eight views: two rows).

    Raises:
        AssetError: no images, of different sizes or not finite; or the file cannot be written.
    """
    path = Path(path)
    _check(images, path)
    return save_png(grid(images, min(columns, len(images))), path, overwrite)


def turntable(
    images: Sequence[Float[Tensor, "3 h w"]], path: str | Path, fps: int = 24, overwrite: bool = False
) -> Path:
    """Write frames as an MP4 that browsers play: H.264, yuv420p, BT.709, index first, no dates inside.

    Odd sizes are made even by repeating the last row or column, for yuv420p halves the colour's resolution.

    Raises:
        AssetError: no frames, of different sizes or not finite; or the file cannot be written.
        MissingPackageError: PyAV is absent.
    """
    path = Path(path)
    _check(images, path)
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("av", "writing turntable.mp4", "pip install av") from error
    frames = [_even(to_bytes(as_numpy(image).transpose(1, 2, 0))) for image in images]
    with replacing(path, overwrite) as part:
        # +bitexact keeps library versions out of the file; one thread makes the encoder repeatable.
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        with av.open(str(part), "w", format="mp4", options=options) as film:
            # mbtree off: its AVX-512 code reads memory beyond frames narrower than 128 pixels, so that
            # the same frames gave different files.
            coder = {"crf": "18", "preset": "medium", "mbtree": "0"}
            stream = film.add_stream("libx264", rate=fps, options=coder)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.thread_count = 1
            context.time_base = Fraction(1, fps)
            # Without these tags players guess the colour matrix by the picture's size.
            context.colorspace = context.color_primaries = context.color_trc = 1
            context.color_range = 1
            for pixels in frames:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                film.mux(
                    stream.encode(
                        frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                    )
                )
            film.mux(stream.encode())
    return path


def animation(
    images: Sequence[Float[Tensor, "3 h w"]], path: str | Path, fps: int = 24, overwrite: bool = False
) -> Path:
    """Write frames as a GIF that repeats for ever, 256 colours a frame, for places that take no film.

    GIF counts hundredths of a second, so the rate is rounded to 100 / n; viewers take at most 50 frames a second.

    Raises:
        AssetError: no frames, of different sizes or not finite; or the file cannot be written.
    """
    from PIL import Image

    path = Path(path)
    _check(images, path)
    frames = [Image.fromarray(np.ascontiguousarray(to_bytes(as_numpy(i).transpose(1, 2, 0)))) for i in images]
    # a palette for each frame keeps flat backgrounds exact; dithering would make them swarm
    coded = [f.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for f in frames]
    hundredths = max(2, round(100 / fps))
    with replacing(path, overwrite) as part:
        coded[0].save(
            part, format="GIF", save_all=True, append_images=coded[1:], duration=10 * hundredths, loop=0
        )
    return path


def read_film(path: str | Path, most: int = 10_000) -> tuple[list[Float[Tensor, "3 h w"]], float]:
    """The frames of an MP4 or GIF, at most `most`, and their number a second.

    Raises:
        AssetError: it is no film, or its frames are larger than MAX_PIXELS together.
        MissingPackageError: PyAV is absent.
    """
    path = Path(path)
    read_bytes(path)
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("av", f"reading {path.name}", "pip install av") from error
    frames: list[Tensor] = []
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise AssetError(f"{path}: holds no pictures.")
            stream = film.streams.video[0]
            for frame in film.decode(stream):
                if len(frames) * frame.width * frame.height > MAX_PIXELS:
                    raise AssetError(f"{path}: its frames have more than {MAX_PIXELS} pixels together.")
                pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                frames.append(pixels.float() / 255)
                if len(frames) == most:
                    break
            rate = float(stream.average_rate or 0)
    except (av.FFmpegError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read as a film: {shown(error)}.") from error
    if not frames:
        raise AssetError(f"{path}: holds no pictures.")
    return frames, rate


def _even(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


def _check(images: Sequence[Tensor], path: Path) -> None:
    if not images:
        raise AssetError(f"{path}: there are no images to write.")
    first = tuple(images[0].shape)
    for index, image in enumerate(images):
        if image.ndim != 3 or image.shape[0] != 3 or tuple(image.shape) != first:
            raise AssetError(
                f"{path}: image {index} has the shape {tuple(image.shape)}; all must be (3, H, W) of one size."
            )
        if not bool(torch.isfinite(image).all()):
            raise AssetError(f"{path}: image {index} holds numbers that are not finite.")
