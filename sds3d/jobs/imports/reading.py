"""A foreign config that remembers which of its keys were read, so that none is dropped in silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config.source import Document, dotted
from ...core.errors import ConfigError
from .schedules import schedule


@dataclass
class Outcome:
    """What a conversion gives.

    Args:
        config: our config as plain data. differences: what was changed on the way, and why. unread: keys that
            mean nothing here, each with its value and a reason. missing: what our engine cannot do (yet).
    """

    config: dict[str, Any] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def noting(self, key: str) -> Callable[[str], None]:
        """What notes a difference of a key."""
        return lambda text: self.differences.append(f"{key}: {text}")

    def set(self, key: str, value: Any) -> None:
        """Set a dotted key of our config."""
        *path, last = key.split(".")
        node = self.config
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value


class Reader:
    """The values of a document by dotted key; keeps a note of those that were taken.

    Args:
        document: of config.source.
    """

    def __init__(self, document: Document):
        self.document = document
        self.taken: set[str] = set()

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, `default` where it is not there."""
        node = self.document.data
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return default
            node = node[part]
        self.taken.add(key)
        return node

    def number(self, key: str, default: float | None = None) -> Any:
        """As `take`, of a key that holds a number.

        Raises:
            ConfigError: it holds something else; the text names file and line.
        """
        value = self.take(key, default)
        self.numbers(key, [] if value is None else [value])
        return value

    def numbers(self, key: str, values: Any) -> None:
        """Refuse what is no list of numbers; errors as in `number`."""
        fine = isinstance(values, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) for v in values
        )
        if not fine:
            raise self.refusal(key, f"expected numbers, got {values!r}.")

    def schedule(self, key: str, value: Any, steps: int, out: Outcome) -> Any:
        """See schedules.schedule; errors as in `number`."""
        self.numbers(key, value if isinstance(value, list) else [value])
        if isinstance(value, list) and len(value) < 3:
            raise self.refusal(key, f"expected a number or [step, value, value, step], got {value!r}.")
        return schedule(value, steps, out.noting(key))

    def refusal(self, key: str, message: str) -> ConfigError:
        """The error of a key's value."""
        mark = self.document.mark(tuple(key.split(".")))
        return ConfigError(message, file=mark.file, line=mark.line, key=key)

    def place(self, key: str) -> str:
        """`file:line: key` for messages."""
        mark = self.document.mark(tuple(key.split(".")))
        return f"{mark.file}:{mark.line}: {key}" if mark.line is not None else f"{mark.file}: {key}"

    def untaken(self) -> dict[str, Any]:
        """The keys that nobody has read, with their values, in the order of the file."""
        found: dict[str, Any] = {}

        def visit(node: Any, path: tuple[str, ...]) -> None:
            name = dotted(path)
            if name in self.taken:
                return
            if isinstance(node, Mapping) and node:
                for key, value in node.items():
                    visit(value, (*path, str(key)))
            else:
                found[name] = node

        visit(self.document.data, ())
        return found
