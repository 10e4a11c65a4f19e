"""Finding the methods: every file in methods/, and entry points of the group `sds3d.guidance`.

A method's file is named after it and holds `Options` (with `method: Literal["<name>"]`) and a function of the same
name, Options -> Recipe.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from sds3d.config.kinds import Shorthand
from sds3d.core import plugins
from sds3d.core.errors import ConfigError

from .options import GuidanceOptions
from .recipe import Recipe

PACKAGE = "sds3d.guidance.methods"
GROUP = "sds3d.guidance"
DEFAULT = "sds"


@cache
def methods() -> dict[str, Any]:
    """Method name -> its module."""
    return {name: importlib.import_module(target) for name, target in plugins.scan(PACKAGE, GROUP).items()}


def _module(name: str) -> Any:
    found = methods()
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise ConfigError(
            f"unknown guidance method {name!r}; there are {', '.join(found)}.",
            key="guidance.method",
            hint=f"Did you mean {close[0]}?" if close else "",
        )
    return found[name]


def preset(name: str) -> Callable[[Any], Recipe]:
    """The function that turns a method's options into its recipe.

    Raises:
        ConfigError: unknown method; the text names the nearest.
    """
    return getattr(_module(name), name)


class MethodOf(Shorthand):
    """A union over the methods, told apart by `method`; `sds` reads as `{method: sds}`.

    Used as `Annotated[GuidanceOptions, MethodOf()]`; the methods are scanned when a schema is first built.
    """

    def __init__(self) -> None:
        super().__init__("method")

    def expand(self, value: Any) -> Any:
        """A word as its mapping; a mapping without a method gets the default one."""
        value = super().expand(value)
        return {"method": DEFAULT, **value} if isinstance(value, dict) else value

    def words(self) -> list[str]:
        """The methods."""
        return list(methods())

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schemas = {name: handler.generate_schema(module.Options) for name, module in methods().items()}
        union = core_schema.tagged_union_schema(schemas, discriminator="method")
        return core_schema.no_info_before_validator_function(self.expand, union)


def parse(value: Any) -> GuidanceOptions:
    """Options from a method's name, a mapping, or options; outside of a whole config file.

    Raises:
        ConfigError: unknown method or key, or a wrong value.
    """
    from typing import Annotated

    if isinstance(value, GuidanceOptions):
        return value
    name = value if isinstance(value, str) else value.get("method", DEFAULT)
    _module(name)
    try:
        return TypeAdapter(Annotated[GuidanceOptions, MethodOf()]).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(first["msg"], key=".".join(["guidance", *map(str, first["loc"])])) from error
