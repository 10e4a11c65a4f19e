"""One large file from the hub, resumed over commands: what arrived stays beside the target until the rest is there.

The hub's own library resumes within one call only; a shard of ten gigabytes would begin anew after every interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Tell = Callable[[str], None]
PARTIAL = ".partial"
"""Ending of a file that is not whole."""
_TRIES = 4
"""Connections that may break before the command gives up; those that brought something do not count."""
_TELL_BYTES = 1 << 30
"""A line of progress as often as this."""


def bring(repository: str, name: str, commit: str, target: Path, size: int, tell: Tell) -> None:
    """Fetch a file of a repository to `target`, from where an earlier try stopped.

    Args:
        size: of the whole in bytes. tell: told the progress of files above a gigabyte.

    Raises:
        OSError, httpx.HTTPError: what the network or the disk does; what arrived stays.
    """
    import huggingface_hub
    from huggingface_hub import errors

    url = huggingface_hub.hf_hub_url(repository, name, revision=commit)
    partial = target.with_name(target.name + PARTIAL)
    target.parent.mkdir(parents=True, exist_ok=True)
    broken = 0
    while _size(partial) < size:
        before = _size(partial)
        try:
            _append(url, partial, size, tell)
        except errors.HTTPError:
            broken = broken + 1 if _size(partial) == before else 0
            if broken == _TRIES:
                raise
    partial.replace(target)


def _append(url: str, partial: Path, size: int, tell: Tell) -> None:
    """One connection's worth; a server that answers with the whole file starts it anew."""
    import huggingface_hub

    start = _size(partial)
    headers = huggingface_hub.utils.build_hf_headers() | ({"Range": f"bytes={start}-"} if start else {})
    session: Any = huggingface_hub.get_session()
    with session.stream("GET", url, headers=headers, follow_redirects=True) as response:
        huggingface_hub.utils.hf_raise_for_status(response)
        anew = start and response.status_code != 206
        with partial.open("wb" if anew else "ab") as stream:
            told = stream.tell()
            for piece in response.iter_bytes():
                stream.write(piece)
                if stream.tell() - told >= _TELL_BYTES:
                    told = stream.tell()
                    tell(f"      {told / 1e9:.1f} of {size / 1e9:.1f} GB")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
