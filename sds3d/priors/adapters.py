"""A user's own additions to a model: LoRAs, fused into its weights, and textual inversion embeddings.

The library reads all the forms that trainers write; here the files are checked first, and every tensor must find its
place. A LoRA's part for the text encoders is applied when the words are encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from torch import Tensor

from ..config.options import Options as BaseOptions
from ..core.errors import MissingPackageError, Sds3dError
from .families.base import Layout
from .texts import shell
from .weight_files import read_tensors, tensor_names

_TEXT = ("text_encoder", "lora_te")
"""How the names of a LoRA's tensors for text encoders begin."""
_MARKS = ("lora", "hada_", "lokr_", "dora_scale", "diff_b")
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)


class LoraOptions(BaseOptions):
    """A low-rank change of a model's weights."""

    file: str = Field(min_length=1)
    """Its .safetensors file."""
    scale: float = 1.0
    """Strength; 0 leaves the model as it is."""


class EmbeddingOptions(BaseOptions):
    """A word that the text encoders learn from a file (textual inversion)."""

    file: str = Field(min_length=1)
    """Its .safetensors file."""
    token: str | None = None
    """The word to write in prompts; by default the one in the file, or the file's name."""


def _as_file(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


Lora = Annotated[LoraOptions, BeforeValidator(_as_file)]
"""A LoRA; a plain word is its file."""
Embedding = Annotated[EmbeddingOptions, BeforeValidator(_as_file)]
"""A textual inversion; a plain word is its file."""


def check_additions(
    layout: Layout, loras: tuple[LoraOptions, ...], words: tuple[EmbeddingOptions, ...]
) -> None:
    """Refuse at second 0 what could not be applied later.

    Raises:
        Sds3dError: a file is missing, broken, pickled or no LoRA, or the family takes none.
        MissingPackageError: the library that applies LoRAs is not installed.
    """
    for what, asked in (("prior.loras", loras), ("prior.embeddings", words)):
        for one in asked:
            file = Path(one.file).expanduser()
            if not file.is_file():
                raise Sds3dError(f"{what}: there is no file {file}.")
            names = tensor_names(file, layout.trust)
            if what == "prior.loras" and not any(mark in name for name in names for mark in _MARKS):
                raise Sds3dError(
                    f"{file}: holds no LoRA; its first tensor is {names[0] if names else 'none'}."
                )
    if loras:
        _need_lora_support(layout)
    if words and not hasattr(_pipeline_class(layout), "load_textual_inversion"):
        raise Sds3dError(f"prior.embeddings: {layout.family.name} models take no textual inversion.")


def _pipeline_class(layout: Layout) -> Any:
    import diffusers

    return getattr(diffusers, layout.family.pipeline)


def _need_lora_support(layout: Layout) -> None:
    import importlib.util

    if not hasattr(_pipeline_class(layout), "load_lora_weights"):
        raise Sds3dError(f"prior.loras: the library applies no LoRAs to {layout.family.name} models.")
    if importlib.util.find_spec("peft") is None:
        raise MissingPackageError("peft", "prior.loras", "pip install peft")


def fuse_loras(layout: Layout, network: Any, loras: tuple[LoraOptions, ...]) -> None:
    """Add the LoRAs' changes to the denoiser's weights, for good.

    Raises:
        Sds3dError: a LoRA is for another architecture.
    """
    for lora in loras:
        tensors = _split(layout, lora)[0]
        if not tensors:
            continue
        before = _fingerprint(network)
        pipe = shell(layout, network, {})
        _load(pipe, tensors, lora, layout.family.network)
        if lora.scale and _fingerprint(network) == before:
            raise Sds3dError(
                f"{lora.file}: changes nothing in this {layout.family.name} model; it is for another."
            )


def _load(pipe: Any, tensors: Mapping[str, Tensor], lora: LoraOptions, part: str) -> None:
    try:
        pipe.load_lora_weights(dict(tensors))
        pipe.fuse_lora(components=[part], lora_scale=lora.scale)
        pipe.unload_lora_weights()
    except _BROKEN as error:
        line = str(error).strip().splitlines()
        raise Sds3dError(
            f"{lora.file}: does not fit this model: {line[0] if line else type(error).__name__}. A LoRA must be made "
            "for the same architecture."
        ) from error


def _fingerprint(network: Any) -> tuple[float, ...]:
    """Sums over the first numbers of every weight: a product of two thin matrices moves them all."""
    return tuple(float(p.detach().flatten()[:4096].double().abs().sum()) for p in network.parameters())


def _split(layout: Layout, lora: LoraOptions) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A LoRA's tensors for the denoiser and for the text encoders."""
    tensors = read_tensors(Path(lora.file).expanduser(), layout.trust)
    text = {name: value for name, value in tensors.items() if name.startswith(_TEXT)}
    return {name: value for name, value in tensors.items() if name not in text}, text


def change_texts(
    layout: Layout, pipe: Any, loras: tuple[LoraOptions, ...], words: tuple[EmbeddingOptions, ...]
) -> None:
    """Apply what concerns text encoders and tokenizers to a pipeline that holds them.

    Raises:
        Sds3dError: a file is for another architecture.
    """
    for lora in loras:
        tensors = _split(layout, lora)[1]
        encoders = [name for name in layout.family.encoders if _concerns(tensors, name)]
        for encoder in encoders:
            _load_text(pipe, tensors, lora, encoder)
    for word in words:
        _learn_word(layout, pipe, word)


def _concerns(tensors: Mapping[str, Tensor], encoder: str) -> bool:
    """Whether a LoRA has tensors for that encoder, by the names that trainers give it."""
    number = {"text_encoder": ("1", ""), "text_encoder_2": ("2",), "text_encoder_3": ("3",)}[encoder]
    begins = (f"{encoder}.", *(f"lora_te{n}_" for n in number))
    return any(name.startswith(begins) for name in tensors)


def _load_text(pipe: Any, tensors: Mapping[str, Tensor], lora: LoraOptions, encoder: str) -> None:
    before = _fingerprint(getattr(pipe, encoder))
    _load(pipe, tensors, lora, encoder)
    if lora.scale and _fingerprint(getattr(pipe, encoder)) == before:
        raise Sds3dError(f"{lora.file}: its part for {encoder} changes nothing; it is for another model.")


def _learn_word(layout: Layout, pipe: Any, word: EmbeddingOptions) -> None:
    """A textual inversion; those of two encoders (SDXL) hold one table for each."""
    file = Path(word.file).expanduser()
    tensors = read_tensors(file, layout.trust)
    if "string_to_param" in tensors:  # the pickled form of an older trainer
        tensors = {"emb_params": next(iter(tensors["string_to_param"].values()))}
    pairs = {"text_encoder": ("clip_l", "tokenizer"), "text_encoder_2": ("clip_g", "tokenizer_2")}
    try:
        for encoder, (name, tokenizer) in pairs.items():
            if name in tensors and encoder in layout.family.encoders:
                pipe.load_textual_inversion(
                    tensors[name],
                    token=word.token or file.stem,
                    text_encoder=getattr(pipe, encoder),
                    tokenizer=getattr(pipe, tokenizer),
                )
        if not {"clip_l", "clip_g"} & set(tensors):
            token = word.token or (file.stem if len(tensors) != 1 or "emb_params" in tensors else None)
            pipe.load_textual_inversion(dict(tensors), token=token)
    except _BROKEN as error:
        line = str(error).strip().splitlines()
        raise Sds3dError(
            f"{file}: is no textual inversion for this model: {line[0] if line else error}"
        ) from error
