"""Names and files that come from outside: which of them may be used, and where they may lead."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sds3d.config.dump import plain
from sds3d.core.errors import ConfigError
from sds3d.jobs.schema import RunConfig

MOST_BYTES = 200_000_000
"""Of one upload."""
UPLOADS = (
    ".glb", ".gltf", ".obj", ".mtl", ".ply", ".splat", ".spz", ".stl", ".usdz", ".png", ".jpg", ".jpeg", ".wav",
    ".flac", ".zip", ".yaml", ".yml", ".csv",
)  # fmt: skip
"""Endings of files that can be uploaded."""
SHOWN = (*UPLOADS, ".mp4", ".gif", ".html", ".json", ".jsonl", ".txt", ".log")
"""Endings of files of a run that are handed out."""
_FREE_TEXT = ("prompt", "prompts", "negative_prompt", "name", "runs")
"""Top-level keys whose text is never a file."""


def plain_name(name: str) -> str:
    """The name of a folder of runs as it is, or "" where it is none: no separator, no dot in front, no odd signs."""
    return name if re.fullmatch(r"[\w][\w.+-]{0,199}", name) and name not in (".", "..") else ""


def inside(root: Path, path: str) -> Path | None:
    """The file that a relative path means, None where it leads out of the root, by links too."""
    if not path or "\x00" in path or path.startswith(("/", "\\")):
        return None
    found = (root / path).resolve()
    return found if found.is_relative_to(root.resolve()) else None


def may_be_shown(path: Path) -> bool:
    """Whether a file of a run is handed out: pictures, assets, report, config, numbers; nothing hidden."""
    return path.suffix.lower() in SHOWN and not any(part.startswith(".") for part in path.parts)


def clean_name(name: str) -> str:
    """A file name without folders, control signs and surprises; at most 80 letters."""
    text = unicodedata.normalize("NFKC", name.replace("\\", "/").rsplit("/", 1)[-1])
    stem, dot, ending = re.sub(r"[^\w.+-]+", "_", text).strip("._").rpartition(".")
    return f"{(stem or 'file')[:70]}.{ending[:8].lower()}" if dot else f"{(ending or 'file')[:80]}"


def keep_upload(folder: Path, name: str, data: bytes) -> Path:
    """Write an upload into a folder; nothing is ever replaced.

    Raises:
        ConfigError: its ending is none of UPLOADS, it is empty, or larger than MOST_BYTES.
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
        return path
    raise AssertionError("unreachable")


def check_named_files(config: RunConfig, allowed: Sequence[Path]) -> None:
    """Refuse a config that names a file or folder outside of these.

    Every text that has a separator, or that means something on this disk, counts as a file.

    Raises:
        ConfigError: names the key.
    """
    roots = [root.resolve() for root in allowed]
    for key, text in _texts({k: v for k, v in plain(config).items() if k not in _FREE_TEXT}):
        if not ("/" in text or "\\" in text or Path(text).exists()):
            continue
        if not any(Path(text).resolve().is_relative_to(root) for root in roots):
            raise ConfigError(
                "names a file of the server; this server reads your uploads and your runs only.",
                key=key,
                hint="Upload the file first, and write the name that the upload gives you.",
            )


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
