"""A server for tests: the application, clients that are different browsers, and a YAML of the small run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml
from small_run import SMALL

from sds3d.jobs.queue.queue import Queue


def small_yaml(**changes) -> str:
    """The small run as YAML; `optimize__steps=4` sets `optimize.steps`."""
    from sds3d.apps.web.form import to_yaml

    return to_yaml(SMALL | {k.replace("__", "."): v for k, v in changes.items()})


class Idle(Queue):
    """A queue without workers."""

    @contextlib.contextmanager
    def serving(self):
        """Nothing is begun."""
        yield self


def service_for(runs: Path, local: bool = True):
    """A service whose queue begins nothing."""
    from sds3d.apps.web.service import Limits, Service

    runs.mkdir(parents=True, exist_ok=True)
    return Service(Idle(runs), Limits(local, local))


def client(service, key: str = "", browser: str = "", names: tuple[str, ...] = ("testserver",), **headers):
    """A client of the interface behind the guard.

    Args:
        key: what the server asks for. browser: cookie of a browser; "" is a script.
    """
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from sds3d.apps.web import api
    from sds3d.apps.web.guard import BROWSER_COOKIE, Door, Guard

    from sds3d.core.errors import Sds3dError

    app = FastAPI()
    app.include_router(api.routes(service))
    app.add_exception_handler(Sds3dError, api.tell)
    cookies = {BROWSER_COOKIE: browser} if browser else {}
    return TestClient(Guard(app, Door(key, names)), cookies=cookies, headers=headers, follow_redirects=False)


def submit(asker, text: str, **params) -> list[str]:
    """Names of the runs of a YAML that was put into the queue."""
    answer = asker.post(
        "/api/runs", content=text, headers={"content-type": "application/yaml"}, params=params
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["runs"]


def dump(values: dict) -> str:
    """Plain data as YAML."""
    return yaml.safe_dump(values)
