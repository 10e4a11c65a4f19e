"""sds3d submit: hand a run to a server that is up, instead of running it here."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import typer

EPILOG = (
    'Examples: sds3d submit "a blue mushroom" seed=3 --wait · sds3d submit prompts.yaml --server http://lab:7860 --key '
    "KEY. Exit status: 0 in the queue (with --wait: finished), 1 refused, failed or not reached, 2 wrong configuration."
)


def command(
    words: list[str] = typer.Argument(
        ...,
        metavar="PROMPT|FILE [KEY=VALUE]...",
        help="As for `sds3d run`; files that it names lie at the server.",
    ),
    server: str = typer.Option(
        "http://127.0.0.1:7860", "--server", envvar="SDS3D_SERVER", help="Its address."
    ),
    key: str = typer.Option("", "--key", envvar="SDS3D_KEY", help="Its key, where it asks for one."),
    priority: int = typer.Option(0, "--priority", min=-10, max=10, help="Higher ones go first."),
    wait: bool = typer.Option(False, "--wait", help="Until the runs have ended."),
    as_json: bool = typer.Option(False, "--json", help="Print the answer as JSON."),
) -> int:
    """Put runs into the queue of a running `sds3d web`."""
    from ..jobs import configs
    from .output import print_json

    text = configs.to_yaml(configs.from_words(words))
    answer = _ask(server, key, f"/api/runs?priority={priority}", text.encode())
    for reason in answer["refused"]:
        print(f"refused: {reason}", file=sys.stderr)
    states = {name: _wait(server, key, name) if wait else "waiting" for name in answer["runs"]}
    if as_json:
        print_json({"server": server, "runs": states, "refused": answer["refused"]})
    else:
        for name, state in states.items():
            typer.echo(f"{name}: {state}" if wait else f"{server}/?run={name}")
    return int(bool(answer["refused"]) or any(s in ("failed", "stopped") for s in states.values()))


def _wait(server: str, key: str, name: str) -> str:
    """The state of a run once nothing more will come."""
    while (state := _ask(server, key, f"/api/runs/{name}")["state"]) in ("waiting", "running", "stopping"):
        time.sleep(1.0)
    return state


def _ask(server: str, key: str, path: str, body: bytes | None = None) -> Any:
    """The JSON that the server answers.

    Raises:
        ServerError: it cannot be reached, or refuses.
    """
    import urllib.error
    import urllib.request

    headers = {"content-type": "application/yaml"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(server.rstrip("/") + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refused(server, error.code, error.read().decode(errors="replace")) from error
    except (OSError, ValueError) as error:
        from ..core.errors import Sds3dError

        raise Sds3dError(
            f"{server}: cannot be reached ({error}). Start one with `sds3d web`, or name it with --server."
        ) from error


def _refused(server: str, status: int, text: str) -> Exception:
    from ..core.errors import ConfigError, Sds3dError

    try:
        told = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        told = text.strip() or f"status {status}"
    if status == 401:
        return Sds3dError(f"{server}: needs its key; say it with --key or SDS3D_KEY.")
    return ConfigError(told, file=server) if status == 422 else Sds3dError(f"{server}: {told}")
