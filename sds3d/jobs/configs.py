"""From what a person typed (a sentence or a file, and overrides) to run configurations, and back to YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..config import dump, load, overrides, source
from ..core.errors import ConfigError
from . import editing, photographed, recommend, referencing, staging
from .reference_options import ReferenceOptions
from .schema import RunConfig

NO_VALUES: Mapping[str, Any] = MappingProxyType({})
_WHERE_ONLY = frozenset({"runs", "threads", "debug", "device"})


def from_words(words: Iterable[str], values: Mapping[str, Any] = NO_VALUES) -> RunConfig:
    """The config of a command line: a sentence, a picture or a YAML file first (optional), then overrides `a.b=c`.

    Args:
        values: what its options say, by dotted key; overrides win.

    Raises:
        ConfigError: names file or command line, line, key, what was expected and the nearest valid key.
    """
    words = list(words)
    first = None if not words or overrides.is_override(words[0]) else words.pop(0)
    document = source.Document({}, {(): source.Mark(source.COMMAND_LINE)})
    if first is not None and is_file(first):
        document = source.read(first)
    elif first is not None and referencing.is_picture(first):
        overrides.set_value(document, RunConfig, ("reference", "image"), first)
    elif first is not None:
        overrides.set_value(document, RunConfig, ("prompt",), first)
    for key, value in values.items():
        overrides.set_value(document, RunConfig, tuple(key.split(".")), value)
    # which options a representation has is known once the file that is edited is
    about = [word for word in words if word.startswith(("edit.", "capture.", "runs="))]
    overrides.apply(document, RunConfig, about)
    editing.complete(document)
    photographed.complete(document)
    overrides.apply(document, RunConfig, [word for word in words if word not in about])
    return from_document(document)


def is_file(word: str) -> bool:
    """Whether a word means a config file rather than a sentence."""
    return Path(word).suffix.lower() in (".yaml", ".yml") and len(word) < 4096


def read(path: Path) -> RunConfig:
    """The config of a YAML file.

    Raises:
        ConfigError: see `from_words`.
    """
    return from_document(source.read(path))


def from_mapping(values: dict) -> RunConfig:
    """The config of a Python mapping with plain values; keys may be dotted, such as "guidance.cfg_scale".

    Raises:
        ConfigError: see `from_words`; the place is called "arguments".
    """
    document = source.Document({}, {(): source.Mark("arguments")})
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConfigError(f"a key must be text, got {key!r}", file="arguments")
        overrides.set_value(document, RunConfig, tuple(key.split(".")), value)
        document.marks[tuple(key.split("."))] = source.Mark("arguments")
    return from_document(document)


def from_document(document: source.Document) -> RunConfig:
    """The config of plain data that remembers where it was written; completed in place by what the prior recommends.

    Raises:
        ConfigError: see `from_words`.
    """
    _refuse_comparison(document)
    editing.complete(document)
    photographed.complete(document)
    referencing.complete(document)
    staging.unfold(document)
    recommend.fill(document)
    return load.validate(RunConfig, document)


def _refuse_comparison(document: source.Document) -> None:
    if isinstance(document.data, dict) and "methods" in document.data:
        mark = document.mark(("methods",))
        raise ConfigError(
            "makes this a file of a comparison, not of a run.",
            file=mark.file,
            line=mark.line,
            key="methods",
            hint=f"Run it with: sds3d compare {mark.file}. A run has one `guidance`.",
        )


def to_yaml(config: RunConfig) -> str:
    """The resolved config as YAML: every option with its value; reading it gives an equal config.

    Of a fit without prior and guidance, which nobody asks: they are the defaults (fitting.check_capture).
    """
    from .. import __version__

    said = f"Every option of this run, resolved by sds3d {__version__}."
    if config.capture is None:
        return dump.to_yaml(config, said)
    return dump.to_yaml(config, f"{said}\nA fit asks no prior and no guidance.", photographed.NO_SAY)


def hash_of(config: RunConfig) -> str:
    """32 hex digits over all that can change the result; where it is written and what computes it left out."""
    # where a file lies may change, its hash may not; what a run has not is left out, as before there was such a thing
    absent = {name for name in ("edit", "capture", "reference") if getattr(config, name) is None}
    change: dict[str, Any] = {}
    if config.edit is not None:
        change["edit"] = config.edit.model_copy(update={"source": "", "file": None})
    if config.capture is not None:
        change["capture"] = config.capture.model_copy(update={"source": "", "file": None, "images": None})
    change["reference"] = _known_by_hash(config.reference)
    return dump.config_hash(config.model_copy(update=change), _WHERE_ONLY | absent)


def _known_by_hash(reference: ReferenceOptions | None) -> ReferenceOptions | None:
    """A picture without where it lies and what was read in it, which the prompt holds."""
    return None if reference is None else reference.model_copy(update={"image": "", "captions": ()})


def hash_of_stage(config: RunConfig, index: int) -> str:
    """32 hex digits over all that can change the result of a stage: its own options and those of the stages before.

    Later stages may be changed, and run again from the checkpoint that they start from. Without stages: `hash_of`.
    """
    if not config.stages:
        return hash_of(config)
    # every stage holds its sections whole: the run's own have no say any more
    stages = (
        stage.model_copy(update={"reference": _known_by_hash(stage.reference)})
        for stage in config.stages[: index + 1]
    )
    known = config.model_copy(update={"stages": tuple(stages)})
    return dump.config_hash(known, _WHERE_ONLY.union(staging.SECTIONS, {"edit", "capture"}))


def schema() -> dict:
    """JSON schema of a configuration file."""
    return dump.json_schema(RunConfig, "sds3d run")
