"""Edit: a file or a run, words, a region painted on a view; before and after, and what was made of what."""

# annotations stay values here: gradio looks for gr.Request among them, and gradio is imported late
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sds3d.guidance.registry import preset

from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.jobs.editing import EDITABLE
from sds3d.jobs.schema import GUIDANCE

from .. import form, page
from ..service import Service

SIDE = 512
"""Pixels of the view that is painted on."""


@dataclass(frozen=True)
class Form:
    """The widgets of the left column."""

    file: Any
    run: Any
    before: Any
    to: Any
    keep: Any
    strength: Any
    box: Any
    canvas: Any
    azimuth: Any
    elevation: Any
    method: Any
    steps: Any
    show: Any
    go: Any
    trouble: Any

    @property
    def asked(self) -> list[Any]:
        """What an edit is made of, in the order of `_values`."""
        return [getattr(self, f.name) for f in fields(self)[:12]]


def build(service: Service, blocks: Any, tabs: Any) -> None:
    """Lay the tab out."""
    import gradio as gr

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            f = _form(gr)
        with gr.Column(scale=6, min_width=320):
            watched = gr.HTML(
                page.live("", "Choose a file or a run, say what it shall become, and press Edit.")
            )

    def on_show(
        file: str | None, run: str | None, azimuth: float, elevation: float, request: gr.Request
    ) -> Any:
        who = page.who(request)
        try:
            picture = view_of(service, who, _source(service, who, file, run), azimuth, elevation)
        except Sds3dError as error:
            return gr.skip(), page.note(str(error))
        return {"background": picture, "layers": [], "composite": picture}, ""

    def on_go(
        file: str | None, run: str | None, before: str, to: str, keep: str, strength: float, box: str,
        painted: dict[str, Any] | None, azimuth: float, elevation: float, method: str, steps: float | None,
        request: gr.Request,
    ) -> tuple[Any, str]:  # fmt: skip
        who = page.who(request)
        try:
            values = {
                "prompt": (to or "").strip(), "edit.source": _source(service, who, file, run),
                "edit.prompt": (before or "").strip(), "edit.keep": keep, "edit.strength": float(strength),
                "guidance.method": method,
            }  # fmt: skip
            regions = _regions(service, who, box, painted, azimuth, elevation)
            values |= {"edit.region": regions} if regions else {}
            values |= {"optimize.steps": int(steps)} if steps else {}
            folders, refused = service.submit(who, form.to_yaml(values))
        except Sds3dError as error:
            return gr.skip(), page.note(str(error))
        return page.live(folders[0].path.name) if folders else gr.skip(), page.note("\n".join(refused))

    def on_load(request: gr.Request) -> tuple[Any, Any]:
        who, wanted = page.who(request), request.query_params.get("edit", "")
        jobs = service.runs_of(who)
        names = [job.folder.path.name for job in jobs if set(EDITABLE) & set(job.folder.assets())]
        known = wanted if wanted in names else None
        return gr.update(choices=names, value=known), gr.update(selected="edit") if known else gr.skip()

    f.show.click(on_show, [f.file, f.run, f.azimuth, f.elevation], [f.canvas, f.trouble], **quiet)
    f.go.click(on_go, f.asked, [watched, f.trouble], show_progress="hidden", api_name="edit")
    blocks.load(on_load, None, [f.run, tabs], **quiet)


def _form(gr: Any) -> Form:
    """The left column: what, into what, where, how far."""
    file = gr.File(
        label="A mesh or splat file", file_types=[".glb", ".gltf", ".obj", ".ply", ".splat", ".spz"],
        elem_id="edited-file", height=120,
    )  # fmt: skip
    run = gr.Dropdown([], label="Or one of your runs", allow_custom_value=True, elem_id="edited-run")
    before = gr.Textbox(label="What it shows now", placeholder="a red car", elem_id="from")
    to = gr.Textbox(label="What it shall become", placeholder="a blue car", elem_id="to")
    keep = gr.Radio(
        ["shape", "colour", "nothing"], value="shape", label="Keep", info="What stays as it is, to the byte."
    )
    strength = gr.Slider(0, 1, 1, label="Strength", info="0 changes nothing, 1 is the method as it is.")
    with gr.Accordion("Where: a region", open=False):
        box = gr.Textbox(
            label="Boxes and others", lines=2, elem_id="region",
            placeholder="box:-1,0,-1,1,1,1\nsphere:0,0.5,0,0.3 or material:NAME or colour:c01020",
            info="One a line; what lies outside of all stays as it is, to the byte.",
        )  # fmt: skip
        with gr.Row():
            azimuth = gr.Slider(-180, 180, 30, step=5, label="Azimuth", info="Degrees; 0 looks at the front.")
            elevation = gr.Slider(-80, 80, 15, step=5, label="Elevation", info="Degrees above the horizon.")
        show = gr.Button("Show this view to paint on", elem_id="show-view")
        canvas = gr.ImageMask(
            label="Paint where it may change", type="numpy", layers=False, elem_id="canvas",
            brush=gr.Brush(colors=["#14b8a6"], color_mode="fixed", default_size=24), height=420,
            buttons=["fullscreen"],
        )  # fmt: skip
    with gr.Accordion("More", open=False):
        method = gr.Dropdown(methods(), value="dds", label="Method", info="The guidance rule.")
        steps = gr.Number(0, label="Steps", precision=0, minimum=0, info="0: the method's own.")
    go = gr.Button("Edit", variant="primary", elem_id="edit")
    trouble = gr.HTML()
    return Form(
        file,
        run,
        before,
        to,
        keep,
        strength,
        box,
        canvas,
        azimuth,
        elevation,
        method,
        steps,
        show,
        go,
        trouble,
    )


def _source(service: Service, who: str, file: str | None, run: str | None) -> str:
    """What is edited: an uploaded file, kept for this person, or one of their runs."""
    if file:
        return str(service.upload(who, Path(file).name, Path(file).read_bytes()))
    if not run:
        raise ConfigError("choose a file or one of your runs", file="the form")
    return str(service.find(who, run).path)


def _regions(
    service: Service, who: str, box: str, painted: dict[str, Any] | None, azimuth: float, elevation: float
) -> list[str]:
    """The selectors that were typed, and the painted one."""
    regions = [line.strip() for line in (box or "").splitlines() if line.strip()]
    if (mask := mask_of(painted)) is not None:
        regions.append(f"mask:{service.upload(who, 'mask.png', mask)}@{azimuth:g},{elevation:g}")
    return regions


def methods() -> list[str]:
    """The methods that compare with an original, first the usual one."""
    found = [m for m, options in GUIDANCE.choices().items() if m != "several" and _needs_source(m, options)]
    return ["dds", *(m for m in found if m != "dds")]


def _needs_source(method: str, options: Any) -> bool:
    try:
        return preset(method)(options()).needs.source
    except (Sds3dError, ValueError):  # a free recipe says nothing of itself
        return False


def view_of(service: Service, who: str, source: str, azimuth_deg: float, elevation_deg: float) -> Any:
    """(SIDE, SIDE, 3) uint8: what is to be edited, seen from there, on white.

    Raises:
        Sds3dError: it cannot be read.
    """
    import torch

    from sds3d.core.cameras import orbit
    from sds3d.jobs.assemble import build_representation
    from sds3d.jobs.pictures import render_views

    text = form.to_yaml(
        {"prompt": "a thing", "edit.source": source, "edit.prompt": "a thing", "guidance": "dds"}
    )
    scene = build_representation(service.read(who, text)).original()  # type: ignore[attr-defined]
    picture = render_views(scene, orbit([azimuth_deg], elevation_deg), SIDE)[0]
    return (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def mask_of(painted: dict[str, Any] | None) -> bytes | None:
    """The painted region as a PNG, white on black; None where nothing was painted."""
    import numpy as np
    import torch

    from sds3d.assetio.image_bytes import encode_png

    layers = [layer for layer in (painted or {}).get("layers", []) if layer is not None]
    if not layers:
        return None
    inside = np.zeros(layers[0].shape[:2], dtype=bool)
    for layer in layers:
        inside |= layer[..., -1] > 127
    if not inside.any():
        return None
    return encode_png(torch.from_numpy(inside).float().expand(3, *inside.shape))
