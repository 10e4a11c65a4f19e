"""The base of every typed option class, and the field types that YAML needs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

from ..core import schedules


class Options(BaseModel):
    """Typed options: frozen, no unknown keys, every field with a description.

    One definition is the YAML, the help text, the JSON schema and the web form.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )


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
