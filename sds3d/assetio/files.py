"""Files on disk: bounded reading, atomic writing, and paths that a 3D file may point at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from urllib.parse import unquote

from ..core.errors import AssetError

MAX_BYTES = 4 << 30
"""Larger files are refused rather than read into memory, where nothing smaller is asked for."""


def read_bytes(path: Path, most: int = MAX_BYTES, wanted: str = "a 3D file") -> bytes:
    """The whole file.

    Args:
        most: bytes that it may have. wanted: what it should be, for the text of errors.

    Raises:
        AssetError: it is missing, not a file, not readable, or larger than `most`.
    """
    try:
        if not path.is_file():
            what = "is no regular file" if path.exists() else "does not exist"
            raise AssetError(f"{path}: cannot be read: it {what}. Give the path of {wanted}.")
        size = path.stat().st_size
        if size > most:
            raise AssetError(f"{path}: {size} bytes is more than the {most} that {wanted} may have.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read: {shown(error)}.") from error


def sibling(owner: Path, uri: str, must_exist: bool = True) -> Path:
    """The file that `owner` refers to by a relative URI, inside the owner's folder.

    Raises:
        AssetError: the URI is absolute, names a scheme such as http:, leads out of the folder, or, where it
            must exist, names no file.
    """
    name = unquote(uri).replace("\\", "/")
    first = name.split("/")[0]  # "C:/x", "http://x" and "file:x" have a colon there
    try:
        folder = owner.resolve().parent
        target = (folder / name).resolve()
        inside = bool(first) and ":" not in first and target.is_relative_to(folder)
        exists = inside and target.is_file()
    except (OSError, RuntimeError, ValueError):  # loops of links, zero bytes, overlong names
        inside = exists = False
    if not inside:
        raise AssetError(
            f"{owner}: refers to '{shown(uri)}', which is not a file beside it; sds3d reads only files in the "
            "folder of the model or below. Copy the file there and correct the reference."
        )
    if must_exist and not exists:
        raise AssetError(
            f"{owner}: refers to '{shown(uri)}', which does not exist. Put that file beside the model."
        )
    return target


def shown(text: object, limit: int = 100) -> str:
    """Foreign text for an error message: on one line, short, without control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:limit])


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    """Raise AssetError for the first path that exists, unless `overwrite`."""
    for path in paths:
        if path.is_dir():
            raise AssetError(f"{path}: cannot be written: it is a folder. Give a file name.")
        if path.exists() and not overwrite:
            raise AssetError(
                f"{path}: exists already and was left as it is. Choose another name or ask to overwrite it."
            )


@contextmanager
def replacing(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an exception.

    Readers see the old file or the complete new one, never a part. The folder is created where missing.

    Raises:
        AssetError: the file exists and `overwrite` is False, or the disk refused (full, read-only).
    """
    refuse_existing([path], overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        raise AssetError(
            f"{path}: cannot be written: {error.strerror or error}. Free space or choose a folder that you may "
            "write to; nothing was replaced."
        ) from error
    finally:
        if part.exists():
            part.unlink()


def write_atomic(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write `data` under `path` in one step; see `replacing` for what is raised."""
    with replacing(path, overwrite) as part:
        part.write_bytes(data)
