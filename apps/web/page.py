"""The page: tabs over the service. Gradio draws the forms; static/app.js draws the live parts, from the interface."""

from __future__ import annotations

from html import escape
from typing import Any

from .guard import browser_id
from .service import Service
from .tabs import batch, compare, create, edit

EMPTY = "Type a prompt and press Create. The object appears here while it forms."


def build(service: Service) -> Any:
    """The page as a gradio Blocks object."""
    import gradio as gr

    with gr.Blocks(title="sds3d", analytics_enabled=False, delete_cache=(3600, 6 * 3600)) as page:
        gr.HTML("<h1>sds3d</h1><p>A sentence in, a 3D asset out.</p>", elem_id="head")
        with gr.Tabs() as tabs:
            with gr.Tab("Create", id="create"):
                create.build(service, page)
            with gr.Tab("Edit", id="edit"):
                edit.build(service, page, tabs)
            with gr.Tab("Compare", id="compare"):
                compare.build(service)
            with gr.Tab("Batch", id="batch"):
                batch.build(service)
            with gr.Tab("Gallery", id="gallery"):
                gr.HTML('<div class="gallery" data-place="gallery"></div>')
                with gr.Accordion("Trash", open=False):
                    gr.HTML('<div class="trash" data-place="trash"></div>')
    return page


def who(request: Any) -> str:
    """Who sends an event of the page."""
    return browser_id(request.cookies)


def live(name: str, empty: str = EMPTY) -> str:
    """The place where a run is watched; "" is the empty one, which says what to do."""
    if not name:
        return f'<div class="live"><p class="empty">{escape(empty)}</p></div>'
    return f'<div class="live" data-place="live" data-run="{escape(name, quote=True)}"></div>'


def note(text: str) -> str:
    """A message of ours that quotes what people typed, as HTML."""
    return f'<div class="reason" role="alert">{escape(text)}</div>' if text else ""


def dress() -> dict[str, Any]:
    """How gradio is mounted: a calm theme with the system's own fonts, our style and script, no links elsewhere."""
    import gradio as gr

    from .server import STATIC

    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal, secondary_hue=gr.themes.colors.teal, neutral_hue=gr.themes.colors.slate,
        font=sans, font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"], radius_size=gr.themes.sizes.radius_md,
    )  # fmt: skip
    return {
        "theme": theme,
        "css_paths": [STATIC / "style.css"],
        "head": '<script src="/own/app.js" type="module"></script>',
        "footer_links": [],
        "run_history": False,
        "show_error": True,
        "ssr_mode": False,
        "max_file_size": "200mb",
    }
