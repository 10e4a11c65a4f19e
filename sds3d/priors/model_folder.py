"""What a model folder holds, told from its small files alone.

Reads JSON and the headers of safetensors files, so the answer comes at second 0, before gigabytes are loaded.
Layout: the `save_pretrained` form of diffusers' pipelines.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from ..core.errors import MissingPackageError, Sds3dError
from .families.base import Family, Layout
from .family_table import differences, families, family_of, parts_of, pipeline_name, wanted_parts
from .trust import LIBRARIES, NOTHING, PICKLED, Trust, refuse_code, refuse_pickle
from .weight_files import SAFE, header_names, held_by, missing_weights, tensor_names, weight_paths

_EXAMPLE = "hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --local-dir stable-diffusion-v1-5"
_LORA = ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up")


def check_folder(
    folder: str | Path, file: str | Path | None = None, side: int | None = None, trust: Trust = NOTHING
) -> Layout:
    """Accept a complete folder of a known family with safetensors weights.

    Args:
        folder: on this disk, with model_index.json. file: a single-file checkpoint that replaces the weights in the
            folder; what it does not hold is read from there. side: of the pictures in pixels, None for what the
            model was trained at. trust: pickles and code that may be read.

    Raises:
        Sds3dError: says which file is missing, broken or pickled, or which parts make it another model.
    """
    folder = Path(folder).expanduser()
    _check_place(folder)
    index = read_json(folder / "model_index.json")
    family = _pick(folder, index)
    single = None if file is None else Path(file).expanduser()
    held = _check_file(single, family, trust) if single is not None else set[str]()
    parts = [name for name in wanted_parts(family) if name in parts_of(index)]
    _check_code(folder, family, index, parts, trust)
    _check_files(folder, family, parts, held, trust)
    configs = {name: read_json(folder / name / "config.json") for name in parts}
    configs["scheduler"] = read_json(folder / "scheduler/scheduler_config.json")
    size = family.size(configs) if side is None else (side, side)
    reasons = family.objections(configs)
    if size is None:
        reasons.append(f"{family.network}/config.json does not tell its sample_size; set prior.size")
    if reasons or size is None:
        raise Sds3dError(f"{folder}: not a plain {family.name} model: {'; '.join(reasons)}.")
    layout = Layout(folder, family, index, configs, size, single, trust)
    _check_size(layout)
    _check_schedule(layout)
    return layout


def weight_files_of(layout: Layout) -> list[Path]:
    """The weight files that a model is read from."""
    files = [] if layout.file is None else [layout.file]
    replaced = set[str]() if layout.file is None else _replaced(layout.file, layout.family, layout.trust)
    for name in wanted_parts(layout.family):
        if name in layout.configs and name not in replaced:
            files += weight_paths(layout.folder / name, layout.trust)
    return files


def read_json(file: Path) -> dict[str, Any]:
    """A JSON mapping.

    Raises:
        Sds3dError: it is no file, no JSON, or no mapping.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Sds3dError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise Sds3dError(f"{file}: holds a JSON {type(value).__name__}, expected a mapping; fetch it again.")
    return value


def _check_place(folder: Path) -> None:
    if folder.is_file():
        kind = "is a pickle; nothing is read from it" if folder.suffix in PICKLED else "is one file"
        raise Sds3dError(
            f"{folder} {kind}; prior.folder wants a folder with model_index.json and a subfolder for each part. A "
            "single-file checkpoint holds neither tokenizer nor configs: set prior.file to it and prior.folder to a "
            f"folder of the model that it was made from, such as: {_EXAMPLE}"
        )
    if not folder.is_dir():
        raise Sds3dError(
            f"prior.folder: there is no folder {folder}. `sds3d models` lists the models that have a name here; any "
            f"other is fetched first, such as with: {_EXAMPLE} (a gated model: accept its licence on its page and run "
            "`hf auth login` before)"
        )
    if not (folder / "model_index.json").is_file():
        raise Sds3dError(
            f"{folder}: not a model folder, missing: model_index.json. It holds: "
            f"{', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )


def _pick(folder: Path, index: dict[str, Any]) -> Family:
    """The family, its parts being of the right classes."""
    name, family = pipeline_name(index), family_of(index)
    found = ", ".join(f"{part}: {kind}" for part, kind in sorted(parts_of(index).items())) or "no parts"
    if family is None:
        known = "; ".join(f"{f.name} ({', '.join(f.pipelines)})" for f in families().values())
        raise Sds3dError(f"{folder}: {name} is of no known family. Found {found}. Supported: {known}.")
    wrong = differences(family, index)
    if wrong:
        wanted = ", ".join(f"{part}: {classes[0]}" for part, classes in wanted_parts(family).items())
        raise Sds3dError(
            f"{folder}: not a plain {family.name} folder ({name}; what differs: {', '.join(wrong)}). Found {found}. "
            f"Supported: {wanted}."
        )
    return family


def _check_code(folder: Path, family: Family, index: dict[str, Any], parts: list[str], trust: Trust) -> None:
    """Parts that only code of the model's own could read."""
    for part in parts:
        library, kind = (str(word) for word in index[part])
        if library not in LIBRARIES and kind not in family.converted and not trust.runs(folder):
            raise Sds3dError(refuse_code(folder, library, kind))


def _check_file(file: Path, family: Family, trust: Trust) -> set[str]:
    """The components that a single-file checkpoint replaces."""
    if not file.is_file():
        raise Sds3dError(f"prior.file: there is no file {file}.")
    if file.suffix in PICKLED and not trust.allows(file):
        raise Sds3dError(refuse_pickle(file))
    names = tensor_names(file, trust)
    if any(mark in name for name in names for mark in _LORA):
        raise Sds3dError(f"{file} is a LoRA, not a whole model; set prior.loras to it instead of prior.file.")
    if not names:
        raise Sds3dError(f"{file}: holds no tensors; fetch it again.")
    return _replaced(file, family, trust)


def _replaced(file: Path, family: Family, trust: Trust) -> set[str]:
    return {family.network, *held_by(tensor_names(file, trust))} & set(wanted_parts(family))


def _check_files(folder: Path, family: Family, parts: list[str], held: set[str], trust: Trust) -> None:
    """Every file must be there, and each safetensors file whole; pickles that are allowed are only there."""
    wanted = [f"{part}/config.json" for part in parts] + ["scheduler/scheduler_config.json"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    tokenizers = [part.replace("text_encoder", "tokenizer") for part in parts if part in family.encoders]
    for tokenizer in tokenizers:
        missing += _missing_words(folder / tokenizer)
    for part in parts:
        if part not in held:
            missing += missing_weights(folder / part, trust)
    if missing:
        raise Sds3dError(f"{folder}: not a complete model folder, missing: {', '.join(missing)}")
    for tokenizer in tokenizers:
        for words in (folder / tokenizer).glob("*.json"):
            if words.name != "tokenizer.json":
                read_json(words)
    for part in parts:
        for file in weight_paths(folder / part, trust) if part not in held else []:
            if file.suffix == SAFE:
                header_names(file)


def _missing_words(tokenizer: Path) -> list[str]:
    """Files that a tokenizer's folder lacks.

    Raises:
        MissingPackageError: its words are in a form that needs a package to be read.
    """
    if (tokenizer / "tokenizer.json").is_file():
        return []
    pieces = [name for name in ("spiece.model", "tokenizer.model") if (tokenizer / name).is_file()]
    if pieces:
        if importlib.util.find_spec("sentencepiece") is None:
            raise MissingPackageError(
                "sentencepiece",
                f"the tokenizer {tokenizer / pieces[0]}",
                "pip install sentencepiece protobuf",
            )
        return []
    words = [f"{tokenizer.name}/{name}" for name in ("vocab.json", "merges.txt")]
    return [name for name in words if not (tokenizer.parent / name).is_file()]


def _check_schedule(layout: Layout) -> None:
    """A scheduler of the wrong kind would show the network noise that it has never seen."""
    schedule, _ = layout.family.schedule(layout)
    if schedule.kind == layout.family.noise:
        return
    kinds = {"vp": "variance preserving (beta_schedule)", "rf": "a rectified flow (flow_prediction)"}
    name = layout.configs["scheduler"].get("_class_name", "without a name")
    raise Sds3dError(
        f"{layout.folder / 'scheduler'}: the scheduler {name} is {kinds[schedule.kind]}, but {layout.family.name} "
        f"models are {kinds[layout.family.noise]}. Fetch scheduler_config.json of the same model."
    )


def _check_size(layout: Layout) -> None:
    """The transformer's patches and the autoencoder's cells must fill the picture."""
    cell = layout.family.factor(layout.configs) * layout.family.multiple
    for pixels in layout.size:
        if pixels % cell:
            near = max(1, round(pixels / cell)) * cell
            raise Sds3dError(
                f"prior.size: {pixels} is not a multiple of {cell}, the pixels of one latent cell; the nearest is "
                f"{near}."
            )
