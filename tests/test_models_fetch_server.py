"""Fetching from a server on this machine, by the hub's own library: what is asked, broken off, resumed, damaged."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from family_cases import folder_of

from sds3d.priors.model_folder import check_folder
from sds3d.priors.models.fetch import fetch
from sds3d.priors.models.table import ModelError, get

COMMIT = "b" * 40
BIG = "unet/diffusion_pytorch_model.safetensors"
REPOSITORY = get("sd15").repositories[0].id


class Server(ThreadingHTTPServer):
    """The part of a hub that is asked: a repository's list, and its files, whole or from a byte on.

    Args:
        root: the repository. cut: bytes after which a large file's transfer breaks off, None: never. harm: what is
            done to the bytes of a file on the way. ranges: whether it can begin in the middle.
    """

    daemon_threads = True

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.cut = root, None
        self.harm = bytes
        self.ranges = True
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path.startswith(f"/api/models/{REPOSITORY}"):
            self._send(200, json.dumps(self._listing()).encode(), {"Content-Type": "application/json"}, True)
            return
        name = path.partition(f"/{REPOSITORY}/resolve/{COMMIT}/")[2]
        file = self.server.root / name
        if not name or not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
            return
        data = file.read_bytes()
        mark = hashlib.sha256(data).hexdigest()
        headers = {"ETag": f'"{mark}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if body:
            self.server.asked.append((name, wanted or ""))
        if wanted is None or not self.server.ranges:
            self._send(200, data, headers, body, name)
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206, data[start:], headers, body, name)

    def _listing(self) -> dict[str, Any]:
        files = [p for p in sorted(self.server.root.rglob("*")) if p.is_file()]
        siblings = []
        for file in files:
            size, mark = file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()
            large = {"lfs": {"sha256": mark, "size": size, "pointerSize": 130}}
            one = {"rfilename": str(file.relative_to(self.server.root)), "size": size}
            siblings.append(one | (large if file.suffix == ".safetensors" else {}))
        return {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool, name: str = "") -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        if not body:
            return
        if name == BIG:
            data = self.server.harm(data)
        if name == BIG and self.server.cut is not None:
            self.wfile.write(data[: self.server.cut])
            self.wfile.flush()
            self.close_connection = True
            self.server.cut = 0  # and nothing more of it
            return
        self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A server that holds a tiny Stable Diffusion under the name of sd15, and the library pointed at it."""
    import huggingface_hub
    from huggingface_hub import constants, file_download

    server = Server(folder_of("sd1"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits before it tries again
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    huggingface_hub.close_session()
    yield server
    server.shutdown()
    server.server_close()
    huggingface_hub.close_session()


def test_a_fetch_that_breaks_off_goes_on_where_it_stopped(hub: Server, tmp_path: Path) -> None:
    size = (hub.root / BIG).stat().st_size
    hub.cut = size // 2
    told: list[str] = []
    with pytest.raises(ModelError, match=r"fetching was interrupted.*the same command goes on"):
        fetch(get("sd15"), tmp_path / "here", told.append)
    assert not (tmp_path / "here/sd15" / BIG).exists()
    assert any(line.strip().endswith("MB") and BIG in line for line in told), "progress by file"
    before, hub.cut = len(hub.asked), None
    folder = fetch(get("sd15"), tmp_path / "here")
    (wanted,) = [wanted for name, wanted in hub.asked[before:] if name == BIG]
    assert wanted == f"bytes={size // 2}-"
    # files that were there are not asked for again
    names = [name for name, _ in hub.asked]
    assert all(names.count(name) == 1 for name in names if name != BIG)
    assert (folder / BIG).read_bytes() == (hub.root / BIG).read_bytes()
    assert check_folder(folder).family.name == "stable-diffusion"
    count = len(hub.asked)
    fetch(get("sd15"), tmp_path / "here")
    assert len(hub.asked) == count, "a complete model is fetched again"


def test_the_cache_that_the_hubs_tools_share(hub: Server, tmp_path: Path) -> None:
    """A large file lies under its hash, the library's own link leads to it, and nothing comes twice."""
    hub.cut = 1000
    with pytest.raises(ModelError, match="interrupted"):
        fetch(get("sd15"))
    mark = hashlib.sha256((hub.root / BIG).read_bytes()).hexdigest()
    (partial,) = (tmp_path / "cache").rglob("*.partial")
    assert partial.name == f"{mark}.partial"
    assert partial.stat().st_size == 1000
    hub.cut = None
    folder = fetch(get("sd15"))
    assert (folder / BIG).resolve().name == mark
    assert not list((tmp_path / "cache").rglob("*.partial"))
    assert check_folder(folder).family.name == "stable-diffusion"
    count = len(hub.asked)
    fetch(get("sd15"))
    assert len(hub.asked) == count


def test_a_server_that_cannot_go_on_sends_the_whole_again(hub: Server, tmp_path: Path) -> None:
    hub.cut = 1000
    with pytest.raises(ModelError, match="interrupted"):
        fetch(get("sd15"), tmp_path / "here")
    hub.cut, hub.ranges = None, False
    folder = fetch(get("sd15"), tmp_path / "here")
    assert (folder / BIG).read_bytes() == (hub.root / BIG).read_bytes()


def test_a_byte_that_changed_on_the_way_is_told_by_its_hash(hub: Server, tmp_path: Path) -> None:
    hub.harm = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ModelError, match=f"{BIG} does not match its SHA-256"):
        fetch(get("sd15"), tmp_path / "here")
    assert not (tmp_path / "here/sd15" / BIG).exists()
    hub.harm = bytes
    check_folder(fetch(get("sd15"), tmp_path / "here"))


def test_a_server_that_is_gone(hub: Server, tmp_path: Path) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ModelError, match="fetching was interrupted"):
        fetch(get("sd15"), tmp_path / "here")
