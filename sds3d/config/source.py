"""Reading YAML as plain data that remembers the line of every key.

The scalars are those of YAML 1.2's core schema, since YAML 1.1 surprises people: `no` is a string, `1e-3` a
number, `1:30` a string, and a date stays text. A duplicate key, a tag or a key that is no string is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value lies: mapping keys and list indices from the root."""

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000
MAX_DIGITS = 40
COMMAND_LINE = "command line"

_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL = re.compile(r"^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(~|null|Null|NULL|)$")
_RESOLVERS = (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT), ("float", _SPECIAL))
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Mark:
    """Where a key was written: file (or "command line") and 1-based line, None where there is none."""

    file: str
    line: int | None = None


@dataclass
class Document:
    """Plain data with the place of every key.

    Args:
        data: dictionaries, lists, str, int, float, bool, None.
        marks: path -> place of its key (or list item).
        problems: what was wrong with the text itself, such as duplicate keys.
    """

    data: Any
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)

    def mark(self, path: KeyPath) -> Mark:
        """The place of a path, or of its nearest ancestor that has one."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                return self.marks[path[:length]]
        return Mark("")


def dotted(path: KeyPath) -> str:
    """`guidance.terms[0].weight` for ("guidance", "terms", 0, "weight")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def resolver_for(base: type) -> Any:
    """A PyYAML loader or dumper class whose plain scalars resolve as this module says."""
    made: Any = type(f"Core{base.__name__}", (base,), {"yaml_implicit_resolvers": {}})
    for name, pattern in _RESOLVERS:
        made.add_implicit_resolver(_TAG + name, pattern, None)
    return made


def read(path: str | Path) -> Document:
    """The document of a YAML file.

    Raises:
        ConfigError: the file is missing, too large, not UTF-8 or not YAML.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                f"is larger than {MAX_BYTES >> 20} MB, which no configuration is", file=str(path)
            )
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"is not UTF-8 text (byte {error.start})", file=str(path), hint="Is it really a YAML file?"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", file=str(path), hint=_neighbour(path)
        ) from error
    return parse(text, str(path))


def _neighbour(path: Path) -> str:
    from .suggest import nearest

    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist."
    names = [p.name for pattern in ("*.yaml", "*.yml") for p in path.parent.glob(pattern)]
    close = nearest(path.name, names)
    return f"Did you mean {path.parent / close}?" if close else ""


def parse(text: str, file: str) -> Document:
    """The document of a YAML text; `file` names it in errors.

    Raises:
        ConfigError: it is not YAML, is empty, or holds several documents.
    """
    try:
        loader = resolver_for(yaml.SafeLoader)(text)  # looks for signs that no YAML may hold
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", file=file) from error
    if node is None:
        raise ConfigError("is empty", file=file, hint="It needs at least `prompt: a red cube`.")
    document = Document(None, {(): Mark(file, None)})
    document.data = _Builder(document, file).build(node, ())
    return document


def parse_value(text: str) -> Any:
    """The plain value of one YAML expression, such as the right side of an override.

    Raises:
        ConfigError: it is not YAML.
    """
    if not text.strip():
        return None
    document = parse(text, COMMAND_LINE)
    if document.problems:
        raise document.problems[0]
    return document.data


def _syntax_error(error: yaml.YAMLError, file: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    hint = ""
    if "\\t" in problem:
        hint = "Indent with spaces, not tabs."
    elif "mapping values are not allowed" in problem:
        hint = "A value that holds ': ' needs quotes."
    elif "expected a single document" in str(error):
        hint = "Put several prompts under `prompts:` instead of several documents."
    text = f"{context}, {problem}" if context else problem
    return ConfigError(
        f"is not valid YAML: {text}.", file=file, line=mark.line + 1 if mark else None, hint=hint
    )


class _Builder:
    """Turns composed nodes into plain data and notes marks and problems on the document."""

    def __init__(self, document: Document, file: str):
        self.document, self.file = document, file
        self.open: set[int] = set()
        self.count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MAX_VALUES:
            raise ConfigError(f"holds more than {MAX_VALUES} values", file=self.file, line=line)
        if id(node) in self.open:
            raise ConfigError("contains itself", file=self.file, line=line, key=dotted(path))
        if path not in self.document.marks:
            self.document.marks[path] = Mark(self.file, line)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return dict(self._items(node, path))
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
            assert isinstance(node, yaml.ScalarNode)
            return self._scalar(node, path)
        finally:
            self.open.discard(id(node))

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or (
                key_node.tag != _TAG + "str" and key_node.tag not in (_TAG + "int", _TAG + "float")
            ):
                self._problem("a key must be a word", line, path)
            elif key in first:
                self._problem(f"is written twice, first in line {first[key]}; keep one.", line, (*path, key))
            else:
                first[key] = line
                self.document.marks[(*path, key)] = Mark(self.file, line)
                yield key, self.build(value_node, (*path, key))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        name, text = node.tag.removeprefix(_TAG), node.value
        if name == "str":
            return text
        if name == "null":
            return None
        if name == "bool" and _BOOL.match(text):
            return text.lower() == "true"
        if name == "int" and _INT.match(text):
            if len(text) > MAX_DIGITS:
                self._problem(
                    f"has {len(text)} digits, which no number here needs", node.start_mark.line + 1, path
                )
                return None
            return int(text)
        if name == "float" and _FLOAT.match(text):
            return float(text)
        if name == "float" and _SPECIAL.match(text):
            return float(text.replace(".", "").lower())
        line = node.start_mark.line + 1
        self._problem(f"has the tag {node.tag!r}, which a configuration may not use", line, path)
        return None

    def _problem(self, message: str, line: int, path: KeyPath) -> None:
        self.document.problems.append(ConfigError(message, file=self.file, line=line, key=dotted(path)))
