"""From words to tensors through a model's own text encoders.

The library's pipeline of the family does the encoding: templates, padding, layers and pooling are its affair. It is
built around the text encoders and the denoiser alone, for the length of one call.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.errors import PromptError, Sds3dError
from .attention import edited_tokens
from .families.base import Layout
from .weight_files import weight_paths
from .weights import load_component, quiet_loading
from .words import check_words

BIG_BYTES = 2 << 30
"""Text encoders with more weights than this are held in bfloat16 unless somebody asks otherwise."""


def text_precision(layout: Layout, name: str, asked: str) -> torch.dtype:
    """Precision of one text encoder: float32, which costs nothing for a small one that runs once."""
    if asked != "auto":
        return getattr(torch, asked)
    files = weight_paths(layout.folder / name, layout.trust)
    return torch.bfloat16 if sum(f.stat().st_size for f in files) > BIG_BYTES else torch.float32


def text_pipeline(layout: Layout, precision: str) -> Any:
    """The family's pipeline around freshly loaded text encoders, in main memory, and a denoiser without weights.

    Raises:
        Sds3dError: encoder or tokenizer cannot be loaded.
    """
    encoders = {
        name: load_component(layout, name, text_precision(layout, name, precision))
        for name in layout.family.encoders
        if name in layout.configs
    }
    return shell(layout, _without_weights(layout), encoders | load_tokenizers(layout))


def _without_weights(layout: Layout) -> Any:
    """The denoiser on the meta device: pipelines ask it for its config."""
    from .models.architecture import build, of_layout

    if "model_channels" in layout.configs[layout.family.network]:
        return None  # a published UNet that no pipeline of the library reads
    return build(of_layout(layout), layout.family.network, torch.float32)


def shell(layout: Layout, network: Any, parts: Mapping[str, Any]) -> Any:
    """The family's pipeline with these parts; what it also takes is None."""
    import diffusers

    quiet_loading()
    kind = getattr(diffusers, layout.family.pipeline)
    taken = inspect.signature(kind.__init__).parameters
    given: dict[str, Any] = {name: None for name in taken if name != "self"}
    # plain values of model_index.json are arguments, such as force_zeros_for_empty_prompt
    given |= {name: p.default for name, p in taken.items() if p.default is not inspect.Parameter.empty}
    given |= {
        name: value for name, value in layout.index.items() if name in taken and isinstance(value, bool)
    }
    given |= {layout.family.network: network, **parts}
    if "requires_safety_checker" in taken:
        given["requires_safety_checker"] = False
    return kind(**given)


def load_tokenizers(layout: Layout) -> dict[str, Any]:
    """Component name -> tokenizer.

    Raises:
        Sds3dError: one cannot be loaded.
    """
    import transformers

    out = {}
    for encoder in layout.family.encoders:
        if encoder not in layout.configs:
            continue
        name = encoder.replace("text_encoder", "tokenizer")
        folder = layout.folder / name
        kind = layout.classes().get(name, ("transformers", "AutoTokenizer"))[1]
        # the Fast twins of older libraries are the plain ones of today
        found = getattr(transformers, kind, None) or getattr(transformers, kind.removesuffix("Fast"), None)
        try:
            out[name] = (found or transformers.AutoTokenizer).from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
            raise Sds3dError(f"{folder}: the tokenizer cannot be loaded: {error}") from error
    return out


@torch.no_grad()
def embed_texts(
    layout: Layout, pipe: Any, texts: Mapping[str, str], negative: frozenset[str], device: torch.device
) -> dict[str, Tensor]:
    """Every text's tensors as "name.tensor" -> (...), floating ones in float32.

    Args:
        texts: name -> text. negative: names of those that stand for "no prompt" or an unwanted one.
    """
    out: dict[str, Tensor] = {}
    for name, text in texts.items():
        for key, value in layout.family.embed(pipe, text, name not in negative, device).items():
            out[f"{name}.{key}"] = (value.float() if value.is_floating_point() else value)[0]
    return out


def edited_words(tokenizer: Any, source: str, target: str) -> Tensor:
    """(L,) 1 at the tokens of `target`, padded as the encoder reads them, that `source` has not."""
    whole = {"padding": "max_length", "truncation": True, "max_length": tokenizer.model_max_length}
    before, after = (tokenizer(text, **whole)["input_ids"] for text in (source, target))
    return edited_tokens(before, after, frozenset(tokenizer.all_special_ids))


def check_texts(layout: Layout, tokenizers: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Refuse what the encoders cannot read whole; nothing is loaded for it.

    Raises:
        PromptError: there is no prompt, a text is longer than every one of the encoders reads, or a small model's list
            of words lacks one of it.
    """
    if not texts["y"].strip():
        raise PromptError('the prompt is empty; say what to make, such as "a photo of a fox"')
    for text in texts.values():
        for tokenizer in tokenizers.values():
            if known := word_list(tokenizer):
                check_words(text, known, int(tokenizer.model_max_length) - 2, layout.folder.name)
        _check_length(layout, tokenizers, text)


def word_list(tokenizer: Any) -> set[str]:
    """The words of a tokenizer that knows whole words alone; none of one that reads any text by its pieces."""
    backend = getattr(tokenizer, "backend_tokenizer", None)  # some tokenizers of the library are plain Python
    if type(getattr(backend, "model", None)).__name__ != "WordLevel":
        return set()
    return {word for word in tokenizer.get_vocab() if not word.startswith("<")}


def _check_length(layout: Layout, tokenizers: Mapping[str, Any], text: str) -> None:
    """A text that all encoders would cut is refused; one that the longest reads whole is not."""
    best, words = 0, 0
    for name, tokenizer in tokenizers.items():
        room = min(int(tokenizer.model_max_length), layout.family.tokens.get(name, 1 << 30))
        count = len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
        if count <= room:
            return
        bare = tokenizer(text, truncation=False, verbose=False, add_special_tokens=False)["input_ids"]
        ends = count - len(bare)
        if room - ends > best:
            best, words = room - ends, count - ends
    raise PromptError(
        f"this model reads at most {best} tokens (about {int(best * 0.75)} words), this text has {words}; "
        f'shorten it: "{text}"'
    )
