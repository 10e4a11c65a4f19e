"""sds3d web: the page over run folders, and the queue behind it."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = (
    "The page is served to this machine only unless --host says otherwise; then a key is asked for, which is printed "
    "at the start unless --key or SDS3D_KEY sets it. Ctrl-C saves what runs; the next server goes on with it."
)


def command(
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on; 0.0.0.0 lets others in."),
    port: int = typer.Option(7860, "--port", min=1, max=65535, help="Port to listen on."),
    runs: Path = typer.Option(Path("runs"), "--runs", help="Folder that holds the run folders."),
    workers: int = typer.Option(1, "--workers", min=1, max=64, help="Runs at a time; one takes all cores."),
    key: str = typer.Option(
        "", "--key", envvar="SDS3D_KEY", help="What those who come from elsewhere must show."
    ),
    open_browser: bool = typer.Option(False, "--open", help="Open the page in a browser."),
) -> None:
    """Open the web page: prompt, live preview, 3D result, download; queue and gallery."""
    import importlib.util

    from ..core.errors import MissingPackageError

    if importlib.util.find_spec("gradio") is None:
        raise MissingPackageError("gradio", "the web page", "pip install 'sds3d[web]'")
    from sds3d.apps.web.server import Settings, serve

    serve(Settings(runs, host, port, workers, key), open_browser)
