"""Text tensors on disk, by content: the same words for the same text encoders are encoded once.

The key is made of the words, of everything in the tokenizers' and encoders' small files, of the weight files' headers,
sizes and first and last megabyte, and of the LoRAs and embeddings that change the text. So a second run, a resumed one
or a batch loads no text encoder. A file is written to a temporary name and renamed; a damaged one is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..assetio.files import write_atomic
from ..core.errors import AssetError
from .base import Embedded, Prior, Prompts

log = logging.getLogger(__name__)
FOLDER = "SDS3D_CACHE"
"""Environment variable: where cached text lies, instead of ~/.cache/sds3d."""
_SAMPLE = 1 << 20
_FORMAT = "1"


def cache_folder() -> Path:
    """Where cached text lies."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(FOLDER) or home / "sds3d") / "text"


def prepare(prior: Prior, prompts: Prompts) -> Embedded:
    """`prior.prepare(prompts)`, from the disk if it was done before; priors without a model folder are just asked.

    Raises:
        PromptError: as `prior.prepare`.
    """
    layout = getattr(prior, "layout", None)
    if layout is None:
        return prior.prepare(prompts)
    file = cache_folder() / f"{key(layout, prior.options, prompts)}.safetensors"  # type: ignore[attr-defined]
    found = _read(file)
    if found is None:
        found = prior.prepare(prompts)
        _write(found, file)
    device = getattr(prior, "device", "cpu")
    return Embedded({name: value.to(device) for name, value in found.tensors.items()})


def key(layout: Any, options: Any, prompts: Prompts) -> str:
    """40 hex digits over all that the text tensors depend on."""
    digest = hashlib.blake2b(digest_size=20)
    added = [one.model_dump(mode="json") for one in (*options.loras, *options.embeddings)]
    words = [_FORMAT, prompts.text, prompts.negative, prompts.view_words, options.text_precision, added]
    words += [{"source": prompts.source}] if prompts.source else []
    words += [layout.family.name, sorted((k, v) for k, v in layout.index.items() if isinstance(v, bool))]
    digest.update(json.dumps(words, ensure_ascii=True, sort_keys=True).encode())
    for file in _files(layout, options):
        digest.update(f"\0{file.parent.name}/{file.name}\0{file.stat().st_size}\0".encode())
        for part in _content(file):
            digest.update(part)
    return digest.hexdigest()


def _files(layout: Any, options: Any) -> list[Path]:
    """The files that text tensors depend on."""
    files = [] if layout.file is None else [layout.file]
    for encoder in layout.family.encoders:
        for folder in (encoder, encoder.replace("text_encoder", "tokenizer")):
            files += sorted(p for p in (layout.folder / folder).glob("*") if p.is_file())
    return files + [Path(one.file).expanduser() for one in (*options.loras, *options.embeddings)]


def _content(file: Path) -> Iterator[bytes]:
    """A small file whole; of a large one the beginning, which holds the header, and the end."""
    with file.open("rb") as stream:
        yield stream.read(_SAMPLE)
        if file.stat().st_size > _SAMPLE:
            stream.seek(-min(_SAMPLE, file.stat().st_size - _SAMPLE), os.SEEK_END)
            yield stream.read()


def _read(file: Path) -> Embedded | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        return None
    try:
        return Embedded(load_file(file))
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s) and is made again", file, error)
        return None


def _write(embedded: Embedded, file: Path) -> None:
    """Atomic; a disk that cannot be written costs the cache, not the run."""
    from safetensors.torch import save

    data = save({k: v.detach().cpu().contiguous() for k, v in embedded.tensors.items()})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, data, overwrite=True)
    except (OSError, AssetError) as error:
        log.warning("text tensors are not kept in %s: %s", file.parent, error)
