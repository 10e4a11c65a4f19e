"""USD's text form (usda): a parser into prims with attributes, enough for meshes and their materials.

Understood: layer and prim metadata, nested prims, attributes with values, connections and metadata, relationships,
dictionaries, arrays, tuples. Time samples, variants, references are parsed and kept by name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import AssetError
from .files import shown

MAX_DEPTH, MAX_TEXT = 60, 1 << 29

_SPACE = re.compile(r"\s*+(?:#[^\n]*+\n?+\s*+)*+")
_TOKEN = re.compile(
    r"""\s*+(?:\#[^\n]*+\n?+\s*+)*+(?:
    (?P<string>\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<asset>@@@.*?@@@|@[^@\n]*@)
    |(?P<path><[^>\n]*>)
    |(?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf\b|nan\b))
    |(?P<word>[A-Za-z_][\w:]*(?:\.[\w:]+)?(?:\[\])?)
    |(?P<mark>[()\[\]{}=,:;]|\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBERS = re.compile(r"\[[\s\d.,()eE+\-]*\]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r"}
_QUALIFIERS = {"custom", "uniform", "varying", "config", "prepend", "append", "add", "delete", "reorder"}


class Asset(str):
    """The text between @ and @: a file."""


class Target(str):
    """The text between < and >: a prim or a property."""


@dataclass
class Value:
    """An attribute: what it holds, its type such as "float3[]", its metadata, and what it is connected to."""

    type: str = ""
    value: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    source: Target | None = None


@dataclass
class Prim:
    """A prim: attributes and relationships by name, metadata, children in order."""

    type: str
    name: str
    metadata: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    children: list[Prim] = field(default_factory=list)

    def walk(self, path: str = "") -> Iterator[tuple[str, Prim]]:
        """(path, prim) of this prim's descendants, parents first."""
        for child in self.children:
            yield f"{path}/{child.name}", child
            yield from child.walk(f"{path}/{child.name}")


def parse_usda(text: str, path: Path) -> Prim:
    """The layer as a nameless prim that holds the layer's metadata and its root prims.

    Raises:
        AssetError: the text breaks the grammar; the line is named.
    """
    if len(text) > MAX_TEXT:
        raise AssetError(f"{path}: {len(text)} letters of USD text are too many.")
    return _Parser(text, path).layer()


class _Parser:
    def __init__(self, text: str, path: Path):
        self.text, self.path, self.at, self.depth = text, path, 0, 0
        self.kind, self.token, self.next = "", "", 0
        self.advance()

    def error(self, reason: str) -> AssetError:
        line = self.text.count("\n", 0, _SPACE.match(self.text, self.at).end()) + 1  # type: ignore[union-attr]
        return AssetError(f"{self.path}: line {line} of its USD text cannot be understood: {shown(reason)}.")

    def advance(self) -> str:
        """The present token, after which the next becomes present."""
        old, self.at = self.token, self.next
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise self.error(f"unexpected {self.text[self.at : self.at + 20]!r}")
        self.kind, self.next = match.lastgroup or "", match.end()
        self.token = match[self.kind]
        return old

    def take(self, mark: str) -> bool:
        """Whether the present token is this one; then it is consumed."""
        if self.kind in ("mark", "word") and self.token == mark:
            self.advance()
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            raise self.error(f"expected {mark!r}, found {self.token[:40]!r}")

    def word(self) -> str:
        if self.kind != "word":
            raise self.error(f"expected a name, found {self.token[:40]!r}")
        return self.advance()

    def layer(self) -> Prim:
        root = Prim("", "")
        root.metadata = self.metadata()
        while not (self.kind == "mark" and self.token == ""):
            root.children.append(self.prim())
        return root

    def prim(self) -> Prim:
        self.deeper()
        if self.word() not in ("def", "over", "class"):
            raise self.error("expected def, over or class")
        kind = self.word() if self.kind == "word" else ""
        out = Prim(kind, self.string())
        if not out.name.isidentifier():
            raise self.error(f"{out.name[:40]!r} is no name of a prim")
        out.metadata = self.metadata()
        self.expect("{")
        while not self.take("}"):
            if self.token in ("def", "over", "class"):
                out.children.append(self.prim())
            elif self.take("variantSet"):
                self.string()
                self.expect("=")
                self.skip_braces()
            else:
                self.property(out)
        self.depth -= 1
        return out

    def property(self, owner: Prim) -> None:
        while self.token in _QUALIFIERS:
            self.advance()
        kind = self.word()
        name = self.word() if kind != "rel" or self.kind == "word" else ""
        name, _, aspect = name.partition(".")
        value = self.value() if self.take("=") else None
        metadata = self.metadata()
        self.take(";")
        held = owner.values.setdefault(name, Value(kind))
        held.metadata |= metadata
        if aspect == "connect" or kind == "rel":
            first = value[0] if isinstance(value, list) and value else value
            held.source = first if isinstance(first, Target) else None
        elif aspect == "":
            held.type, held.value = kind, value

    def metadata(self) -> dict[str, Any]:
        """The parenthesised entries after a layer's head, a prim or a property; {} where there are none."""
        out: dict[str, Any] = {}
        if not self.take("("):
            return out
        while not self.take(")"):
            if self.kind == "string":
                out["doc"] = self.string()
                continue
            out |= self.entry("=")
            self.take(";")
        return out

    def entry(self, mark: str) -> dict[str, Any]:
        """`[qualifier] [type] name = value` of metadata and dictionaries."""
        while self.token in _QUALIFIERS:
            self.advance()
        name = self.string() if self.kind == "string" else self.word()
        if self.kind in ("word", "string"):
            name = self.string() if self.kind == "string" else self.word()
        self.expect(mark)
        return {name: self.value()}

    def value(self) -> Any:
        self.deeper()
        out = self.inner_value()
        self.depth -= 1
        return out

    def inner_value(self) -> Any:
        if self.kind == "string":
            return self.string()
        if self.kind == "asset":
            return Asset(self.advance().strip("@"))
        if self.kind == "path":
            return Target(self.advance()[1:-1])
        if self.kind == "number":
            return float(self.advance())
        if self.kind == "word":
            word = self.advance()
            return {"true": True, "false": False, "None": None}.get(word, word)
        if self.token == "[":
            numbers = _NUMBERS.match(self.text, self.next - 1)
            if numbers:  # arrays of numbers are long: read at once
                return self.numbers(numbers)
        for opening, closing in (("[", "]"), ("(", ")")):
            if self.take(opening):
                out = []
                while not self.take(closing):
                    out.append(self.value())
                    self.take(",")
                return out
        if self.take("{"):
            return self.dictionary()
        raise self.error(f"expected a value, found {self.token[:40]!r}")

    def numbers(self, match: re.Match[str]) -> np.ndarray:
        self.next = match.end()
        words = re.sub(r"[\[\](),]", " ", match[0]).split()
        self.advance()
        try:
            return np.array(words, dtype="S").astype(np.float64) if words else np.zeros(0)
        except ValueError as error:
            raise self.error(str(error)) from error

    def dictionary(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        while not self.take("}"):
            if self.kind == "number":  # time samples
                at = self.advance()
                self.expect(":")
                out[at] = self.value()
            else:
                out |= self.entry("=")
            if not self.take(","):
                self.take(";")
        return out

    def string(self) -> str:
        if self.kind != "string":
            raise self.error(f"expected text in quotes, found {self.token[:40]!r}")
        token = self.advance()
        width = 3 if token.startswith(('"""', "'''")) and len(token) >= 6 else 1
        return _ESCAPE.sub(lambda m: _LETTERS.get(m[1], m[1]), token[width:-width])

    def skip_braces(self) -> None:
        self.expect("{")
        open_braces = 1
        while open_braces:
            if self.kind == "mark" and self.token == "":
                raise self.error("the text ends inside braces")
            open_braces += {"{": 1, "}": -1}.get(self.token, 0) if self.kind == "mark" else 0
            self.advance()

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"it is nested deeper than {MAX_DEPTH}")
