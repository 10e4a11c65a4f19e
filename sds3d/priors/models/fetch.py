"""Fetching a model from the hub: only the files that are read, resumed where it stopped, checked by their hashes."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .entry import ModelEntry, Repository
from .needed import choose
from .offline import damaged, is_offline, not_here
from .places import hub_cache, locate
from .table import ModelError, name_of
from .transfer import bring

Tell = Callable[[str], None]
_SPARE_BYTES = 1 << 30
"""Room that must be left on the disk afterwards."""


@dataclass(frozen=True)
class Remote:
    """One file of a repository: its name, size in bytes, and SHA-256 where the hub knows it (large files)."""

    name: str
    bytes: int
    sha256: str | None


def fetch(entry: ModelEntry, to: Path | None = None, tell: Tell = lambda text: None) -> Path:
    """Bring a model onto this disk.

    Args:
        to: folder that shall hold it under the model's name; by default the cache that the hub's tools share.
        tell: told what happens, a line at a time.

    Returns:
        The folder with its files.

    Raises:
        ModelError: offline, no such repository, terms not accepted, no room, broken files, or no network. What was
            fetched so far stays, and the same command goes on from there.
    """
    if entry.in_the_box:
        found = locate(entry)
        if found.state != "complete" or found.folder is None:
            raise damaged(entry, found)
        return found.folder
    if is_offline():
        raise not_here(entry, locate(entry))
    if entry.folder is not None:
        raise ModelError(
            f"{name_of(entry)}: models.yaml says that it lies in {entry.folder}; nothing is fetched."
        )
    gone: list[str] = []
    for repository in entry.repositories:
        with _explained(entry, repository, gone):
            return _fetch_from(entry, repository, to, tell)
        tell(f"{gone[-1]}; trying the next one")
    raise ModelError(
        f"{name_of(entry)}: none of its repositories can be found: {'; '.join(gone)}. Name another one in "
        "models.yaml, or put a folder that you have under ./models."
    )


def _fetch_from(entry: ModelEntry, repository: Repository, to: Path | None, tell: Tell) -> Path:
    commit, files = _listing(entry, repository)
    total = sum(f.bytes for f in files)
    tell(
        f"{entry.title}: {len(files)} files, {total / 1e9:.1f} GB, from {repository.id}; licence: {entry.licence}"
    )
    place = None if to is None else to / name_of(entry)
    _check_room(
        place or hub_cache(), sum(f.bytes for f in files if not _is_there(f, repository, commit, place))
    )
    for number, file in enumerate(files, 1):
        tell(f"  {number}/{len(files)}  {file.name}  {file.bytes / 1e6:.1f} MB")
        _check(_download(repository, file, commit, place, tell), file)
    folder = place or _snapshot_of(repository, commit)
    # the branch's name shall lead to this commit, as the hub's own tools note it
    if place is None and repository.revision != commit:
        reference = folder.parents[1] / "refs" / repository.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
    return folder


def _listing(entry: ModelEntry, repository: Repository) -> tuple[str, list[Remote]]:
    """(commit, files to fetch) as the hub has them."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(repository.id, revision=repository.revision, files_metadata=True)
    siblings = {s.rfilename: s for s in info.siblings or ()}
    files = [
        Remote(name, siblings[name].size or 0, getattr(siblings[name].lfs, "sha256", None))
        for name in choose(entry, list(siblings))
    ]
    return str(info.sha), files


def _download(repository: Repository, file: Remote, commit: str, place: Path | None, tell: Tell) -> Path:
    """One file: a large one by transfer.py, the rest, and what the hub's cache knows of it, by the hub's library."""
    target = (place or _snapshot_of(repository, commit)) / file.name
    if file.sha256 is not None and not _is_there(file, repository, commit, place):
        # the cache holds large files under their hash, and a link to each
        blob = target if place is not None else _blobs_of(repository) / file.sha256
        bring(repository.id, file.name, commit, blob, file.bytes, tell)
    if file.sha256 is not None and place is not None:
        return target
    return by_library(repository.id, file.name, commit, place)


def by_library(repo_id: str, name: str, commit: str, place: Path | None) -> Path:
    """One file by the hub's own library: into a folder, or, without one, into its cache."""
    from huggingface_hub import hf_hub_download

    where: dict[str, Any] = {"cache_dir": hub_cache()} if place is None else {"local_dir": place}
    return Path(hf_hub_download(repo_id, name, revision=commit, **where))


def _check(path: Path, file: Remote) -> None:
    """Compare size and hash; a file that differs is removed, so that the next try fetches it anew.

    Raises:
        ModelError: it differs.
    """
    if file.bytes and path.stat().st_size != file.bytes:
        what = f"has {path.stat().st_size} bytes instead of {file.bytes}"
    elif file.sha256 is not None and _sha256(path) != file.sha256:
        what = "does not match its SHA-256"
    else:
        return
    real = path.resolve()
    path.unlink()
    real.unlink(missing_ok=True)
    raise ModelError(
        f"{file.name} {what}: damaged on the way. It was removed; the same command fetches it again."
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_there(file: Remote, repository: Repository, commit: str, place: Path | None) -> bool:
    path = (place or _snapshot_of(repository, commit)) / file.name
    return path.is_file() and path.stat().st_size == file.bytes


def _snapshot_of(repository: Repository, commit: str) -> Path:
    return _blobs_of(repository).parent / "snapshots" / commit


def _blobs_of(repository: Repository) -> Path:
    return hub_cache() / f"models--{repository.id.replace('/', '--')}" / "blobs"


def _check_room(place: Path, need: int) -> None:
    """Refuse before the first byte what would fill the disk.

    Raises:
        ModelError: says how much is needed and where.
    """
    where = place.absolute()
    while not where.is_dir():
        where = where.parent
    free = shutil.disk_usage(where).free
    if need and free < need + _SPARE_BYTES:
        raise ModelError(
            f"not enough room on the disk of {where}: {need / 1e9:.1f} GB to fetch, {free / 1e9:.1f} GB free (1 GB "
            "shall stay). Free some, set HF_HUB_CACHE to a folder on another disk, or use --to FOLDER."
        )


@contextmanager
def _explained(entry: ModelEntry, repository: Repository, gone: list[str]) -> Iterator[None]:
    """The hub's errors in words; a repository that is gone is noted and passed over."""
    from huggingface_hub import errors

    name = name_of(entry)
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{name}: {repository.id} is gated. Accept its terms on its page (huggingface.co/{repository.id}) with "
            f"your account, run `hf auth login` here, then: sds3d models fetch {name}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        gone.append(f"{repository.id} ({repository.revision}) is not there any more, or private")
    except errors.OfflineModeIsEnabled as error:
        raise not_here(entry, locate(entry)) from error
    except OSError as error:
        raise _interrupted(name, error) from error
    except errors.HTTPError as error:  # what the library's transport raises for a broken connection
        raise _interrupted(name, error) from error


def _interrupted(name: str, error: BaseException) -> ModelError:
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"{name}: the disk became full while fetching. What is there stays; free some room or set HF_HUB_CACHE, "
            f"then the same command goes on: sds3d models fetch {name}"
        )
    line = next((part for part in str(error).splitlines() if part.strip()), type(error).__name__)
    return ModelError(
        f"{name}: fetching was interrupted: {line}. What is there stays; the same command goes on: "
        f"sds3d models fetch {name}"
    )
