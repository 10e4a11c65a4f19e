"""USDZ packages: a zip archive without compression whose files begin at multiples of 64 bytes, the layer first."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from ..core.errors import AssetError
from .files import shown

ALIGNMENT = 64
_PADDING_ID = 0x1986
_LOCAL_HEADER = 30
MAX_FILES = 4096


def pack(files: dict[str, bytes]) -> bytes:
    """The package of these files, in order; equal files give equal bytes (the dates in it are 1980's first day)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            start = out.tell() + _LOCAL_HEADER + len(name.encode())
            padding = -start % ALIGNMENT
            if padding:
                padding += ALIGNMENT if padding < 4 else 0  # the field's own head takes 4
                entry.extra = struct.pack("<HH", _PADDING_ID, padding - 4) + bytes(padding - 4)
            archive.writestr(entry, data)
    return out.getvalue()


def unpack(data: bytes, path: Path) -> dict[str, bytes]:
    """The files of a package by name, in order.

    Raises:
        AssetError: the archive is broken, compressed or encrypted, or its files claim more bytes than it has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [e for e in archive.infolist() if e.filename and not e.filename.endswith("/")]
            if len(entries) > MAX_FILES or sum(e.file_size for e in entries) > len(data):
                raise AssetError(f"{path}: its package claims {len(entries)} files larger than itself.")
            wrong = [e for e in entries if e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1]
            if wrong:
                raise AssetError(
                    f"{path}: '{shown(wrong[0].filename, 60)}' in it is compressed, which USDZ forbids."
                )
            return {e.filename: archive.read(e) for e in entries}
    except (
        zipfile.BadZipFile,
        ValueError,
        struct.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise AssetError(f"{path}: is a broken USDZ package: {shown(error)}.") from error
