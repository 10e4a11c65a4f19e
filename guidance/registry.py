"""Finding the methods: every file in methods/, and entry points of the group `sds3d.guidance`.

A method's file is named after it and holds `Options` (with `method: Literal["<name>"]`) and a function of the same
name, Options -> Recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from sds3d.config.kinds import KindOf, modules
from sds3d.config.suggest import listing, nearest
from sds3d.core.errors import ConfigError

from .options import GuidanceOptions
from .recipe import Recipe

PACKAGE = "sds3d.guidance.methods"
GROUP = "sds3d.guidance"


def method_of() -> KindOf:
    """The annotation of a config field that holds any method's options: `sds` reads as `{method: sds}`."""
    return KindOf(PACKAGE, default="sds", group=GROUP, key="method")


def preset(name: str) -> Callable[[Any], Recipe]:
    """The function that turns a method's options into its recipe.

    Raises:
        ConfigError: unknown method; the text names the nearest.
    """
    found = modules(PACKAGE, GROUP, "method")
    if name not in found:
        close = nearest(name, found)
        raise ConfigError(
            f"unknown method {name!r}; there are {listing(found)}.",
            key="guidance.method",
            hint=f"Did you mean {close}?" if close else "",
        )
    return getattr(found[name], name)


def parse(value: str | Mapping[str, Any] | GuidanceOptions) -> GuidanceOptions:
    """Options from a method's name, a mapping, or options; for use outside of a whole config file.

    Raises:
        ConfigError: unknown method or key, or a wrong value; the text names the key.
    """
    if isinstance(value, GuidanceOptions):
        return value
    expanded = method_of().expand(value)
    preset(expanded["method"])
    try:
        return _adapter(tuple(method_of().words())).validate_python(expanded)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(first["msg"], key=".".join(["guidance", *map(str, first["loc"][1:])])) from error


@cache
def _adapter(names: tuple[str, ...]) -> TypeAdapter:
    """Validation over all methods, by their names; building it takes longer than a step of guidance."""
    return TypeAdapter(Annotated[GuidanceOptions, method_of()])
