"""sds3d web: the page over run folders."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = "The page is served to this machine only unless --host says otherwise."


def command(
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on."),
    port: int = typer.Option(7860, "--port", min=1, max=65535, help="Port to listen on."),
    runs: Path = typer.Option(Path("runs"), "--runs", help="Folder that holds the run folders."),
) -> None:
    """Open the web page: prompt, live preview, 3D result, download."""
    import importlib.util

    from ..core.errors import MissingPackageError

    if importlib.util.find_spec("gradio") is None:
        raise MissingPackageError("gradio", "the web page", "pip install 'sds3d[web]'")
    from sds3d.apps.web.app import launch

    launch(host, port, runs)
