"""The base of every typed option class, and the field types that YAML needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from ..core import schedules

_SCALARS = ("int", "float", "bool", "str")


def _make_scalars_strict(schema: Any) -> None:
    """Set `strict` on every int, float, bool and str inside a core schema, in place."""
    if isinstance(schema, dict):
        if schema.get("type") in _SCALARS:
            schema["strict"] = True
        for key, part in schema.items():
            if key not in ("default", "metadata", "serialization"):
                _make_scalars_strict(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _make_scalars_strict(part)


class Options(BaseModel):
    """Typed options: frozen, no unknown keys, every field with a description.

    One definition is the YAML, the help text, the JSON schema and the web form. Scalars are taken strictly (no
    text for a number, no true for 1), while a YAML list may become a tuple.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(handler.resolve_ref_schema(schema))
        return schema


def held(names: tuple[str, ...], value: Any) -> str | None:
    """The one of these names that is a key of a mapping or a field of options: it tells members of a union apart."""
    keys = type(value).model_fields if isinstance(value, Options) else value
    return next((name for name in names if name in keys), None) if isinstance(keys, Mapping) else None


def _parse_schedule(value: Any) -> schedules.Schedule:
    return schedules.parse(value)


_NUMBER = {"type": "number"}
_PAIR = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}

Scalar = Annotated[
    schedules.Schedule,
    PlainValidator(_parse_schedule),
    PlainSerializer(lambda s: s.to_config()),
    WithJsonSchema(
        {
            "description": "a number, or a schedule over the run",
            "anyOf": [
                _NUMBER,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 2,
                    "properties": {
                        "constant": _NUMBER,
                        "linear": _PAIR,
                        "sqrt": _PAIR,
                        "cosine": _PAIR,
                        "exponential": _PAIR,
                        "piecewise": {"type": "array", "items": _PAIR, "minItems": 1},
                        "warmup": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                },
            ],
        }
    ),
]
"""A number that may change over the run; see core.schedules for the forms."""

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in [0, 1], such as a channel of a colour."""
