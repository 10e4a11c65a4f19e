"""Which files of a repository a prior reads, and which of them are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..families.base import Family
from ..family_table import families, wanted_parts
from ..trust import PICKLED, refuse_pickle
from ..weight_files import PICKLE, SAFE, stem_of
from .entry import ModelEntry, trust_of
from .table import ModelError

_CONTROL = "controlnet"
"""What a ControlNet would be called inside of a pipeline's folder."""
_WORDS = (".json", ".txt", ".model")
"""Files of a tokenizer."""


def family_of_entry(entry: ModelEntry) -> Family:
    """The adapter's family.

    Raises:
        ModelError: it has none, or one that is not installed.
    """
    if entry.family is None:
        raise ModelError(
            f"{entry.title}: there is no adapter for it yet; it is listed for its licence and place only."
        )
    known = families()
    if entry.family not in known:
        raise ModelError(f"{entry.title}: unknown family {entry.family!r}; there are {', '.join(known)}.")
    return known[entry.family]


def usual_files(entry: ModelEntry) -> list[str]:
    """The files that such a model has in most repositories; where weights lie in shards, the index stands for them."""
    if entry.loras:
        return list(entry.loras)
    middle = f".{entry.variant}" if entry.variant else ""
    if entry.control is not None:
        return ["config.json", f"{stem_of(Path('controlnet'))}{middle}{SAFE}"]
    family = family_of_entry(entry)
    names = ["model_index.json", "scheduler/scheduler_config.json"]
    for part in wanted_parts(family):
        names += [f"{part}/config.json", f"{part}/{stem_of(Path(part))}{middle}.safetensors"]
    names += [f"{_tokenizer(part)}/tokenizer_config.json" for part in family.encoders]
    return names


def choose(entry: ModelEntry, present: Sequence[str]) -> list[str]:
    """The files to fetch from a repository that holds `present`, sorted.

    Raises:
        ModelError: a part is not there, or only as a pickle.
    """
    names = set(present)
    if entry.loras:
        absent = [name for name in entry.loras if name not in names]
        if absent:
            raise ModelError(f"{entry.title}: the repository does not hold {', '.join(absent)}.")
        return sorted({*entry.loras, *_papers(names)})
    if entry.control is not None:
        inside = {f"{_CONTROL}/{name}" for name in names}
        found = _weights(_CONTROL, entry.variant, inside) or _pickled(entry, _CONTROL, inside)
        if not found or "config.json" not in names:
            raise ModelError(_no_weights(entry, _CONTROL, inside))
        return sorted(
            {"config.json", *(name.removeprefix(f"{_CONTROL}/") for name in found), *_papers(names)}
        )
    family = family_of_entry(entry)
    chosen = {"model_index.json", "scheduler/scheduler_config.json"} | _papers(names)
    for part in wanted_parts(family):
        found = _weights(part, entry.variant, names) or _pickled(entry, part, names)
        if not found and part in family.optional and f"{part}/config.json" not in names:
            continue
        if not found:
            raise ModelError(_no_weights(entry, part, names))
        chosen |= {f"{part}/config.json", *found}
    for part in family.encoders:
        folder = f"{_tokenizer(part)}/"
        chosen |= {name for name in names if name.startswith(folder) and name.endswith(_WORDS)}
    absent = sorted(chosen - names)
    if absent:
        raise ModelError(
            f"{entry.title}: the repository does not hold {', '.join(absent)}; it is no such model."
        )
    return sorted(chosen)


def _tokenizer(part: str) -> str:
    return part.replace("text_encoder", "tokenizer")


def _papers(names: set[str]) -> set[str]:
    """The licence comes along."""
    return {name for name in names if "/" not in name and name.upper().startswith(("LICENSE", "LICENCE"))}


def _pickled(entry: ModelEntry, part: str, names: set[str]) -> set[str]:
    """A component's pickles, where the entry allows every one of them by name."""
    found = _weights(part, entry.variant, names, PICKLE)
    trust = trust_of(entry)
    return found if all(name.endswith(".json") or trust.allows(Path(name)) for name in found) else set()


def _weights(part: str, variant: str, names: set[str], ending: str = SAFE) -> set[str]:
    """The weight files of a component: the preferred variant, else the plain one, else a half precision one."""
    stem = stem_of(Path(part), ending)
    for middle in dict.fromkeys((f".{variant}" if variant else "", "", ".fp16", ".bf16")):
        single = f"{part}/{stem}{middle}{ending}"
        if single in names:
            return {single}
        index = f"{part}/{stem}{ending}.index{middle}.json"
        if index in names:
            shard = re.compile(
                rf"{part}/{stem}({re.escape(middle)})?-\d+-of-\d+({re.escape(middle)})?{re.escape(ending)}$"
            )
            found = {name for name in names if shard.match(name) and name.count(middle or "-of-") == 1}
            if found:
                return {index, *found}
    return set()


def _no_weights(entry: ModelEntry, part: str, names: set[str]) -> str:
    pickled = sorted(n for n in names if n.startswith(f"{part}/") and n.endswith(PICKLED))
    if pickled:
        return (
            f"{entry.title}: {refuse_pickle(pickled[0], ', '.join(pickled))} In models.yaml that is prior: "
            "{allow_pickle: [...]}; or name another repository there."
        )
    return f"{entry.title}: the repository holds no weights of {part}; it is no {entry.family} model."
