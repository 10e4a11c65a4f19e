"""Create: a prompt, a few choices, everything else under Advanced; the run is watched beside it."""

# annotations stay values here: gradio looks for gr.Request among them, and gradio is imported late
import html
from dataclasses import dataclass
from typing import Any

import yaml

from sds3d.core.errors import Sds3dError
from sds3d.jobs import configs
from sds3d.jobs.assemble import check_prompt
from sds3d.jobs.schema import GUIDANCE, REPRESENTATIONS, RunConfig

from .. import form, page, quality
from ..service import NotThereError, Service
from . import picture

EXAMPLES = ["a blue mushroom", "a red car", "a snowman with a black hat", "a yellow duck", "a purple teapot"]
PRIORS = ("embedded", "audio", "analytic", "diffusers")
START = {"prior": "embedded", "guidance": "sds", "representation": "grid"}
HOW = "The guidance rule: how the opinion of the prior becomes a change."
FROM_FILES = ("captured", "edited_mesh", "edited_splats", "separation")
"""Representations that start from a file: the form takes them from a YAML only."""


@dataclass(frozen=True)
class Form:
    """The widgets of the left column."""

    prompt: Any
    warning: Any
    create: Any
    trouble: Any
    speed: Any
    method: Any
    kind: Any
    seed: Any
    negative: Any
    prior: Any
    text: Any
    load: Any

    @property
    def basics(self) -> list[Any]:
        """What `_values` reads, in its order."""
        return [self.prompt, self.negative, self.seed, self.prior, self.method, self.kind, self.speed]


def build(service: Service, blocks: Any) -> None:
    """Lay the tab out."""
    import gradio as gr

    # what differs from the defaults; the YAML that was made of the form; the run whose model is in the viewer
    values, made, shown = gr.State({}), gr.State(""), gr.State("")
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            f = _form(gr, service, values, blocks)
        with gr.Column(scale=6, min_width=320):
            model = gr.Model3D(label="Drag to turn", height=420, visible=False, elem_id="model")
            watched = gr.HTML(page.live(""), elem_id="live")
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    def on_change(before: str, *given: Any) -> tuple[Any, str, str]:
        known = _values(service, *given)
        text = form.to_yaml(known)
        # several widgets change together; the event of the last must not undo what is typed into the YAML meanwhile
        return gr.skip() if text == before else text, page.note(_why_not(known)), text

    def on_kinds(prior: str, method: str, kind: str) -> Any:
        return gr.update(
            choices=_speeds(service, {"prior": prior, "guidance": method, "representation": kind})
        )

    def on_create(text: str, request: gr.Request) -> tuple[Any, ...]:
        try:
            folders, refused = service.submit(page.who(request), text)
        except Sds3dError as error:
            return gr.update(), page.note(str(error)), gr.update()
        name = folders[0].path.name if folders else ""
        return page.live(name), page.note("\n".join(refused)), gr.update(visible=False, value=None)

    def on_load(text: str, request: gr.Request) -> tuple[Any, ...]:
        try:
            service.read(page.who(request), text)  # refuses files that are not this person's
            known = form.from_yaml(text)
        except Sds3dError as error:
            return (*[gr.update()] * (len(f.basics) + 1), page.note(str(error)))
        start = usual(str(known.get("representation", START["representation"])))
        empty = {"prompt": "", "negative_prompt": "", "seed": 0} | start
        first = [known.pop(key, value) for key, value in empty.items()]
        return (*first, "Standard", known, "")

    f.kind.input(_heard_by(gr), [f.kind, f.prior], [f.prior, f.method], **quiet)
    everything = [*f.basics, values]
    gr.on([w.change for w in everything], on_change, [made, *everything], [f.text, f.warning, made], **quiet)
    kinds = [f.prior, f.method, f.kind]
    gr.on([w.change for w in kinds], on_kinds, kinds, f.speed, **quiet)
    # the text is made anew from what is typed at this moment; a change event may still be under way
    gr.on(
        [f.create.click, f.prompt.submit],
        lambda *g: form.to_yaml(_values(service, *g)),
        everything,
        f.text,
        **quiet,
    ).then(on_create, f.text, [watched, f.trouble, model], show_progress="hidden", api_name="create")
    f.load.click(on_load, f.text, [*everything, f.trouble], **quiet)
    blocks.load(_opened(service), None, watched, **quiet)
    gr.Timer(1.5).tick(_model_of(service), [watched, shown], [model, shown], **quiet)


def _heard_by(gr: Any) -> Any:
    """Where a sound is chosen, the prior that hears it and its method; and back."""

    def on_kind(kind: str, prior: str) -> tuple[Any, Any]:
        start = usual(kind)
        if {prior, start["prior"]} != {"embedded", "audio"}:
            return gr.skip(), gr.skip()
        return start["prior"], start["guidance"]

    return on_kind


def _form(gr: Any, service: Service, values: Any, blocks: Any) -> Form:
    """The left column: what to make."""
    prompt = gr.Textbox(
        label="Prompt", placeholder="a blue mushroom", autofocus=True, max_lines=3, elem_id="prompt"
    )
    warning = gr.HTML(elem_id="warning")
    create = gr.Button("Create", variant="primary", elem_id="create")
    trouble = gr.HTML(elem_id="trouble")
    gr.Examples(EXAMPLES, prompt, label="The prior in the box knows")
    picture.field(gr, service, values, prompt)
    speed = gr.Radio(
        _speeds(service, {}), value="Standard", label="Quality", elem_id="quality",
        info="How many steps; the times are of runs like this one on this machine.",
    )  # fmt: skip
    with gr.Row():
        methods = list(GUIDANCE.choices())
        kinds = [kind for kind in REPRESENTATIONS.choices() if kind not in FROM_FILES]
        method = gr.Dropdown(methods, value="sds", label="Method", min_width=130, info=HOW)
        kind = gr.Dropdown(
            kinds, value="grid", label="Representation", min_width=130, elem_id="kind", allow_custom_value=True,
            info="What the object is made of; fm, impact and waveform are sounds.",
        )  # fmt: skip
    with gr.Group():
        seed = gr.Number(
            0, label="Seed", precision=0, minimum=0, info="The same seed makes the same object again."
        )
        dice = gr.Button("Roll the dice", size="sm", elem_id="dice")
    dice.click(None, None, seed, js="() => Math.floor(Math.random() * 1e6)")
    with gr.Accordion("More", open=False):
        negative = gr.Textbox(label="Negative prompt", placeholder="what to keep away from", max_lines=2)
        prior = gr.Dropdown(
            _priors(), value="embedded", label="Prior", allow_custom_value=True,
            info="The model that judges; embedded (objects) and audio (sounds) are in the box.",
        )  # fmt: skip
    with gr.Accordion("Advanced: every option", open=False):
        _advanced(gr, service, values, (prior, method, kind), blocks)
    with gr.Accordion("YAML", open=False):
        text = gr.Code(language="yaml", label="This form as YAML", interactive=True, elem_id="yaml")
        load = gr.Button("Fill the form from this YAML", elem_id="load")
    return Form(prompt, warning, create, trouble, speed, method, kind, seed, negative, prior, text, load)


def _opened(service: Service) -> Any:
    """What a page shows that was opened by an address with ?run=NAME."""
    import gradio as gr

    def opened(request: gr.Request) -> str:
        name = request.query_params.get("run", "")
        try:
            return page.live(service.find(page.who(request), name).path.name if name else "")
        except NotThereError as error:
            return page.note(str(error))

    return opened


def _model_of(service: Service) -> Any:
    """The 3D viewer's file, once the watched run has one."""
    import gradio as gr
    from gradio.processing_utils import save_file_to_cache
    from gradio.utils import get_upload_folder

    def model_of(watched: str, shown: str, request: gr.Request) -> tuple[Any, str]:
        name = watched.partition('data-run="')[2].partition('"')[0]
        if not name:
            return gr.skip(), shown
        try:
            folder = service.find(page.who(request), name)
            state = service.queue.job(folder).state
        except Sds3dError:
            return gr.skip(), shown
        files = folder.assets()
        path = files.get("glb") or files.get("3dgs")
        if path is None or state in ("waiting", "running", "stopping"):
            return (gr.update(value=None, visible=False), "") if shown else (gr.skip(), shown)
        stamp = f"{path}{path.stat().st_mtime_ns}"
        if stamp == shown:
            return gr.skip(), shown
        if shown != "opened":  # the viewer draws only what comes after it has appeared
            return gr.update(visible=True), "opened"
        # a copy under a name that nobody can guess: the viewer fetches it without asking who looks
        return gr.update(value=save_file_to_cache(path, cache_dir=get_upload_folder())), stamp

    return model_of


def _advanced(gr: Any, service: Service, values: Any, kinds: tuple[Any, Any, Any], blocks: Any) -> None:
    """Every option of the chosen kinds, from the typed config."""

    @gr.render(inputs=[*kinds, values], triggers=[blocks.load, values.change, *(k.change for k in kinds)])
    def fields(prior: str, method: str, kind: str, known: dict[str, Any]) -> None:
        chosen = {"prompt": "a thing", "prior": prior, "guidance": method, "representation": kind}
        try:
            config = configs.from_mapping(chosen | known)
        except Sds3dError as error:
            gr.HTML(page.note(str(error)))
            return
        for name, group in form.sections(config):
            with gr.Accordion(name.capitalize(), open=False, key=f"section {name}"):
                for field in group:
                    _ask(gr, service, field, values)

    fields  # noqa: B018 - gradio calls it


def _ask(gr: Any, service: Service, field: form.Field, values: Any) -> None:
    """The widget of one field; what it is changed to is kept beside the defaults."""
    told = {
        "label": field.key.partition(".")[2] or field.key,
        "info": field.about,
        "key": field.key,
        "value": field.shown,
    }
    if field.sort == "yes or no":
        widget = gr.Checkbox(**told)
    elif field.sort == "choice":
        widget = gr.Dropdown(list(field.choices), **told)
    elif field.sort == "number":
        widget = gr.Number(precision=0 if isinstance(field.value, int) else None, **told)
    else:
        widget = gr.Textbox(max_lines=1, **told)

    def keep(shown: Any, known: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        try:
            value = field.read(shown)
            service.check_files(page.who(request), {field.key: value})
        except (yaml.YAMLError, Sds3dError) as error:
            gr.Warning(html.escape(f"{field.key} is left as it was: {error}"))
            return known
        return known if value == field.value else known | {field.key: value}

    event = widget.blur if field.sort in ("number", "text") else widget.input
    event(keep, [widget, values], values, show_progress="hidden", api_visibility="private")


def _values(
    service: Service, prompt: str, negative: str, seed: float | None, prior: str, method: str, kind: str, speed: str,
    extra: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The dotted keys of the form; what is the default anyway is left out."""
    out: dict[str, Any] = {"prompt": (prompt or "").strip()}
    if not out["prompt"] and picture.KEY in extra:
        out = {}  # read in the picture
    if negative and negative.strip():
        out["negative_prompt"] = negative.strip()
    if seed:
        out["seed"] = int(seed)
    out |= {"prior": prior, "guidance": method, "representation": kind} | extra
    config = _config(out)
    if config is not None and speed != "Standard" and "optimize.steps" not in extra:
        out["optimize.steps"] = quality.steps(config, speed)
    return out


def usual(kind: str) -> dict[str, str]:
    """Prior, method and representation of the form where nothing but the last is chosen: a sound has its own."""
    config = _config({"representation": kind})
    if config is None:
        return START | {"representation": kind}
    prior = str(config.prior.kind)  # type: ignore[attr-defined]
    return {"prior": prior, "guidance": str(config.guidance.method), "representation": kind}


def _config(values: dict[str, Any]) -> RunConfig | None:
    """The config of dotted keys, None where they are wrong (which is told elsewhere)."""
    try:
        return configs.from_mapping(values | {"prompt": values.get("prompt") or "a thing"})
    except Sds3dError:
        return None


def _why_not(values: dict[str, Any]) -> str:
    """Why the form cannot be run as it is, "" where it can, or where nothing was typed yet."""
    if not values.get("prompt"):
        return ""
    try:
        check_prompt(configs.from_mapping(values))
    except Sds3dError as error:
        return str(error)
    return ""


def _speeds(service: Service, kinds: dict[str, str]) -> list[tuple[str, str]]:
    config = _config(START | kinds)
    return quality.told(service.runs, config) if config else [(name, name) for name in quality.SHARES]


def _priors() -> list[str]:
    """Kinds of priors, and the models whose files are on this disk."""
    from sds3d.priors.models.places import locate
    from sds3d.priors.models.table import all_models

    return [*PRIORS, *(name for name, entry in all_models().items() if locate(entry).state == "complete")]
