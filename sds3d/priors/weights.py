"""Loading the components of a model: from its folder, or from a single-file checkpoint (weight_files.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import Sds3dError
from .quantize import is_gguf, library_config
from .trust import LIBRARIES, NOTHING, Trust, own_class, refuse_code
from .weight_files import PICKLE, SAFE, held_by, read_tensors, tensor_names, variant_of, weight_paths

if TYPE_CHECKING:
    from .families.base import Layout

_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)
"""What the libraries raise for a file that does not fit."""


def load_component(layout: Layout, name: str, dtype: torch.dtype, quantize: str = "none") -> Any:
    """A frozen component in that precision, in evaluation mode: from the single file if it holds it.

    Args:
        quantize: a key of quantize.SCHEMES, or "none".

    Raises:
        Sds3dError: files are missing or broken, or hold no such component.
    """
    library, kind = layout.classes()[name]
    model = class_of(layout, name, library, kind)
    if layout.file is not None:
        held = held_by(tensor_names(layout.file, layout.trust)) | {layout.family.network}
        if name in held:
            return _from_single_file(layout, layout.file, model, library, name, dtype, quantize)
    return load_part(model, layout.folder / name, dtype, layout.trust, quantize)


def load_part(
    model: Any, part: Path, dtype: torch.dtype, trust: Trust = NOTHING, quantize: str = "none"
) -> Any:
    """A frozen component of that class with all its weights from its own folder.

    Raises:
        Sds3dError: files are missing or broken.
    """
    # without safetensors there are pickles that are allowed, or check_folder would not have let it pass
    ending = PICKLE if variant_of(part) is None and weight_paths(part, trust) else SAFE
    try:
        loaded, report = model.from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=ending == SAFE,
            variant=variant_of(part, ending) or None,
            output_loading_info=True,
            torch_dtype=dtype,
            **_quantized(library_config(quantize, dtype)),
        )
    except _BROKEN as error:
        raise Sds3dError(f"{part}: the model cannot be loaded: {_first_line(error)}") from error
    # both libraries would fill the gap with random numbers and go on
    _refuse_missing(sorted(report["missing_keys"]), part)
    return frozen(loaded)


def _quantized(config: Any) -> dict[str, Any]:
    return {} if config is None else {"quantization_config": config}


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

    files = [layout.file] if layout.file is not None else weight_paths(layout.folder / name, layout.trust)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_tensors(file, layout.trust)
    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(dict(config))
    try:
        result = network.load_state_dict(dict(rename(tensors, config)), strict=False, assign=True)
    except _BROKEN as error:
        raise Sds3dError(f"{files[0]}: does not fit its config: {_first_line(error)}") from error
    _refuse_missing(sorted(result.missing_keys), files[0])
    return frozen(network.to(dtype))


def _from_single_file(
    layout: Layout, file: Path, model: Any, library: str, name: str, dtype: torch.dtype, quantize: str
) -> Any:
    """A component of a single-file checkpoint; configs from the folder beside it."""
    config = layout.folder
    try:
        if library == "transformers":
            loaded = _text_encoder_from(layout, file, model, name, dtype)
        elif not hasattr(model, "from_single_file"):
            loaded = _by_the_librarys_names(layout, file, model, name, dtype)
        else:
            loaded = model.from_single_file(
                str(file),
                config=str(config),
                subfolder=name,
                local_files_only=True,
                torch_dtype=dtype,
                **_quantized(_file_config(file, name, layout, dtype, quantize)),
            )
    except _BROKEN as error:
        raise Sds3dError(
            f"{file}: its {name} does not fit the config in {config / name}: {_first_line(error)}. prior.folder "
            "must be of the same architecture as prior.file."
        ) from error
    absent = [n for n, p in loaded.named_parameters() if p.device.type == "meta"]
    _refuse_missing(absent, file)
    return frozen(loaded)


def _by_the_librarys_names(layout: Layout, file: Path, model: Any, name: str, dtype: torch.dtype) -> Any:
    """A component of a class that the library reads from folders only, from a file in that class's own names."""
    # built with its numbers, not without: tables of positions are computed then and are in no file
    network = model.from_config(dict(layout.configs[name]))
    result = network.load_state_dict(read_tensors(file, layout.trust), strict=False)
    _refuse_missing(sorted(result.missing_keys), file)
    return network.to(dtype)


def _file_config(file: Path, name: str, layout: Layout, dtype: torch.dtype, quantize: str) -> Any:
    """How a single file's component is quantised: already, as the options say, or not."""
    if is_gguf(str(file)) and name == layout.family.network:
        from diffusers import GGUFQuantizationConfig

        return GGUFQuantizationConfig(compute_dtype=dtype)
    return library_config(quantize, dtype)


def _text_encoder_from(layout: Layout, file: Path, model: Any, name: str, dtype: torch.dtype) -> Any:
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    return create_diffusers_clip_model_from_ldm(
        model,
        checkpoint=read_tensors(file, layout.trust),
        subfolder=name,
        config=str(layout.folder),
        torch_dtype=dtype,
        local_files_only=True,
    )


def class_of(layout: Layout, part: str, library: str, kind: str) -> Any:
    """The class of a component: of diffusers or transformers, or the model's own where that is trusted by name.

    Raises:
        Sds3dError: code that nobody trusted, or a name that the installed version does not have.
    """
    import importlib

    if library not in LIBRARIES:
        if not layout.trust.runs(layout.folder):
            raise Sds3dError(refuse_code(layout.folder, library, kind))
        return own_class(layout.folder, part, library, kind)
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
