"""The image of Create: kept for its person, cut out to be looked at, and read where nothing was typed."""

# annotations stay values here: gradio looks for gr.Request among them, and gradio is imported late
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sds3d.assetio.photo import MOST_BYTES, SUFFIXES
from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.jobs.reference_options import ReferenceOptions
from sds3d.jobs.referencing import READS, captions_of, cutout_of, words_of

from .. import page
from ..service import Service

KEY = "reference.image"
_SIDE = 192


def field(gr: Any, service: Service, values: Any, prompt: Any) -> None:
    """The widgets: a file, what was cut out of it, and what was read in it.

    Args:
        values: state of the form's dotted keys, where the picture is kept. prompt: filled in where it is empty.
    """
    with gr.Accordion("Image", open=False, elem_id="image-prompt"):
        file = gr.File(
            label="Picture of one object, seen from the front (PNG, JPEG, WebP)", file_types=list(SUFFIXES),
            elem_id="image", height=110,
        )  # fmt: skip
        shown = gr.Image(
            label="What is followed", height=_SIDE, visible=False, interactive=False, elem_id="image-shown",
            buttons=["fullscreen"],
        )  # fmt: skip
        remove = gr.Button("Remove the picture", size="sm", elem_id="image-remove")
        told = gr.HTML(
            page.note(
                "The object looks like the picture from one side, the prompt says the rest. On an even background it "
                "is cut out; else bring a PNG with transparency. Its camera and weight are under Advanced."
            ),
            elem_id="image-told",
        )
    quiet: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}

    def on_upload(path: str, typed: str, known: dict[str, Any], request: gr.Request) -> tuple[Any, ...]:
        try:
            kept = keep(service, page.who(request), Path(path))
            options = ReferenceOptions(image=str(kept))
            picture = seen(options)
            read = [] if (typed or "").strip() else captions_of(options, _words(known))
        except Sds3dError as error:
            return without(known), gr.update(visible=False, value=None), page.note(str(error)), gr.skip()
        others = f"Read in it: {', or '.join(read)}. Change the prompt if that is wrong." if read else ""
        known = {**known, KEY: str(kept)}
        return (
            known,
            gr.update(visible=True, value=picture),
            page.note(others),
            read[0] if read else gr.skip(),
        )

    def on_clear(known: dict[str, Any]) -> tuple[Any, ...]:
        return without(known), gr.update(visible=False, value=None), ""

    def on_remove(known: dict[str, Any]) -> tuple[Any, ...]:
        return (*on_clear(known), None)

    file.upload(on_upload, [file, prompt, values], [values, shown, told, prompt], **quiet)
    file.clear(on_clear, values, [values, shown, told], **quiet)
    remove.click(on_remove, values, [values, shown, told, file], **quiet)


def keep(service: Service, who: str, path: Path) -> Path:
    """An uploaded picture, kept as this person's other uploads are.

    Raises:
        ConfigError: it is too large for a picture, or of another type.
    """
    if path.suffix.lower() not in SUFFIXES or path.stat().st_size > MOST_BYTES:
        raise ConfigError(
            f"pictures are {', '.join(SUFFIXES)} files of at most {MOST_BYTES >> 20} MB", file=path.name
        )
    return service.upload(who, path.name, path.read_bytes())


def seen(options: ReferenceOptions) -> Any:
    """(side, side, 4) uint8: the object without what was behind it.

    Raises:
        AssetError: the picture cannot be used.
    """
    import torch

    found = cutout_of(options).at(_SIDE)
    color = found.color / found.alpha.clamp_min(1e-3)
    layers = torch.cat([color, found.alpha]).clamp(0, 1).permute(1, 2, 0)
    return (layers * 255).round().to(torch.uint8).numpy()


def _words(known: dict[str, Any]) -> Collection[str] | None:
    """What the chosen prior reads, if that is the model in the box."""
    if known.get("prior", READS) != READS:
        return None
    told = {key.removeprefix("prior."): value for key, value in known.items() if key.startswith("prior.")}
    return words_of({"kind": READS} | told)


def without(known: dict[str, Any]) -> dict[str, Any]:
    """The form's keys without those of a picture."""
    return {key: value for key, value in known.items() if not key.startswith("reference")}
