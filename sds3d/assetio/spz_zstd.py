"""The outside of SPZ version 4 (github.com/nianticlabs/spz, README "File layout", MIT): a stream of zstd a column.

Little-endian: 32 bytes of header (magic "NGSP", version, number of points, degree, fractional bits, flags, number of
streams, byte where the table starts, 12 zeros), records of extensions (type, length, payload), the table (packed and
unpacked size of each stream, 64 bits each), the streams. The columns are those of version 3; one of no bytes has no
stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import AssetError, MissingPackageError

HEADER = struct.Struct("<IIIBBBBI12x")
_RECORD = struct.Struct("<II")
_ROW = struct.Struct("<QQ")
_HAS_EXTENSIONS = 2
_QUANTIZATION, _AXES = 0xADBE0001, 0xADBE0003
_UNTOLD, _OWN_AXES = 0, 4
"""Of the extension of axes: none are told, which means the format's own; right, up, back, which are those."""

MAX_WINDOW = 1 << 27
"""Bytes that unpacking a stream may look back, zstd's own default for decoders."""


@dataclass(frozen=True)
class Header:
    """What the file claims of itself; nothing of it is checked but the table's place."""

    version: int
    count: int
    degree: int
    bits: int
    streams: int
    table: int


def header_of(data: bytes, path: Path) -> Header:
    """The header of a file that starts with "NGSP".

    Raises:
        AssetError: it is cut off, of another version, or holds an extension without which its numbers mean
            something else.
    """
    if len(data) < HEADER.size:
        raise AssetError(
            f"{path}: is cut off: a header of SPZ 4 has {HEADER.size} bytes, the file {len(data)}."
        )
    _, version, count, degree, bits, flags, streams, table = HEADER.unpack_from(data)
    if version != 4:
        raise AssetError(
            f"{path}: is an SPZ of version {version}, sds3d reads 2, 3 and 4. Save it as one of these."
        )
    if not HEADER.size <= table <= len(data) - streams * _ROW.size:
        raise AssetError(
            f"{path}: is cut off: its table of {streams} streams starts at byte {table} of {len(data)}."
        )
    if flags & _HAS_EXTENSIONS:
        _refuse_changes(data[HEADER.size : table], path)
    return Header(version, count, degree, bits, streams, table)


def _refuse_changes(zone: bytes, path: Path) -> None:
    """Records of other makers are passed over, as the format asks; not the two that change what the columns mean."""
    at = 0
    while at + _RECORD.size <= len(zone):
        kind, length = _RECORD.unpack_from(zone, at)
        at += _RECORD.size
        if length > len(zone) - at:
            raise AssetError(f"{path}: an extension of {length} bytes reaches beyond its place.")
        axes = int.from_bytes(zone[at : at + 4], "little")
        if kind == _QUANTIZATION or (kind == _AXES and axes not in (_UNTOLD, _OWN_AXES)):
            reason = "harmonics on a scale" if kind == _QUANTIZATION else "axes"
            raise AssetError(
                f"{path}: has {reason} of its own (SPZ extension {kind:#x}). Save it without extensions."
            )
        at += length


def columns_of(data: bytes, header: Header, sizes: list[int], path: Path) -> list[bytes]:
    """The columns, of `sizes` bytes each, which the caller has found to be reasonable.

    Raises:
        AssetError: the table says otherwise, or a stream is broken.
        MissingPackageError: zstandard is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        what = f"{path}: reading SPZ of version 4"
        raise MissingPackageError("zstandard", what, "pip install 'sds3d[formats]'") from error
    filled = [size for size in sizes if size]
    rows = [_ROW.unpack_from(data, header.table + _ROW.size * k) for k in range(header.streams)]
    at = header.table + _ROW.size * header.streams
    if [size for _, size in rows] != filled or at + sum(packed for packed, _ in rows) != len(data):
        raise AssetError(f"{path}: is cut off or broken: its table does not fit its columns or its length.")
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    columns = []
    for packed, size in rows:
        part = data[at : at + packed]
        at += packed
        try:
            # a frame that tells its size is unpacked to it, whatever the limit says
            fits = zstandard.frame_content_size(part) in (-1, size)
            column = unpacker.decompress(part, size, allow_extra_data=False) if fits else b""
        except zstandard.ZstdError as error:
            raise AssetError(f"{path}: a zstd stream is broken: {error}.") from error
        if len(column) != size:
            raise AssetError(
                f"{path}: a zstd stream of {packed} bytes does not hold the {size} that it should."
            )
        columns.append(column)
    rest = iter(columns)
    return [next(rest) if size else b"" for size in sizes]
