"""Typed options as readable YAML that loads back to an equal value, and as a JSON schema for editors."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml
from pydantic import BaseModel

from .source import resolver_for

_FLOW_WIDTH = 72


def plain(options: BaseModel) -> dict[str, Any]:
    """The options as dictionaries, lists and scalars, defaults included."""
    return options.model_dump(mode="json")


def dumper() -> type[yaml.SafeDumper]:
    """A dumper whose text our loader reads back: indented lists, short ones on one line, odd line breaks escaped."""
    base = resolver_for(yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc,valid-type]
        """See `dumper`."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(list, _represent_list)
    Dumper.add_representer(str, _represent_text)
    return Dumper


def to_yaml(options: BaseModel, comment: str = "", leave_out: frozenset[str] = frozenset()) -> str:
    """Readable YAML of every option, in the order of the classes; `comment` goes above it, line by line.

    Loading it gives an equal value: text that would read as a number is quoted, floats keep every digit.

    Args:
        leave_out: top-level keys that have their defaults and no say.
    """
    body = {k: v for k, v in plain(options).items() if k not in leave_out}
    text = yaml.dump(body, Dumper=dumper(), sort_keys=False, allow_unicode=True, width=110)
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + text


def _represent_list(dumper: yaml.SafeDumper, value: list) -> yaml.Node:
    short = len(json.dumps(value)) <= _FLOW_WIDTH and not any(isinstance(v, dict) for v in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    """Unicode's own line breaks are folded to spaces in every style but the double-quoted one."""
    style = '"' if any(c in value for c in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def config_hash(options: BaseModel, leave_out: frozenset[str] = frozenset()) -> str:
    """32 hex digits over every value of the options, whatever the order of their keys.

    Args:
        leave_out: top-level keys that cannot change a result, such as where to write it.
    """
    body = {k: v for k, v in plain(options).items() if k not in leave_out}
    text = json.dumps(body, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def json_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """JSON schema (2020-12) of a configuration file, for completion and checks in editors."""
    schema = model.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
