"""Field annotations of options: unions over scanned plug-ins, and a word that stands for a mapping."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..core import plugins
from ..core.errors import ConfigError
from .options import Options
from .suggest import listing, nearest

_log = logging.getLogger(__name__)


class Shorthand:
    """Lets a plain word stand for a mapping: with `Shorthand("method")`, `csd` reads as `{method: csd}`.

    Used as `Annotated[GuidanceOptions, Shorthand("method")]`.
    """

    def __init__(self, key: str):
        self.key = key

    def expand(self, value: Any) -> Any:
        """The mapping that a word stands for; other values unchanged."""
        return {self.key: value} if isinstance(value, str) else value

    def more_words(self) -> list[str]:
        """Names that are valid beside `words`; where there are some, paths are valid too."""
        return []

    def words(self) -> list[str]:
        """The words that are known to be valid, or [] where any may be."""
        return []

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        told = f"short for {{{self.key}: …}}"
        word: dict[str, Any] = {"type": "string", "description": told}
        if self.words():
            word["enum"] = [*self.words(), *self.more_words()]
        shapes: list[dict[str, Any]] = [word, handler(schema)]
        if self.more_words():
            shapes.insert(1, {"type": "string", "pattern": r"[/\\]", "description": "a folder or a file"})
        return {"anyOf": shapes}


@dataclass(frozen=True)
class Names:
    """Words that stand for options of a kind, beside the kinds' own names.

    Args:
        expand: the mapping that a word stands for, None for an unknown one. words: the known ones, for hints.
        what: what they are, for messages.
    """

    expand: Callable[[str], Mapping[str, Any] | None]
    words: Callable[[], Iterable[str]]
    what: str


class KindOf(Shorthand):
    """A union over the plug-ins of a package, told apart by one key; the package is scanned at the first use.

    Args:
        package: dotted name of the package whose modules expose `Options` with that key as a literal.
        default: the kind of a mapping that names none.
        group: entry-point group for third parties.
        key: the key that tells them apart.
        names: what further words stand for, where there are any.
        instead: words that people take for a kind -> what to write, for the error.
    """

    def __init__(
        self,
        package: str,
        default: str,
        group: str | None = None,
        key: str = "kind",
        names: Names | None = None,
        instead: Mapping[str, str] = MappingProxyType({}),
    ):
        super().__init__(key)
        self.package, self.default, self.group, self.names = package, default, group, names
        self.instead = instead

    def expand(self, value: Any) -> Any:
        """A word as its mapping; a mapping without a kind gets the default one."""
        if self.names is not None and isinstance(value, str) and value not in self.choices():
            value = self.names.expand(value) or value
        value = super().expand(value)
        if isinstance(value, dict) and self.key not in value:
            return {self.key: self.default, **value}
        return value

    def choices(self) -> dict[str, type[Options]]:
        """Kind -> option class."""
        return {name: module.Options for name, module in modules(self.package, self.group, self.key).items()}

    def more_words(self) -> list[str]:
        """The names."""
        return [] if self.names is None else sorted(self.names.words())

    def words(self) -> list[str]:
        """The kinds."""
        return list(self.choices())

    def make_default(self) -> Any:
        """Options of the default kind with default values."""
        return self.choices()[self.default]()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schemas = {name: handler.generate_schema(options) for name, options in self.choices().items()}
        union = core_schema.tagged_union_schema(schemas, discriminator=self.key)
        return core_schema.no_info_before_validator_function(self._known, union)

    def _known(self, value: Any) -> Any:
        """As `expand`; a word that is no kind and no name is refused with the nearest of both, or what to write."""
        word = value.get(self.key) if isinstance(value, dict) else value
        if isinstance(word, str) and word in self.instead:
            raise ValueError(f'"{word}" is no {self.key} of its own: write {self.instead[word]}.')
        if self.names is not None and isinstance(value, str):
            given = self.expand(value)
            if given[self.key] not in self.choices():
                close = nearest(value, [*self.choices(), *self.names.words()])
                hint = f" Did you mean {close}?" if close else ""
                raise ValueError(
                    f'expected one of {listing(self.choices())} or {self.names.what}, got "{value}".{hint}'
                )
            return given
        return self.expand(value)


@cache
def modules(package: str, group: str | None = None, key: str = "kind") -> dict[str, ModuleType]:
    """The plug-in modules of a package by kind.

    A module that exposes no `Options` is a helper and is passed over. A third party's plug-in that cannot be
    imported is left out with a warning; one of ours that cannot is an error.
    """
    found: dict[str, ModuleType] = {}
    for name, target in plugins.scan(package, group).items():
        try:
            module = importlib.import_module(target)
        except ImportError as error:
            if target.startswith(package + "."):
                raise
            _log.warning("plug-in %s (%s) cannot be imported and is left out: %s", name, target, error)
            continue
        options = getattr(module, "Options", None)
        if options is not None and key in getattr(options, "model_fields", {}):
            found[name] = module
    return found


def module_of(package: str, kind: str, group: str | None = None) -> ModuleType:
    """The plug-in module of a kind.

    Raises:
        ConfigError: there is none; the text names the nearest.
    """
    found = modules(package, group)
    if kind not in found:
        close = nearest(kind, found)
        raise ConfigError(
            f"unknown kind {kind!r}; there are {listing(found)}.",
            hint=f"Did you mean {close}?" if close else "",
        )
    return found[kind]
