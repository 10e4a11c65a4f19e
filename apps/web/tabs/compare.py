"""Compare: one prompt, several methods or seeds, side by side as they form."""

# annotations stay values here: gradio looks for gr.Request among them, and gradio is imported late
from typing import Any

from sds3d.core.errors import Sds3dError
from sds3d.jobs.schema import GUIDANCE, REPRESENTATIONS

from .. import form, page
from ..service import Service
from .create import FROM_FILES

MOST = 12


def build(service: Service) -> None:
    """Lay the tab out."""
    import gradio as gr

    with gr.Row():
        prompt = gr.Textbox(label="Prompt", placeholder="a blue mushroom", scale=3)
        kinds = [kind for kind in REPRESENTATIONS.choices() if kind not in FROM_FILES]
        kind = gr.Dropdown(kinds, value="grid", label="Representation", scale=1)
    methods = gr.Dropdown(
        list(GUIDANCE.choices()), value=["sds", "csd"], multiselect=True, label="Methods",
        info="Each with its own defaults; `sds3d compare` gives all one budget of network calls.",
    )  # fmt: skip
    with gr.Row():
        seeds = gr.Textbox(
            "0", label="Seeds", info="Apart by commas; each method runs with each seed.", scale=2
        )
        steps = gr.Number(0, label="Steps", precision=0, minimum=0, info="0: each method's own.", scale=1)
    go = gr.Button("Compare", variant="primary", elem_id="compare")
    trouble = gr.HTML()
    shown = gr.HTML(
        '<p class="empty">Choose a few methods or seeds: their objects form side by side.</p>',
        elem_id="compared-place",
    )

    def on_go(
        prompt: str, kind: str, methods: list[str], seeds: str, steps: float | None, request: gr.Request
    ) -> Any:
        who, names = page.who(request), []
        try:
            for values in plan(prompt, kind, methods, seeds, steps):
                folders, _ = service.submit(who, form.to_yaml(values))
                names += [f.path.name for f in folders]
        except Sds3dError as error:
            return gr.update() if not names else _grid(names), page.note(str(error))
        return _grid(names), ""

    go.click(
        on_go,
        [prompt, kind, methods, seeds, steps],
        [shown, trouble],
        show_progress="hidden",
        api_name="compare",
    )


def plan(prompt: str, kind: str, methods: list[str], seeds: str, steps: float | None) -> list[dict[str, Any]]:
    """The dotted keys of each run, methods first.

    Raises:
        ConfigError: a seed is no whole number, or there are more than MOST runs, or none.
    """
    from sds3d.core.errors import ConfigError

    words = [w.strip() for w in seeds.replace(";", ",").split(",") if w.strip()]
    if any(not w.isdigit() for w in words):
        raise ConfigError("are whole numbers apart by commas, such as 0, 1, 2", key="seeds")
    if not 1 <= len(words) * len(methods) <= MOST:
        raise ConfigError(
            f"asks for {len(words) * len(methods)} runs; 1 to {MOST} fit side by side", key="compare"
        )
    fixed: dict[str, Any] = {"prompt": prompt.strip(), "representation": kind}
    if steps:
        fixed["optimize.steps"] = int(steps)
    return [fixed | {"guidance": m, "seed": int(s)} for m in methods for s in words]


def _grid(names: list[str]) -> str:
    return f'<div id="compared">{"".join(page.live(name) for name in names)}</div>'
