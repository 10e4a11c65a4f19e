"""Overrides from the command line: `guidance.cfg_scale=6`, `export=[glb,3dgs]`, `prompt=a blue mushroom`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from ..core.errors import ConfigError
from .source import COMMAND_LINE, Document, KeyPath, Mark, parse_value
from .suggest import nearest
from .walk import keys_at, slots_at

_ASSIGNMENT = re.compile(r"^([A-Za-z_][\w-]*(?:\.[\w-]+)*)=(.*)$", re.DOTALL)


def is_override(text: str) -> bool:
    """Whether a command-line word has the form `key=value` or `a.b=value`."""
    return _ASSIGNMENT.match(text) is not None


def apply(document: Document, model: type[BaseModel], overrides: Iterable[str]) -> None:
    """Set the overrides on a document, in order.

    Args:
        document: edited in place; overridden keys are marked as "command line".
        model: the option class, which tells strings (taken as they are) from YAML values.
        overrides: words `a.b=value`. A value is read as YAML, except where the key takes only text.

    Raises:
        ConfigError: a word has not that form, or its value is not YAML.
    """
    for text in overrides:
        match = _ASSIGNMENT.match(text)
        if match is None:
            raise ConfigError(
                f"cannot read {text!r} as an override.",
                file=COMMAND_LINE,
                hint="Write key=value, such as seed=3.",
            )
        path: KeyPath = tuple(int(p) if p.isdigit() else p for p in match[1].split("."))
        set_value(document, model, path, _value(document, model, path, match[2]))


def set_value(document: Document, model: type[BaseModel], path: KeyPath, value: Any) -> None:
    """Set one key, making the mappings above it; a word on the way (`prior: embedded`) becomes its mapping."""
    if document.data is None:
        document.data = {}
    node: Any = document.data
    walked: KeyPath = ()
    for part in path[:-1]:
        key = _key(node, part, path)
        walked = (*walked, key)
        child = node[key] if isinstance(node, list) else node.get(key)
        if not isinstance(child, (dict, list)):
            child = node[key] = _opened(child, model, walked, document)
        node = child
    key = _key(node, path[-1], path)
    node[key] = value
    walked = (*walked, key)
    _forget(document, walked)
    document.marks[walked] = Mark(COMMAND_LINE)


def _key(node: Any, part: str | int, path: KeyPath) -> Any:
    """The index or key that a part of a path means in a node."""
    if isinstance(node, list):
        if not isinstance(part, int) or part >= len(node):
            raise _refuse(path, f"is a list of {len(node)} values; use an index from 0 to {len(node) - 1}.")
        return part
    if not isinstance(node, dict):
        raise _refuse(path, f"cannot be set: {node!r} above it is no mapping.")
    return str(part)


def _opened(child: Any, model: type[BaseModel], path: KeyPath, document: Document) -> Any:
    """A mapping in place of nothing or of a shorthand word."""
    if child is None:
        return {}
    for slot in slots_at(model, path, document.data):
        marker = slot.shorthand()
        if marker is not None and isinstance(child, str):
            return marker.expand(child)
    return child


def _forget(document: Document, path: KeyPath) -> None:
    for known in [k for k in document.marks if k[: len(path)] == path]:
        del document.marks[known]


def _value(document: Document, model: type[BaseModel], path: KeyPath, text: str) -> Any:
    slots = [s for slot in slots_at(model, path, document.data) for s in slot.alternatives()]
    if slots and all(s.annotation in (str, type(None)) for s in slots):
        return text
    try:
        return parse_value(text)
    except ConfigError as error:
        raise _refuse(path, f"the value {text!r} is not valid YAML.") from error


def _refuse(path: KeyPath, message: str) -> ConfigError:
    return ConfigError(message, file=COMMAND_LINE, key=".".join(map(str, path)))


def unknown_key_hint(model: type[BaseModel], path: KeyPath, data: Any, everywhere: Iterable[str]) -> str:
    """Advice for a key that does not exist: the nearest key beside it, else the same name elsewhere."""
    word = str(path[-1])
    beside = keys_at(model, path[:-1], data)
    close = nearest(word, beside)
    if close:
        return f"Did you mean {close}?"
    matches = [key for key in everywhere if key.rpartition(".")[2] == word]
    if matches:
        where = "" if "." in matches[0] or len(path) == 1 else " at the top level"
        return f"Did you mean {matches[0]}{where}?"
    return f"Valid keys here: {', '.join(beside)}." if beside else ""
