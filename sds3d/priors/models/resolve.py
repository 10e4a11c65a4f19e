"""From what a config says of a model (a name, a folder, a file) to the folder and files that a prior reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ...core.errors import Sds3dError
from ..trust import PICKLED
from ..weight_files import tensor_names
from .entry import ModelEntry, Repository
from .fetch import fetch
from .needed import family_of_entry
from .offline import is_offline, not_here
from .places import Found, base_of, locate, snapshot
from .table import ModelError, all_models, find, get

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_SINGLE = (".safetensors", ".gguf", *PICKLED)
Options = TypeVar("Options")

Tell = Callable[[str], None]


def expand(word: str) -> dict[str, Any] | None:
    """The prior's options that a word in a config stands for: a model's name, a folder, a single file.

    None where it is neither; the name stays a name, so that the config means the same on every machine.
    """
    entry = find(word) if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", word) else None
    if entry is not None and not Path(word).is_dir():
        return {"kind": "diffusers", "folder": word, **entry.prior}
    if word.endswith(_SINGLE):
        return {"kind": "diffusers", "folder": _base_of_file(Path(word).expanduser()), "file": word}
    if is_path(word):
        return {"kind": "diffusers", "folder": word}
    return None


def is_path(word: str) -> bool:
    """Whether a word means a place on this disk (or owner/name on the hub) rather than a name."""
    return "/" in word or "\\" in word or word.startswith((".", "~")) or Path(word).is_dir()


def words() -> list[str]:
    """The names that may stand in a config."""
    return [name for name, entry in all_models().items() if entry.readable]


def _base_of_file(file: Path) -> str:
    """The model whose tokenizers and configs go with a single-file checkpoint, told by its tensors' names.

    Raises:
        ModelError: it is missing, a pickle, or of an architecture that is not told by names.
    """
    if file.suffix in PICKLED:
        raise ModelError(
            f"{file}: refused, it is a pickle, and opening one can run any program that its maker put in. Take the "
            f".safetensors of the same model; or, if you trust its maker, name it and what it was made from: "
            f"prior.kind=diffusers prior.folder=sd15 prior.file={file} prior.allow_pickle=[{file.name}]."
        )
    if not file.is_file():
        raise ModelError(f"prior: there is no file {file}.")
    names = tensor_names(file)
    for mark, base in _MARKS:
        if any(name.startswith(mark) for name in names):
            return base
    raise ModelError(
        f"{file}: cannot tell which model it was made from; write prior: {{kind: diffusers, file: {file}, "
        "folder: NAME}} with a name from `sds3d models` or a folder of that model."
    )


_MARKS = (
    ("conditioner.embedders.1.", "sdxl"),
    ("cond_stage_model.model.", "sd21-base"),
    ("cond_stage_model.transformer.", "sd15"),
    ("model.diffusion_model.joint_blocks.", "sd35-medium"),
    ("model.diffusion_model.double_blocks.", "flux-dev"),
    ("double_blocks.", "flux-dev"),
)
"""How a single file's tensors begin -> the model that lends it tokenizers and configs."""


def resolved(options: Options) -> Options:
    """The same options with the model's name replaced by its folder on this disk; others unchanged.

    Raises:
        ModelError: no model of that name, or not on this disk; the text lists what is missing and what to do.
    """
    folder = getattr(options, "folder", None)
    if getattr(options, "kind", None) != "diffusers" or not folder or Path(folder).expanduser().exists():
        return options
    entry = _entry(folder)
    if entry is None:
        return _from_hub_cache(options, folder)
    base, own = base_of(entry), _folder_of(entry)
    if base is None:
        return options.model_copy(update={"folder": str(own)})  # type: ignore[attr-defined]
    from ..control import ControlOptions

    loras = tuple(_lora(options, own / name) for name in entry.loras)
    controls = () if entry.control is None else (ControlOptions(folder=str(own), map=entry.control),)
    return options.model_copy(  # type: ignore[attr-defined]
        update={
            "folder": str(_folder_of(base)),
            "loras": (*loras, *getattr(options, "loras", ())),
            "controls": (*controls, *getattr(options, "controls", ())),
        }
    )


def _entry(word: str) -> ModelEntry | None:
    """The model of that name, None where there is none.

    Raises:
        ModelError: there is no adapter for it.
    """
    entry = find(word)
    if entry is not None and entry.base is None:
        family_of_entry(entry)
    return entry


def _lora(options: Any, file: Path) -> Any:
    from ..adapters import LoraOptions

    return LoraOptions(file=str(file))


def _folder_of(entry: ModelEntry) -> Path:
    found = locate(entry)
    if found.state != "complete" or found.folder is None:
        raise _absent(entry, found)
    return found.folder


def _absent(entry: ModelEntry, found: Found) -> Sds3dError:
    if entry.in_the_box or is_offline():
        return not_here(entry, found)
    how = f"only in part ({found.reason})" if found.state == "partial" else "not"
    return ModelError(
        f"{entry.title} is {how} on this disk; fetch it with: sds3d models fetch {_word(entry)}"
    )


def _word(entry: ModelEntry) -> str:
    return next(name for name, other in all_models().items() if other == entry)


def _from_hub_cache(options: Any, word: str) -> Any:
    """A repository of the hub that is in the cache, though no table names it; a plain word is a misspelt name."""
    if _HUB_ID.match(word) and not word.startswith("."):
        folder = snapshot(Repository(id=word))
        if folder is not None:
            return options.model_copy(update={"folder": str(folder)})
        raise ModelError(
            f"prior.folder: there is no folder {word}, and the hub's cache on this disk does not hold a repository of "
            f"that name. Fetch it with: hf download {word}; or give it a name and a licence in models.yaml."
        )
    if "/" in word or word.startswith((".", "~")):
        return options  # the adapter tells what is wrong with a folder
    get(word)
    return options


def ensure(options: Any, tell: Tell) -> None:
    """Fetch the model that the options name if it is not on this disk and the network may be used.

    Args:
        tell: told what is fetched, and under which licence.

    Raises:
        ModelError: it cannot be had; the text says why and what to do.
    """
    folder = getattr(options, "folder", None)
    if getattr(options, "kind", None) != "diffusers" or not folder or Path(folder).expanduser().exists():
        return
    entry = _entry(folder)
    for one in (entry, base_of(entry)) if entry is not None else ():
        if one is not None and one.folder is None and locate(one).state != "complete":
            if is_offline():
                raise not_here(one, locate(one))
            fetch(one, tell=tell)
