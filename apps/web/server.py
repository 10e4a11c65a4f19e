"""The server: guard, interface, page and queue put together."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sds3d.apps.report import write_report

from sds3d.core.errors import MissingPackageError, Sds3dError
from sds3d.jobs.queue.queue import Queue

from .guard import LOOPBACK, Door, Guard
from .service import Limits, Service

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Settings:
    """How a server is run.

    Args:
        host, port: where it listens. runs: folder of the run folders. workers: runs at a time.
        key: what must be shown; "" makes one up where others than this machine can reach the server.
    """

    runs: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int = 7860
    workers: int = 1
    key: str = ""

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK


def make(settings: Settings) -> tuple[Any, Service, Door]:
    """(ASGI application, what it serves, what it asks of those who come); whoever serves it lets the queue work.

    Raises:
        MissingPackageError: gradio is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no request leaves the machine
    try:
        import gradio as gr
        from fastapi import FastAPI
        from fastapi.staticfiles import StaticFiles
    except ImportError as error:
        raise MissingPackageError("gradio", "the web page", "pip install 'sds3d[web]'") from error
    from . import api
    from .page import build, dress

    settings.runs.mkdir(parents=True, exist_ok=True)
    queue = Queue(settings.runs, settings.workers, [write_report])
    service = Service(queue, Limits(settings.local, settings.local))
    door = Door(
        "" if settings.local else settings.key or secrets.token_urlsafe(12),
        LOOPBACK if settings.local else (),
    )

    app = FastAPI(title="sds3d", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(api.routes(service))
    app.mount("/own", StaticFiles(directory=STATIC))
    app.add_exception_handler(Sds3dError, api.tell)
    gr.mount_gradio_app(app, build(service), path="", **dress())
    return Guard(app, door), service, door


def serve(settings: Settings, open_browser: bool = False) -> None:
    """Serve until Ctrl-C; running runs are saved then, and go on with the next server.

    Raises:
        MissingPackageError: gradio is not installed. RunFolderError: another server works on these runs.
    """
    app, service, door = make(settings)
    with service.queue.serving():
        _serve(app, settings, door, open_browser)


def _serve(app: Any, settings: Settings, door: Door, open_browser: bool) -> None:
    import uvicorn

    address = f"http://{settings.host if settings.local else '…'}:{settings.port}"
    print(
        f"sds3d at {address}, runs in {settings.runs.resolve()}; Ctrl-C saves what runs and ends.", flush=True
    )
    if door.key:
        print(f"key: {door.key}", flush=True)
    if open_browser:
        import webbrowser

        webbrowser.open(address)
    # open pages keep their connections for good: they are cut off, and find the next server by themselves
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=2)
