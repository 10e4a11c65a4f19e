"""The HTTP interface under /api and the files of runs under /runs: plain JSON, for scripts and for the page itself."""

from __future__ import annotations

import errno
import tempfile
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.background import BackgroundTask

from sds3d.core.errors import ConfigError, RunFolderError, Sds3dError
from sds3d.jobs.export import formats

from . import view
from .guard import browser_id
from .service import BusyError, NotThereError, Service

_STATUS = (
    (NotThereError, 404),
    (BusyError, 429),
    (ConfigError, 422),
    (RunFolderError, 409),
    (Sds3dError, 422),
)


def routes(service: Service) -> APIRouter:
    """The interface; docs/web.md describes it."""
    router = APIRouter()
    _lists(router, service)
    _one_run(router, service)
    _files(router, service)
    return router


def who(request: Request) -> str:
    """Who asks."""
    return browser_id(request.cookies)


def _lists(router: APIRouter, service: Service) -> None:
    """All runs, and the queue."""

    @router.get("/api/runs")
    def runs(request: Request, words: str = "", state: str = "", most: int = 10_000) -> list[dict[str, Any]]:
        """Runs, newest change first."""
        return [view.card(job) for job in service.runs_of(who(request), words, state)[: max(0, most)]]

    @router.post("/api/runs", status_code=201)
    def submit(
        request: Request, text: str = Body(default="", media_type="application/yaml"), priority: int = 0
    ) -> dict[str, Any]:
        """Put the runs of a YAML into the queue."""
        folders, refused = service.submit(who(request), text, priority)
        return {"runs": [f.path.name for f in folders], "refused": refused}

    @router.post("/api/check")
    def check(
        request: Request, text: str = Body(default="", media_type="application/yaml")
    ) -> dict[str, Any]:
        """Whether a YAML would be taken, and what it means."""
        return {"prompts": service.read(who(request), text).all_prompts()}

    @router.get("/api/queue")
    def queue(request: Request) -> list[dict[str, Any]]:
        """What runs and what waits."""
        return [view.place(job) for job in service.waiting(who(request))]

    @router.get("/api/trash")
    def deleted(request: Request) -> list[str]:
        """Names of deleted runs."""
        return [path.name for path in service.deleted(who(request))]


def _one_run(router: APIRouter, service: Service) -> None:
    """A run, and what is done with it."""

    @router.get("/api/runs/{name}")
    def run(request: Request, name: str) -> dict[str, Any]:
        """Where a run stands, with addresses of its pictures and files."""
        return view.whole(service.queue.job(service.find(who(request), name)))

    @router.get("/api/runs/{name}/curves")
    def curves(request: Request, name: str) -> list[str]:
        """The charts of a run, as SVG."""
        return view.curves(service.find(who(request), name))

    @router.get("/api/runs/{name}/history")
    def history(request: Request, name: str) -> list[dict[str, Any]]:
        """The tree of edits that a run belongs to."""
        person = who(request)
        return view.history(service.find(person, name), lambda run: service.may_see(person, run))

    @router.get("/api/runs/{name}/formats")
    def known(request: Request, name: str) -> list[str]:
        """The kinds of files that a run can be written in."""
        return list(formats(service.find(who(request), name)))

    @router.post("/api/runs/{name}/export")
    def export(
        request: Request, name: str, kinds: list[str] = Body(min_length=1, max_length=8)
    ) -> dict[str, Any]:
        """Write a run in these kinds of files too; answers as the run's own address."""
        person = who(request)
        service.export(person, name, kinds)
        return view.whole(service.queue.job(service.find(person, name)))

    @router.post("/api/runs/{name}/{action}")
    def act(
        request: Request, name: str, action: str, changes: list[str] = Body(default=[])
    ) -> dict[str, Any]:
        """pause, run, cancel, keep; fork (with a list of changes), tag (with words), discard, restore."""
        person = who(request)
        if action == "fork":
            return {"run": service.fork(person, name, changes).path.name}
        if action == "discard":
            service.discard(person, name)
            return {}
        if action == "tag":
            return {"tags": list(service.tag(person, name, " ".join(changes)))}
        if action == "restore":
            return {"run": service.restore(person, name).path.name}
        return view.card(service.act(person, name, action))


def _files(router: APIRouter, service: Service) -> None:
    """Files of runs, and files that people bring."""

    @router.post("/api/uploads", status_code=201)
    def upload(request: Request, file: UploadFile) -> dict[str, str]:
        """Keep a file for later runs; answers the name to write into a YAML."""
        return {"file": str(service.upload(who(request), file.filename or "", file.file.read()))}

    @router.get("/runs/{name}.zip")
    def archive(request: Request, name: str) -> Response:
        """A run without its checkpoints."""
        out = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent
        service.zip(who(request), name, out)
        told = {
            "content-disposition": f"attachment; filename=\"run.zip\"; filename*=UTF-8''{quote(name)}.zip",
            "content-length": str(out.tell()),
        }
        out.seek(0)
        chunks = iter(lambda: out.read(1 << 20), b"")
        done = BackgroundTask(out.close)
        return StreamingResponse(chunks, media_type="application/zip", headers=told, background=done)

    @router.get("/runs/{name}/{inside:path}")
    def file(request: Request, name: str, inside: str) -> Response:
        """A file of a run."""
        path = service.file(who(request), name, inside)
        # a page of ours shows what people typed; it gets no rights on this server
        sandbox = {"content-security-policy": "sandbox; default-src 'none'; img-src data:; media-src data:; "
                   "style-src 'unsafe-inline'"} if path.suffix.lower() == ".html" else {}  # fmt: skip
        return FileResponse(path, headers={"cache-control": "no-cache", **sandbox})


async def tell(request: Request, error: Exception) -> Response:
    """An error that people can read, with its status."""
    status = next(code for kind, code in _STATUS if isinstance(error, kind))
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
        status = 507
    return JSONResponse({"error": str(error)}, status_code=status)
