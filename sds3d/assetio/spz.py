"""SPZ (Niantic, versions 2 to 4): fixed-point columns, after a header of 16 bytes in one gzip stream.

Header, little-endian: magic "NGSP", version, number of points, degree, fractional bits, flags, zero. Then all
positions (24-bit fixed point), opacities (8 bits), colours (8 bits, (c - 0.5) / 0.15), log scales (8 bits, in
sixteenths from -10), rotations (version 2: x y z in 8 bits each; 3: the smallest three of x y z w, sign and 9 bits),
harmonics (8 bits, (c - 128) / 128, colour fastest). SPZ's axes are sds3d's own: right, up, back. Version 4 has the
columns of 3 in another wrapping, see spz_zstd.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from ..core.assets import Splats
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .quaternions import from_smallest_three, smallest_three
from .spz_zstd import columns_of, header_of

MAGIC = 0x5053474E
MAX_POINTS = 10_000_000
"""The limit of Niantic's own reader."""

BOMB_BYTES, BOMB_RATIO = 64 << 20, 200
"""What unpacks to more bytes and to more times its size is no scene: real ones shrink tenfold."""

COLOR_SCALE = 0.15
_HEADER = struct.Struct("<IIIBBBB")
_STEPS = 511.0 * np.sqrt(2.0)
_HARMONICS = {0: 0, 1: 3, 2: 8, 3: 15, 4: 24}
_EXTENSIONS = 2


def encode_spz(splats: Splats) -> bytes:
    """A file of version 3.

    Positions keep as many fractional bits as fit (24-bit numbers; 12 for objects of up to 2048 units, more for small
    ones), opacities and colours 8 bits, log scales 1/16, harmonics 1/128 within [-1, 1].
    """
    means = as_numpy(splats.means, np.float64)
    reach = max(float(np.abs(means).max(initial=0.0)), 1e-6)
    bits = int(np.clip(np.floor(np.log2((2**23 - 1) / reach)), 0, 20))
    if reach * 2**bits > 2**23 - 1:
        raise AssetError(f"SPZ holds positions below {2**23}; the splats reach {reach:g}. Scale them down.")
    fixed = np.rint(means * 2**bits).astype("<i4").view("u1").reshape(-1, 3, 4)[:, :, :3]
    rest = splats.sh[:, 1:]
    harmonics = np.rint(as_numpy(rest, np.float64) * 128 + 128)
    columns = [
        fixed,
        np.rint(as_numpy(splats.opacities, np.float64) * 255),
        np.rint((as_numpy(splats.sh[:, 0], np.float64) * COLOR_SCALE + 0.5) * 255),
        np.rint((np.log(as_numpy(splats.scales, np.float64)) + 10) * 16),
    ]
    body = [np.clip(c, 0, 255).astype("u1").tobytes() for c in columns]
    body += [_pack(as_numpy(splats.rotations, np.float64)), np.clip(harmonics, 0, 255).astype("u1").tobytes()]
    header = _HEADER.pack(MAGIC, 3, len(means), splats.sh_degree, bits, 0, 0)
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # gzip, without a time
    return packer.compress(header + b"".join(body)) + packer.flush()


def decode_spz(data: bytes, path: Path) -> Splats:
    """The splats of a file of version 2, 3 or 4.

    Raises:
        AssetError: it is cut off, of another version, or claims more than it has; nothing larger than the header
            claims is unpacked.
        MissingPackageError: it is of version 4 and zstandard is not installed.
    """
    if data[:4] == b"NGSP":
        found = header_of(data, path)
        widths = _widths(found.version, found.count, found.degree, found.bits, len(data), path)
        parts = columns_of(data, found, [found.count * width for width in widths], path)
        return _splats(parts, widths, found.bits, found.degree, path)
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    head = _inflate(unpacker, data, _HEADER.size, path)
    magic, version, count, degree, bits, flags, _ = _HEADER.unpack(head)
    if magic != MAGIC or version not in (2, 3):
        raise AssetError(f"{path}: is no SPZ of version 2, 3 or 4, which sds3d reads (version {version}).")
    if flags & _EXTENSIONS:
        raise AssetError(f"{path}: has SPZ extensions (flags {flags}). Save it without, or as version 4.")
    widths = _widths(version, count, degree, bits, len(data), path)
    body = _inflate(unpacker, unpacker.unconsumed_tail, count * sum(widths), path)
    _finish(unpacker, path)
    ends = np.cumsum([0, *widths]) * count
    return _splats([body[a:b] for a, b in pairwise(ends)], widths, bits, degree, path)


def _widths(version: int, count: int, degree: int, bits: int, length: int, path: Path) -> list[int]:
    """Bytes of a splat in each column, where what the header claims may be true of a file of that length."""
    if not 0 < count <= MAX_POINTS or degree not in _HARMONICS or bits > 23:
        raise AssetError(
            f"{path}: has {count} splats of degree {degree} with {bits} fractional bits; sds3d reads 1 to "
            f"{MAX_POINTS} of degree 0 to 4."
        )
    widths = [9, 1, 3, 3, 3 if version == 2 else 4, 3 * _HARMONICS[degree]]
    size = count * sum(widths)
    if size > max(BOMB_BYTES, BOMB_RATIO * length):
        raise AssetError(
            f"{path}: claims {size} bytes of splats in a file of {length}; it is broken or made to harm."
        )
    return widths


def _splats(parts: list[bytes], widths: list[int], bits: int, degree: int, path: Path) -> Splats:
    count = len(parts[1])
    fixed, opacity, color, scale, rotation, rest = (
        np.frombuffer(part, "u1").reshape(count, width) for part, width in zip(parts, widths, strict=True)
    )
    higher = (rest.reshape(count, -1, 3).astype(np.float32) - 128) / 128
    first = (color.astype(np.float32) / 255 - 0.5) / COLOR_SCALE
    sh = np.concatenate([first[:, None], higher[:, : _HARMONICS[min(degree, 3)]]], axis=1)
    return Splats(
        means=as_tensor(_positions(fixed, bits)),
        scales=as_tensor(np.exp(scale.astype(np.float64) / 16 - 10)),
        rotations=as_tensor(_unpack(rotation), torch.float32),
        opacities=as_tensor(opacity[:, 0].astype(np.float32) / 255),
        sh=as_tensor(sh),
        name=path.stem,
    )


def _inflate(
    unpacker: zlib._Decompress, data: bytes, size: int, path: Path, least: int | None = None
) -> bytes:
    """The next `size` bytes of the stream; fewer, down to `least`, only where that is given."""
    try:
        out = unpacker.decompress(data, size) if size else b""
    except zlib.error as error:
        raise AssetError(f"{path}: its gzip stream is broken: {error}.") from error
    if len(out) < (size if least is None else least):
        raise AssetError(f"{path}: is cut off: {size} bytes are promised, {len(out)} are there.")
    return out


def _finish(unpacker: zlib._Decompress, path: Path) -> None:
    """The end of the stream, where its checksum stands; what a later version appends is passed over."""
    more = _inflate(unpacker, unpacker.unconsumed_tail, 1, path, least=0)
    if not more and not unpacker.eof:
        raise AssetError(f"{path}: is cut off: its gzip stream does not end.")


def _positions(fixed: np.ndarray, bits: int) -> np.ndarray:
    """(N, 3) of three bytes each, signed."""
    wide = np.zeros((len(fixed), 3, 4), "u1")
    wide[:, :, 1:] = fixed.reshape(-1, 3, 3)
    return wide.view("<i4")[:, :, 0] / float(2 ** (8 + bits))  # the sign bit stands where int32 has it


def _pack(wxyz: np.ndarray) -> bytes:
    """Version 3: index of the largest of x y z w in 2 bits, then sign and 9 bits of the others."""
    unit = np.roll(wxyz, -1, axis=1) / np.linalg.norm(wxyz, axis=1, keepdims=True)
    largest, rest = smallest_three(unit)
    bits = (rest < 0).astype(np.uint32) << 9 | np.rint(np.abs(rest) * _STEPS).clip(0, 511).astype(np.uint32)
    packed = largest.astype(np.uint32) << 30 | bits[:, 0] << 20 | bits[:, 1] << 10 | bits[:, 2]
    return packed.astype("<u4").tobytes()


def _unpack(stored: np.ndarray) -> np.ndarray:
    """(N, 4) w x y z."""
    if stored.shape[1] == 3:  # version 2
        xyz = stored.astype(np.float64) / 127.5 - 1
        w = np.sqrt(np.maximum(1 - (xyz**2).sum(1, keepdims=True), 0.0))
        wxyz = np.concatenate([w, xyz], axis=1)
        return wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)
    packed = np.ascontiguousarray(stored).view("<u4")[:, 0]
    bits = np.stack([packed >> shift & 1023 for shift in (20, 10, 0)], axis=1)
    rest = np.where(bits >> 9, -1.0, 1.0) * (bits & 511) / _STEPS
    return np.roll(from_smallest_three((packed >> 30).astype(np.int64), rest), 1, axis=1)
