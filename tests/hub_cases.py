"""A model hub that lies in a folder of this disk: the calls that fetch, answered from there."""

from __future__ import annotations

import hashlib
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
from huggingface_hub import errors

COMMIT = "a" * 40
transport = importlib.import_module(errors.HTTPError.__module__)
"""What the hub's library speaks to servers with."""


def refuse(kind: type[Exception]) -> Exception:
    """One of the hub library's errors, as it raises them for an answer of the server."""
    response = transport.Response(404, request=transport.Request("GET", "https://hub.example/x"))
    return kind("no", response=response)


class Hub:
    """Repositories by name: folders, or the error that asking for them raises; counts what is asked."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.repositories: dict[str, Path | Exception] = {}
        self.asked: list[str] = []
        self.downloaded: list[str] = []
        self.spoil: Callable[[str, Path], None] = lambda name, path: None

    def model_info(self, api, repo_id, *, revision=None, files_metadata=False):
        """The list of a repository's files with sizes and hashes."""
        assert files_metadata
        self.asked.append(repo_id)
        held = self.repositories.get(repo_id, refuse(errors.RepositoryNotFoundError))
        if isinstance(held, Exception):
            raise held
        files = [p for p in sorted(held.rglob("*")) if p.is_file()]
        siblings = [
            SimpleNamespace(
                rfilename=str(p.relative_to(held)),
                size=p.stat().st_size,
                lfs=SimpleNamespace(sha256=hashlib.sha256(p.read_bytes()).hexdigest())
                if p.suffix in (".safetensors", ".bin")
                else None,
            )
            for p in files
        ]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def by_library(self, repo_id, filename, commit, place):
        """One file, copied to where the library would put it, unless it is there."""
        assert commit == COMMIT
        held = self.repositories[repo_id]
        assert isinstance(held, Path)
        root = self.cache / f"models--{repo_id.replace('/', '--')}" / "snapshots" / commit
        target = (place or root) / filename
        blob = root.parents[1] / "blobs" / hashlib.sha256((held / filename).read_bytes()).hexdigest()
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            if blob.is_file():
                target.symlink_to(blob)
            else:
                self.bring(repo_id, filename, commit, target, 0, print)
        return target

    def bring(self, repo_id, name, commit, target, size, tell):
        """One large file to where it is asked for."""
        held = self.repositories[repo_id]
        assert isinstance(held, Path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(held / name, target)
        self.downloaded.append(name)
        self.spoil(name, target)


def fake_hub(monkeypatch, tmp_path: Path) -> Hub:
    """Put the hub in place of the library's calls, an empty cache and home, and the network on."""
    hub = Hub(tmp_path / "cache")
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda api, repo, **options: hub.model_info(api, repo, **options)
    )
    # not in the library itself: whoever is first to import its function while it is exchanged would keep the fake
    monkeypatch.setattr("sds3d.priors.models.fetch.by_library", hub.by_library)
    monkeypatch.setattr("sds3d.priors.models.fetch.bring", hub.bring)
    monkeypatch.setenv("HF_HUB_CACHE", str(hub.cache))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("SDS3D_MODELS", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return hub
