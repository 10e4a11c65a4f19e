"""`sds3d web`: prompt, Create, live previews, the result in 3D, downloads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from sds3d.core.errors import MissingPackageError, Sds3dError
from sds3d.jobs.runfolder import RunFolder, list_runs

from .watch import Glance, glance, request_stop, start

STYLE = """
#live img, #x0 img {width: 100%; height: 100%; object-fit: contain; padding: 30px 4px 4px; box-sizing: border-box}
#x0 img {image-rendering: pixelated}
#film, #film * {background-color: white}
#files button[aria-label^="Remove"] {display: none}
"""
"""Small previews fill their boxes below the label; the prior's own pixels stay pixels; results cannot be removed."""

EXAMPLES = ["a blue mushroom", "a red car", "a snowman with a black hat", "a yellow duck", "a purple teapot"]


def launch(host: str, port: int, runs: str | Path, open_browser: bool = False) -> None:
    """Serve the page until Ctrl-C.

    Args:
        host: address to bind; 127.0.0.1 keeps it on this machine. port: TCP port, 0 for any free one.
        runs: folder of the run folders.

    Raises:
        MissingPackageError: gradio is not installed.
    """
    page = build(Path(runs))
    page.launch(
        server_name=host,
        server_port=port or None,
        inbrowser=open_browser,
        allowed_paths=[str(Path(runs).resolve())],
        quiet=True,
        css=STYLE,
        footer_links=[],
    )


def build(runs: Path) -> Any:
    """The page as a gradio Blocks object."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no request leaves the machine
    try:
        import gradio as gr
    except ImportError as error:
        raise MissingPackageError("gradio", "the web page", "pip install 'sds3d[web]'") from error
    runs.mkdir(parents=True, exist_ok=True)
    with gr.Blocks(title="sds3d") as page:
        gr.Markdown("# sds3d\nA sentence in, a 3D asset out.")
        current = gr.State("")
        with gr.Row():
            with gr.Column(scale=1):
                prompt = gr.Textbox(label="Prompt", placeholder="a blue mushroom", autofocus=True)
                gr.Examples(EXAMPLES, prompt, label="The prior in the box knows")
                with gr.Row():
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                    kind = gr.Dropdown(["grid", "gaussians"], value="grid", label="Representation")
                with gr.Row():
                    create = gr.Button("Create", variant="primary")
                    stop = gr.Button("Stop and keep", interactive=False)
                line = gr.Markdown("", elem_id="status")
                past = gr.Dropdown(_names(runs), value=None, label="Earlier runs")
            with gr.Column(scale=2, min_width=520):
                with gr.Row():
                    preview = _picture(gr, "As it forms", "live")
                    x0 = _picture(gr, "What the prior sees in it", "x0")
                with gr.Row(visible=False) as result:
                    model = gr.Model3D(label="Result", height=420, scale=2)
                    film = gr.Video(
                        label="Turntable", height=420, autoplay=True, loop=True, buttons=[], elem_id="film"
                    )
                files = gr.File(label="Downloads", file_count="multiple", visible=False, elem_id="files")
        shown = [line, preview, x0, result, film, files, create, stop]

        hidden = gr.update(visible=False)

        def on_create(text: str, number: float, representation: str) -> Iterator[list[Any]]:
            try:
                folder = start(words(text, number, representation), runs)
            except Sds3dError as error:
                yield ["", escape(str(error)), None, None, hidden, None, hidden, gr.update(), gr.update()]
                return
            for rows in _follow(folder):
                yield [str(folder.path), *rows]

        def _follow(folder: RunFolder) -> Iterator[list[Any]]:
            last = None
            while True:
                now = glance(folder)
                if now != last:
                    yield _outputs(now)
                    last = now
                if now.done:
                    return
                time.sleep(0.4)

        def _outputs(now: Glance) -> list[Any]:
            preview, x0, film = (str(p) if p else None for p in (now.preview, now.x0, now.film))
            busy, found = not now.done, [str(f) for f in now.files]
            return [
                escape(now.line()),
                preview,
                x0,
                gr.update(visible=not busy and bool(found)),
                film,
                gr.update(value=found or None, visible=not busy and bool(found)),
                gr.update(interactive=not busy),
                gr.update(interactive=busy),
            ]

        def on_done(path: str) -> list[Any]:
            found = glance(RunFolder.open(path)).model if path else None
            chosen = Path(path).name if path else None
            return [str(found) if found else None, gr.update(choices=_names(runs), value=chosen)]

        def on_stop(path: str) -> str:
            if path:
                request_stop(RunFolder.open(path))
            return "Stopping at the next step …"

        def on_open(name: str | None) -> Iterator[list[Any]]:
            if not name:
                return
            folder = RunFolder.open(runs / Path(name).name)
            for rows in _follow(folder):
                yield [str(folder.path), *rows]

        form, last = [prompt, seed, kind], [model, past]
        gr.on([create.click, prompt.submit], on_create, form, [current, *shown], show_progress="hidden").then(
            on_done, current, last, show_progress="hidden"
        )
        stop.click(on_stop, current, line)
        past.input(on_open, past, [current, *shown], show_progress="hidden").then(
            on_done, current, last, show_progress="hidden"
        )
        page.load(lambda: gr.update(choices=_names(runs)), None, past)
    return page


def _picture(gr: Any, label: str, name: str) -> Any:
    return gr.Image(label=label, height=300, elem_id=name, buttons=["fullscreen", "download"])


def _names(runs: Path) -> list[str]:
    return [folder.path.name for folder in list_runs(runs)]


def words(prompt: str, seed: float | None, representation: str) -> list[str]:
    """The command line of the form's values; the prompt is taken as it is, whatever signs it holds."""
    return [f"prompt={prompt.strip()}", f"seed={int(seed or 0)}", f"representation={representation}"]
