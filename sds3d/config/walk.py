"""Walking option classes by key path: which keys are valid there, which type a value has."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .kinds import KindOf, Shorthand
from .source import KeyPath


@dataclass(frozen=True)
class Slot:
    """The declared type of one place: its annotation and the annotation's metadata."""

    annotation: Any
    metadata: tuple = ()

    def shorthand(self) -> Shorthand | None:
        """The marker that lets a word stand for a mapping here, if any."""
        return next((m for m in self.metadata if isinstance(m, Shorthand)), None)

    def alternatives(self) -> Iterator[Slot]:
        """The members of a union, Annotated unwrapped; the slot itself where there is one type."""
        origin = get_origin(self.annotation)
        if origin is Annotated:
            inner, *metadata = get_args(self.annotation)
            yield from Slot(inner, (*metadata, *self.metadata)).alternatives()
        elif origin in (Union, types.UnionType):
            for member in get_args(self.annotation):
                yield from Slot(member, self.metadata).alternatives()
        else:
            yield self

    def models(self, value: Any = None) -> list[type[BaseModel]]:
        """Option classes that may stand here; `value` narrows a union over kinds to the kind it names."""
        found: list[type[BaseModel]] = []
        for slot in self.alternatives():
            kinds = slot.shorthand()
            if isinstance(kinds, KindOf):
                choices = kinds.choices()
                given = kinds.expand(value or {})
                named = given.get(kinds.key) if isinstance(given, dict) else None
                found += [choices[named]] if named in choices else list(choices.values())
            elif isinstance(slot.annotation, type) and issubclass(slot.annotation, BaseModel):
                found.append(slot.annotation)
        return found

    def down(self, part: str | int, value: Any = None) -> list[Slot]:
        """The slots one key or index further; [] where there can be none."""
        found = []
        for slot in self.alternatives():
            origin, args = get_origin(slot.annotation), get_args(slot.annotation)
            if origin is dict and len(args) == 2:
                found.append(Slot(args[1]))
            elif isinstance(part, int) and origin in (list, tuple, set, frozenset) and args:
                found.append(Slot(args[0]))
        for model in self.models(value):
            if part in model.model_fields:
                info = model.model_fields[part]
                found.append(Slot(info.annotation, tuple(info.metadata)))
        return found


def slots_at(model: type[BaseModel], path: KeyPath, data: Any = None) -> list[Slot]:
    """The declared types at a path; `data` (the whole document) tells which kinds are meant."""
    level = [Slot(model)]
    for part in path:
        value = data if isinstance(data, (dict, str)) else None
        level = [below for slot in level for below in slot.down(part, value)]
        data = _child(data, part)
    return level


def keys_at(model: type[BaseModel], path: KeyPath, data: Any = None) -> list[str]:
    """The valid keys of the mapping at a path."""
    value = data
    for part in path:
        value = _child(value, part)
    value = value if isinstance(value, (dict, str)) else None
    names = [n for slot in slots_at(model, path, data) for m in slot.models(value) for n in m.model_fields]
    return list(dict.fromkeys(names))


def all_keys(model: type[BaseModel], data: Any = None, depth: int = 4) -> list[str]:
    """Every dotted key of an option class, down to `depth`; used to place a key that stands in the wrong mapping."""
    found: list[str] = []

    def visit(slot: Slot, value: Any, prefix: str, left: int) -> None:
        for owner in slot.models(value):
            for name, info in owner.model_fields.items():
                found.append(prefix + name)
                if left > 1:
                    below = _child(value, name)
                    below = below if isinstance(below, (dict, str)) else None
                    visit(Slot(info.annotation, tuple(info.metadata)), below, f"{prefix}{name}.", left - 1)

    visit(Slot(model), data if isinstance(data, dict) else None, "", depth)
    return list(dict.fromkeys(found))


def _child(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and -len(data) <= part < len(data):
        return data[part]
    return None
