"""From a document to typed options, with every problem named by file, line and key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import ConfigError
from .overrides import unknown_key_hint
from .source import Document, KeyPath, dotted
from .suggest import listing, nearest
from .walk import all_keys, keys_at

M = TypeVar("M", bound=BaseModel)
MAX_REPORTED = 10


class ConfigErrors(ConfigError):
    """Several problems of one configuration, each a ConfigError in `problems`; the text shows the first ten."""

    def __init__(self, problems: Sequence[ConfigError]):
        shown = "".join(f"\n  - {p}" for p in problems[:MAX_REPORTED])
        more = f"\n  and {len(problems) - MAX_REPORTED} more" if len(problems) > MAX_REPORTED else ""
        super().__init__(f"{len(problems)} problems in the configuration:{shown}{more}")
        self.problems = tuple(problems)


def validate(model: type[M], document: Document) -> M:
    """Typed options of a document.

    Values are taken strictly: no text for a number, no number for a yes or no. Defaults fill what is missing.

    Raises:
        ConfigError: one problem. ConfigErrors: several, in the order of the file.
    """
    problems = list(document.problems)
    value = None
    if not isinstance(document.data, dict):
        mark = document.mark(())
        problems.append(
            ConfigError(
                f"expected keys and values, got {_brief(document.data)}.", file=mark.file, line=mark.line
            )
        )
    else:
        try:
            value = model.model_validate(document.data)
        except ValidationError as error:
            problems += translate(error, model, document)
    if value is None or problems:
        raise problems[0] if len(problems) == 1 else ConfigErrors(_in_order(problems))
    return value


def translate(error: ValidationError, model: type[BaseModel], document: Document) -> list[ConfigError]:
    """One ConfigError for each place that pydantic complains about."""
    everywhere = all_keys(model, document.data)
    by_place: dict[KeyPath, list[Any]] = {}
    for item in error.errors(include_url=False):
        by_place.setdefault(_path(item, document.data), []).append(item)
    # a union reports its other members too; the complaint deepest inside the value is the one that helps
    deepest = [p for p in by_place if not any(len(q) > len(p) and q[: len(p)] == p for q in by_place)]
    return [_problem(path, by_place[path], model, document, everywhere) for path in deepest]


def _path(item: Any, data: Any) -> KeyPath:
    """pydantic's location without the parts that name union members and validators."""
    path: list[str | int] = []
    node = data
    for i, part in enumerate(item["loc"]):
        last = i == len(item["loc"]) - 1
        inside = (
            part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))
        )
        if inside:
            node = node[part]
            path.append(part)
        elif last and item["type"] == "missing":
            path.append(part)
    return tuple(path)


def _problem(
    path: KeyPath, items: list[dict], model: type[BaseModel], document: Document, everywhere: Iterable[str]
) -> ConfigError:
    mark = document.mark(path)
    first = items[0]
    if first["type"] == "extra_forbidden":
        message, hint = "unknown key.", unknown_key_hint(model, path, document.data, everywhere)
    elif first["type"] == "missing":
        message, hint = "is required and missing.", ""
    else:
        told = list(dict.fromkeys(_told(item) for item in items))
        message = " or ".join(told)
        if any(item["type"] not in ("value_error", "assertion_error") for item in items):
            message = f"expected {message}, got {_brief(_word_of(first))}."
        hint = _value_hint(items, path, model, document)
    return ConfigError(message, file=mark.file or None, line=mark.line, key=dotted(path), hint=hint)


_TYPES = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
    "finite_number": "a finite number",
}


def _told(item: dict) -> str:
    """What was expected, in words that follow "expected"."""
    kind, context = item["type"], item.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in ("literal_error", "enum"):
        return f"one of {listing(_quoted(context['expected']))}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = _quoted(context.get("expected_tags", ""))
        return f"one of {listing(tags)} as {_quoted(context['discriminator'])[0]}" if tags else "a known kind"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", item["msg"])).removeprefix("Value error, ")
    return re.sub(r"^(Input|Value|\w+) should (be |have )?", "", item["msg"])


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text) or [text]


def _value_hint(items: list[dict], path: KeyPath, model: type[BaseModel], document: Document) -> str:
    for item in items:
        context, got = item.get("ctx", {}), item["input"]
        options = _quoted(str(context.get("expected") or context.get("expected_tags") or ""))
        word = _word_of(item)
        if item["type"] in ("literal_error", "enum", "union_tag_invalid") and isinstance(word, str):
            close = nearest(word, options)
            return f"Did you mean {close}?" if close else ""
        if item["type"] == "string_type" and isinstance(got, (int, float, bool)):
            return f'Put it in quotes: "{got}".'
        if (
            item["type"] in ("float_type", "int_type")
            and isinstance(got, str)
            and re.match(r"^[\d.,eE+-]+$", got)
        ):
            return "Write it without quotes, with a point for decimals."
        if item["type"] in ("model_type", "model_attributes_type", "dict_type"):
            keys = keys_at(model, path, document.data)
            return f"Keys: {listing(keys)}." if keys else ""
    return ""


def _word_of(item: dict) -> Any:
    """The offending value; of a mapping whose kind is unknown, the kind."""
    got, context = item["input"], item.get("ctx", {})
    if item["type"] == "union_tag_invalid" and isinstance(got, dict):
        return got.get(_quoted(context["discriminator"])[0], got)
    return got


def _brief(value: Any) -> str:
    """A value as its author would recognise it, at most 60 characters."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _in_order(problems: list[ConfigError]) -> list[ConfigError]:
    return sorted(problems, key=lambda p: (p.line is None, p.line or 0))
