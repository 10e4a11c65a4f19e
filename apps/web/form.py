"""The form from the typed options: fields with their descriptions, and what was filled in as a YAML text."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import yaml

from sds3d.config.dump import dumper, plain
from sds3d.config.options import Options
from sds3d.jobs import configs
from sds3d.jobs.schema import RunConfig

SECTIONS = ("guidance", "representation", "optimize", "cameras", "prior", "pictures", "baking", "debug")
"""Sections of a config, in the order in which people look for them."""
ASKED_ABOVE = ("prompt", "prompts", "negative_prompt", "seed", "runs", "name", "reference")
"""Keys that have a place of their own in the page, or none."""

Sort = Literal["yes or no", "choice", "number", "text"]


@dataclass(frozen=True)
class Field:
    """One thing that can be set.

    Args:
        key: dotted, as on the command line. about: its description. sort: how it is asked for.
        value: what it is now, plain data. choices: of a choice.
    """

    key: str
    about: str
    sort: Sort
    value: Any
    choices: tuple[str, ...] = ()

    @property
    def shown(self) -> Any:
        """The value as its widget shows it: text for what has a form of its own."""
        return self.value if self.sort != "text" else as_text(self.value)

    def read(self, shown: Any) -> Any:
        """Plain data from what the widget holds.

        Raises:
            yaml.YAMLError: the text is no YAML.
        """
        if self.sort != "text":
            return shown
        return shown if isinstance(self.value, str) else yaml.safe_load(shown or "null")


def as_text(value: Any) -> str:
    """Plain data on one line."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def sections(config: RunConfig) -> Iterator[tuple[str, list[Field]]]:
    """(section, its fields) of a config, with what they are now; what stands at the top comes last."""
    for name in SECTIONS:
        options = getattr(config, name)
        yield name, list(_fields(options, f"{name}."))
    if config.reference is not None:
        known = ("reference.image", "reference.sha256", "reference.captions")
        yield "reference", [f for f in _fields(config.reference, "reference.") if f.key not in known]
    top = [f for f in _fields(config, "", deep=False) if f.key not in (*ASKED_ABOVE, *SECTIONS)]
    yield "run", top


def _fields(options: Options, prefix: str, deep: bool = True) -> Iterator[Field]:
    """The fields of options; those of options inside follow with dotted keys."""
    values = plain(options)
    for name, info in type(options).model_fields.items():
        value, about = getattr(options, name), " ".join((info.description or "").split())
        told = isinstance(value, Options) and {"kind", "method"} & set(type(value).model_fields)
        if isinstance(value, Options) and deep and not told:  # one of several sorts stays whole
            yield from _fields(value, f"{prefix}{name}.")
        elif name not in ("kind", "method") or not prefix:
            sort, choices = _sort(info.annotation, values[name])
            yield Field(prefix + name, about, sort, values[name], choices)


def _sort(annotation: Any, value: Any) -> tuple[Sort, tuple[str, ...]]:
    """How a type is asked for, and its choices."""
    parts = [annotation]
    if get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [a for a in get_args(annotation) if a is not type(None)]
        if len(parts) < len(get_args(annotation)):
            return "text", ()  # may be left empty
    if (
        len(parts) == 1
        and get_origin(parts[0]) is Literal
        and all(isinstance(c, str) for c in get_args(parts[0]))
    ):
        return "choice", get_args(parts[0])
    if parts == [bool]:
        return "yes or no", ()
    return ("number", ()) if parts[0] in (int, float) and isinstance(value, int | float) else ("text", ())


def to_yaml(values: Mapping[str, Any]) -> str:
    """Dotted keys as a YAML text, nested: what "Copy as YAML" gives."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        node = tree
        for part in above:
            inner = node.get(part)
            if not isinstance(inner, dict):
                inner = node[part] = {} if inner is None else {_word(part): inner}
            node = inner
        if isinstance(node.get(last), dict) and not isinstance(value, dict):
            node[last] = {_word(last): value, **node[last]}
        else:
            node[last] = value
    return yaml.dump(tree, Dumper=dumper(), sort_keys=False, allow_unicode=True, width=100)


def _word(section: str) -> str:
    """The key that the word of a section stands for."""
    return "method" if section == "guidance" else "kind"


def from_yaml(text: str) -> dict[str, Any]:
    """The dotted keys of a YAML text that the form can show: what "Load YAML" reads; lists stay whole.

    Raises:
        ConfigError: it is not a config.
    """
    from sds3d.config import source

    configs.from_document(source.parse(text, "your YAML"))  # what is wrong is told by line and key
    values: dict[str, Any] = {}
    _flatten(source.parse(text, "your YAML").data, "", values)
    return values


def _flatten(node: Any, prefix: str, out: dict[str, Any]) -> None:
    for key, value in node.items():
        known = f"{prefix}{key}"
        if isinstance(value, dict) and not prefix and key in (*SECTIONS, "reference"):
            if (word := value.get(_word(key))) is not None:
                out[known] = word
            _flatten({k: v for k, v in value.items() if k != _word(key)}, f"{known}.", out)
        else:
            out[known] = value
