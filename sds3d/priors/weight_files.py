"""Weight files of a model: finding them, and checking them by their headers alone.

A component (UNet, autoencoder, text encoder …) lies in its subfolder as one safetensors file, a half precision one or
several shards with an index; or in a single-file checkpoint together with others, under the names of its makers.
Pickled weights are read only where the user named them (trust.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ..core.errors import Sds3dError
from .trust import NOTHING, PICKLED, Trust, read_pickle, refuse_pickle

SAFE, PICKLE = ".safetensors", ".bin"
_VARIANTS = ("", ".fp16", ".bf16")
_OWNERS = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
}
"""Component -> how its tensors' names begin in single-file checkpoints."""


def stem_of(part: Path, ending: str = SAFE) -> str:
    """What the weight files in a component's folder are called, in safetensors or pickled form."""
    if not part.name.startswith("text_encoder"):
        return "diffusion_pytorch_model"
    return "model" if ending == SAFE else "pytorch_model"


def variant_of(part: Path, ending: str = SAFE) -> str | None:
    """ "" for plain files, "fp16" or "bf16" where only those are there, None where there are none."""
    stem = stem_of(part, ending)
    for variant in _VARIANTS:
        names = (f"{stem}{variant}{ending}", _index_name(stem, variant, ending))
        if any((part / name).is_file() for name in names):
            return variant.removeprefix(".")
    return None


def weight_paths(part: Path, trust: Trust = NOTHING) -> list[Path]:
    """The weight files of a component's folder, [] where there are none: safetensors, else pickles that are allowed.

    Raises:
        Sds3dError: the index of the shards cannot be read.
    """
    safe = _paths(part, SAFE)
    if safe:
        return safe
    pickled = _paths(part, PICKLE)
    return pickled if all(trust.allows(path) for path in pickled) else []


def _paths(part: Path, ending: str) -> list[Path]:
    variant = variant_of(part, ending)
    if variant is None:
        return []
    stem, middle = stem_of(part, ending), f".{variant}" if variant else ""
    single = part / f"{stem}{middle}{ending}"
    if single.is_file():
        return [single]
    index = part / _index_name(stem, middle, ending)
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise Sds3dError(f"{index}: cannot be read as the index of weight files: {error}") from error
    return [part / name for name in sorted(set(shards))]


def _index_name(stem: str, variant: str, ending: str) -> str:
    return f"{stem}{ending}.index{variant}.json"


def missing_weights(part: Path, trust: Trust = NOTHING) -> list[str]:
    """What is missing in a component's folder, as "unet/diffusion_pytorch_model.safetensors".

    Raises:
        Sds3dError: there are only pickled weights, and nobody allowed them.
    """
    paths = weight_paths(part, trust)
    if paths:
        return [f"{part.name}/{p.name}" for p in paths if not p.is_file()]
    pickled = _paths(part, PICKLE) or sorted(p for p in part.glob("*") if p.suffix in PICKLED)
    if pickled:
        names = ", ".join(f"{part.name}/{p.name}" for p in pickled if not trust.allows(p))
        raise Sds3dError(refuse_pickle(pickled[0], names or None))
    return [f"{part.name}/{stem_of(part)}{SAFE}"]


def tensor_names(file: Path, trust: Trust = NOTHING) -> list[str]:
    """Names of the tensors of a weight file, from its header; a pickle that is allowed is read whole.

    Raises:
        Sds3dError: it is cut off, a git-lfs pointer, something else, or a pickle that nobody allowed.
    """
    if file.suffix in PICKLED:
        if not trust.allows(file):
            raise Sds3dError(refuse_pickle(file))
        return list(read_pickle(file))
    return _gguf_names(file) if file.suffix.lower() == ".gguf" else header_names(file)


def read_tensors(file: Path, trust: Trust = NOTHING) -> dict[str, Tensor]:
    """Name -> tensor of a safetensors file, or of a pickle that is allowed; errors as `tensor_names`."""
    from safetensors.torch import load_file

    if file.suffix not in PICKLED:
        return load_file(file)
    if not trust.allows(file):
        raise Sds3dError(refuse_pickle(file))
    return read_pickle(file)


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


def _gguf_names(file: Path) -> list[str]:
    """Names of the tensors of a GGUF file."""
    from .quantize import need

    need("gguf", f"the file {file}", "pip install gguf")
    from gguf import GGUFReader

    try:
        return [str(tensor.name) for tensor in GGUFReader(file).tensors]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise Sds3dError(f"{file}: broken or only partly downloaded ({error}). Fetch it again.") from error


def _is_pointer(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(64).startswith(b"version https://git-lfs")


def held_by(names: Iterable[str]) -> set[str]:
    """The components, beside the denoiser, whose tensors a single file holds, told by how their names begin."""
    begins = list(names)
    return {part for part, prefixes in _OWNERS.items() if any(name.startswith(prefixes) for name in begins)}
