"""Weight files of a model: finding them, checking them by their headers, loading a component from them.

A component (UNet, autoencoder, text encoder …) lies in its subfolder as one safetensors file, a half precision one or
several shards with an index; or in a single-file checkpoint together with others, under the names of its makers.
Pickled weights are refused: opening one can run any program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import Sds3dError

if TYPE_CHECKING:
    from .families.base import Layout

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")

_VARIANTS = ("", ".fp16", ".bf16")
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)
"""What the libraries raise for a file that does not fit."""

_OWNERS = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
}
"""Component -> how its tensors' names begin in single-file checkpoints."""


def stem_of(part: Path) -> str:
    """What the weight files in a component's folder are called."""
    return "model" if part.name.startswith("text_encoder") else "diffusion_pytorch_model"


def variant_of(part: Path) -> str | None:
    """ "" for plain files, "fp16" or "bf16" where only those are there, None where there are none."""
    stem = stem_of(part)
    for variant in _VARIANTS:
        names = (f"{stem}{variant}.safetensors", _index_name(stem, variant))
        if any((part / name).is_file() for name in names):
            return variant.removeprefix(".")
    return None


def weight_paths(part: Path) -> list[Path]:
    """The safetensors files of a component's folder, [] where there are none.

    Raises:
        Sds3dError: the index of the shards cannot be read.
    """
    variant = variant_of(part)
    if variant is None:
        return []
    stem, middle = stem_of(part), f".{variant}" if variant else ""
    single = part / f"{stem}{middle}.safetensors"
    if single.is_file():
        return [single]
    index = part / _index_name(stem, middle)
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise Sds3dError(f"{index}: cannot be read as the index of weight files: {error}") from error
    return [part / name for name in sorted(set(shards))]


def _index_name(stem: str, variant: str) -> str:
    return f"{stem}.safetensors.index{variant}.json"


def missing_weights(part: Path) -> list[str]:
    """What is missing in a component's folder, as "unet/diffusion_pytorch_model.safetensors".

    Raises:
        Sds3dError: there are only pickled weights.
    """
    paths = weight_paths(part)
    if paths:
        return [f"{part.name}/{p.name}" for p in paths if not p.is_file()]
    pickled = sorted(p.name for p in part.glob("*") if p.suffix in PICKLED)
    if pickled:
        raise Sds3dError(refuse_pickle(part / pickled[0]))
    return [f"{part.name}/{stem_of(part)}.safetensors"]


def refuse_pickle(file: Path) -> str:
    """The message."""
    return (
        f"{file}: refused, it is a pickle, and opening one can run any program that its maker put in. Weights are "
        "read from .safetensors files only: fetch those of the same model."
    )


def header_names(file: Path) -> list[str]:
    """Names of the tensors of a safetensors file; the sizes in its header must add up to the file's.

    Raises:
        Sds3dError: it is cut off, a git-lfs pointer, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        hint = " It is a git-lfs pointer, not the weights." if _is_pointer(file) else ""
        raise Sds3dError(
            f"{file}: broken or only partly downloaded ({error}).{hint} Fetch it again."
        ) from error


def _is_pointer(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(64).startswith(b"version https://git-lfs")


def held_by(names: Iterable[str]) -> set[str]:
    """The components, beside the denoiser, whose tensors a single file holds, told by how their names begin."""
    begins = list(names)
    return {part for part, prefixes in _OWNERS.items() if any(name.startswith(prefixes) for name in begins)}


def load_component(layout: Layout, name: str, dtype: torch.dtype) -> Any:
    """A frozen component in that precision, in evaluation mode: from the single file if it holds it.

    Raises:
        Sds3dError: files are missing or broken, or hold no such component.
    """
    library, kind = layout.classes()[name]
    model = _class(library, kind)
    if layout.file is not None:
        held = held_by(header_names(layout.file)) | {layout.family.network}
        if name in held:
            return _from_single_file(layout.file, model, library, layout.folder, name, dtype)
    return load_part(model, layout.folder / name, dtype)


def load_part(model: Any, part: Path, dtype: torch.dtype) -> Any:
    """A frozen component of that class with all its weights from its own folder.

    Raises:
        Sds3dError: files are missing or broken.
    """
    try:
        loaded, report = model.from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=True,
            variant=variant_of(part) or None,
            output_loading_info=True,
            torch_dtype=dtype,
        )
    except _BROKEN as error:
        raise Sds3dError(f"{part}: the model cannot be loaded: {_first_line(error)}") from error
    # both libraries would fill the gap with random numbers and go on
    _refuse_missing(sorted(report["missing_keys"]), part)
    return frozen(loaded)


def load_converted(
    layout: Layout,
    name: str,
    config: Mapping[str, Any],
    rename: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Mapping[str, Tensor]],
    dtype: torch.dtype,
) -> Any:
    """A UNet2DConditionModel of that config, its tensors renamed from the layout's file or the component's folder.

    Raises:
        Sds3dError: names or shapes do not fit.
    """
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file

    files = [layout.file] if layout.file is not None else weight_paths(layout.folder / name)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= load_file(file)
    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(dict(config))
    try:
        result = network.load_state_dict(dict(rename(tensors, config)), strict=False, assign=True)
    except _BROKEN as error:
        raise Sds3dError(f"{files[0]}: does not fit its config: {_first_line(error)}") from error
    _refuse_missing(sorted(result.missing_keys), files[0])
    return frozen(network.to(dtype))


def _from_single_file(
    file: Path, model: Any, library: str, config: Path, name: str, dtype: torch.dtype
) -> Any:
    """A component of a single-file checkpoint; configs from the folder beside it."""
    try:
        if library == "transformers":
            loaded = _text_encoder_from(file, model, config, name, dtype)
        else:
            loaded = model.from_single_file(
                str(file), config=str(config), subfolder=name, local_files_only=True, torch_dtype=dtype
            )
    except _BROKEN as error:
        raise Sds3dError(
            f"{file}: its {name} does not fit the config in {config / name}: {_first_line(error)}. prior.folder "
            "must be of the same architecture as prior.file."
        ) from error
    absent = [n for n, p in loaded.named_parameters() if p.device.type == "meta"]
    _refuse_missing(absent, file)
    return frozen(loaded)


def _text_encoder_from(file: Path, model: Any, config: Path, name: str, dtype: torch.dtype) -> Any:
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
    from safetensors.torch import load_file

    return create_diffusers_clip_model_from_ldm(
        model,
        checkpoint=load_file(file),
        subfolder=name,
        config=str(config),
        torch_dtype=dtype,
        local_files_only=True,
    )


def _class(library: str, kind: str) -> Any:
    """A class of diffusers or transformers by its name.

    Raises:
        Sds3dError: another library, or a name that the installed version does not have.
    """
    import importlib

    if library not in ("diffusers", "transformers"):
        raise Sds3dError(
            f"model_index.json names the class {kind} of {library!r}, code that would come with the model; "
            "it is not run. Only classes of diffusers and transformers are."
        )
    module = importlib.import_module(library)
    if not hasattr(module, kind):
        raise Sds3dError(
            f"model_index.json names {library}.{kind}, which the installed {library} {module.__version__} does not "
            f"have; update it with: pip install -U {library}"
        )
    return getattr(module, kind)


def _refuse_missing(absent: list[str], place: Path) -> None:
    if absent:
        some = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
        raise Sds3dError(f"{place}: {len(absent)} weights are not in the file: {some}; fetch it again.")


def _first_line(error: BaseException) -> str:
    """A library's message without its advice to go online."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def frozen(model: Any) -> Any:
    """The model in evaluation mode, gradients off."""
    return model.eval().requires_grad_(False)


def quiet_loading() -> None:
    """Loading needs no progress bar of its own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
