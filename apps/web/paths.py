"""Names and files that come from outside: which of them may be used, and where they may lead."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sds3d.core.errors import AssetError, ConfigError

MOST_BYTES = 200_000_000
"""Of one upload."""
UPLOADS = (
    ".glb", ".gltf", ".obj", ".mtl", ".ply", ".splat", ".spz", ".stl", ".usdz", ".png", ".jpg", ".jpeg", ".webp",
    ".wav", ".flac", ".zip", ".yaml", ".yml", ".csv",
)  # fmt: skip
"""Endings of files that can be uploaded."""
SHOWN = (*UPLOADS, ".mp4", ".gif", ".html", ".json", ".jsonl", ".txt", ".log")
"""Endings of files of a run that are handed out."""
_FREE_TEXT = ("prompt", "prompts", "negative_prompt", "name", "runs")
"""Keys whose text is never a file."""
_LONGEST = 240
"""Bytes of a name, which disks take up to 255 of; what is written beside it is a little longer."""


def plain_name(name: str) -> str:
    """The name of a folder of runs as it is, or "" where it is none: no separator, no dot in front, no odd signs."""
    return name if re.fullmatch(r"[\w][\w.+-]{0,199}", name) and len(name.encode()) < _LONGEST else ""


def inside(root: Path, path: str) -> Path | None:
    """The file that a relative path means, None where it is none or lies outside of the root, by links too."""
    if not path or "\x00" in path or path.startswith(("/", "\\")):
        return None
    try:
        found = (root / path).resolve()
        return found if found.is_relative_to(root.resolve()) and found.is_file() else None
    except (OSError, RuntimeError):  # names that no disk takes, links that go round in circles
        return None


def may_be_shown(path: Path) -> bool:
    """Whether a file of a run is handed out: pictures, assets, report, config, numbers; nothing hidden."""
    return path.suffix.lower() in SHOWN and not any(part.startswith(".") for part in path.parts)


def clean_name(name: str) -> str:
    """A file name without folders, control signs and surprises; at most 80 letters, which fit into 240 bytes."""
    text = unicodedata.normalize("NFKC", name.replace("\\", "/").rsplit("/", 1)[-1])
    text = text.encode()[-_LONGEST:].decode(errors="ignore")
    stem, dot, ending = re.sub(r"[^\w.+-]+", "_", text).strip("._").rpartition(".")
    return f"{(stem or 'file')[:70]}.{ending[:8].lower()}" if dot else f"{(ending or 'file')[:80]}"


def keep_upload(folder: Path, name: str, data: bytes) -> Path:
    """Write an upload into a folder; nothing is ever replaced.

    Raises:
        ConfigError: its ending is none of UPLOADS, it is empty, or larger than MOST_BYTES.
        AssetError: the disk is full.
    """
    safe = clean_name(name)
    if not safe.lower().endswith(UPLOADS):
        raise ConfigError(f"files of this type are not taken; there are {', '.join(UPLOADS)}", file=safe)
    if not data or len(data) > MOST_BYTES:
        raise ConfigError(
            f"a file has 1 to {MOST_BYTES // 1_000_000} million bytes, this one {len(data)}", file=safe
        )
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        stem, ending = Path(safe).stem, Path(safe).suffix
        path = folder / (safe if number == 1 else f"{stem}-{number}{ending}")
        try:
            with open(path, "xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        except OSError as error:
            path.unlink(missing_ok=True)  # half a file is none
            raise AssetError(f"{safe}: cannot be kept: {error.strerror}.") from error
        return path
    raise AssertionError("unreachable")


def check_named_files(values: Any, runs: Path, may_read: Callable[[Path], bool]) -> None:
    """Refuse plain data of a config that names a file or folder which this person may not read.

    Every text that has a separator, or that means something on this disk or a run, counts as a file.

    Args:
        runs: a word may mean a run in it. may_read: is asked of each file; links are followed already.

    Raises:
        ConfigError: names the key.
    """
    for key, text in ((key, text) for key, text in _texts(values) if text):
        for file in _meant(key, text, runs):
            if not may_read(file):
                raise ConfigError(
                    "names a file of the server; this server reads your uploads and your runs only.",
                    key=key,
                    hint="Upload the file first, and write the name that the upload gives you.",
                )


def _meant(key: str, text: str, runs: Path) -> Iterator[Path]:
    """What a text may mean on this disk; a region's selectors name files behind their sort."""
    words = [text]
    if "region" in key:  # mask:FILE@30,15 & part:body
        bodies = [part.partition(":")[2].strip() for part in text.split("&")]
        words = [word for body in bodies if body for word in (body, body.rpartition("@")[0]) if word]
    for word in words:
        try:
            if "/" in word or "\\" in word or Path(word).exists():
                yield Path(word).resolve()
            elif (runs / word).exists():
                yield (runs / word).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            if "/" in word or "\\" in word or "\x00" in word:
                raise ConfigError("names a file that no disk can have.", key=key) from error


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in plain data, with its dotted key; prompts of stages left out."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in _FREE_TEXT:
                yield from _texts(part, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _texts(part, f"{key}[{index}]")
