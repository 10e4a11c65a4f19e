"""What a comparison is asked to be: a run's file with a few keys more.

    prompts: [a red car, a blue mushroom]
    methods: {sds: {}, ism: {cfg_scale: 7.5}, strong: {method: ism, cfg_scale: 30}}
    seeds: 3
    equal: nfe
    budget: 150

Everything else in the file is that of `sds3d run` and holds for every method alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ...config import load, overrides, source
from ...config.options import Options
from ...core.errors import ConfigError
from .. import configs
from ..schema import RunConfig


def _labelled(value: Any) -> Any:
    """Methods as label -> options; a list names methods without options."""
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if given is None else given for name, given in value.items()}
    return value


class CompareOptions(Options):
    """What a comparison has beside a run's keys."""

    methods: Annotated[dict[str, dict[str, Any]], BeforeValidator(_labelled)] = Field(default_factory=dict)
    """Label -> options of its guidance; the label is the method's name, unless `method` says another."""
    seeds: int = Field(default=3, ge=1, le=1000)
    """Runs a prompt and method, with seeds seed, seed + 1 …"""
    equal: Literal["steps", "nfe"] = "steps"
    """steps: optimize.steps for all; nfe: as many steps as the budget of network calls allows each."""
    budget: int | None = Field(default=None, ge=1)
    """Predictions a view over the run, with equal: nfe. Default: what the first method needs for optimize.steps."""
    mode: Literal["2d", "3d"] | None = None
    """2d: a picture, for quick study; 3d: the representation of the file. Default: as the representation is."""


@dataclass(frozen=True)
class Asked:
    """A comparison as it was asked for.

    Args:
        options: see CompareOptions. document: the run's keys, with `prompts`, without guidance. name: for the folder.
    """

    options: CompareOptions
    document: source.Document
    name: str


def read(words: Sequence[str], given: Mapping[str, Any]) -> Asked:
    """The comparison of a command line.

    Args:
        words: a file or a sentence, then overrides `a.b=value` of the run's keys. given: keys of CompareOptions from
            the command line, which win over the file's.

    Raises:
        ConfigError: file, line and key of what is wrong, and what to do.
    """
    words = list(words)
    if not words or overrides.is_override(words[0]):
        raise ConfigError(
            "needs a file of prompts, or a sentence, first.",
            file=source.COMMAND_LINE,
            hint="Such as prompts.yaml.",
        )
    first = words.pop(0)
    if configs.is_file(first):
        document, name = source.read(first), Path(first).stem
    else:
        mark = source.Mark(source.COMMAND_LINE)
        document, name = source.Document({"prompt": first}, {(): mark}), RunConfig(prompt=first).slug()
    if not isinstance(document.data, dict):
        load.validate(RunConfig, document)  # says what a file has to hold
    options = _options(document, given)
    if options.mode == "2d":
        _make_flat(document.data)
    _refuse_own_keys(words)
    overrides.apply(document, RunConfig, words)
    if "guidance" in document.data:
        mark = document.mark(("guidance",))
        raise ConfigError(
            "does not go into a comparison, where each method has options of its own.",
            file=mark.file,
            line=mark.line,
            key="guidance",
            hint="Write methods: {ism: {cfg_scale: 7.5}} in the file.",
        )
    return Asked(options, document, name)


def _refuse_own_keys(words: Sequence[str]) -> None:
    """Overrides are of the runs; the comparison's own keys have options."""
    for word in words:
        key = word.partition("=")[0].partition(".")[0]
        if key in CompareOptions.model_fields:
            hint = f"Write --{key} …" + (", or its options in the file." if key == "methods" else ".")
            raise ConfigError(
                "is the comparison's own, not an option of the runs.",
                file=source.COMMAND_LINE,
                key=key,
                hint=hint,
            )


def _make_flat(data: dict[str, Any]) -> None:
    """A picture in the place of another representation, and one view, since all would be the same."""
    given = data.get("representation")
    if isinstance(given, dict) and given.get("kind", "image") == "image":
        data["representation"] = {"kind": "image", **given}
    else:
        data["representation"] = {"kind": "image"}
    if isinstance(data.get("optimize", {}), dict):
        data["optimize"] = {"views": 1, **data.get("optimize", {})}


def _options(document: source.Document, given: Mapping[str, Any]) -> CompareOptions:
    """The comparison's own keys, taken out of the document."""
    own = source.Document({}, {(): document.mark(())})
    for key in CompareOptions.model_fields:
        if key in document.data:
            own.data[key] = document.data.pop(key)
        for path in [p for p in document.marks if p[:1] == (key,)]:
            own.marks[path] = document.marks[path]
    for key, value in given.items():
        if value is not None:
            own.data[key] = _chosen(own.data.get(key), value) if key == "methods" else value
            own.marks[(key,)] = source.Mark(source.COMMAND_LINE)
    options = load.validate(CompareOptions, own)
    if given.get("budget") is not None and options.equal != "nfe":
        raise ConfigError(
            "counts network calls, but steps are made equal.",
            file=source.COMMAND_LINE,
            key="budget",
            hint="Add --equal nfe.",
        )
    document.marks |= {path: mark for path, mark in own.marks.items() if path[:1] == ("methods",)}
    return options


def _chosen(known: Any, names: str) -> Any:
    """The methods that the command line names, with the options that the file has for them."""
    known = _labelled(known) if isinstance(_labelled(known), dict) else {}
    return {name: known.get(name, {}) for name in _labelled(names)}
