"""What commands share in printing results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import typer


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Iterable[tuple[str, Any]], indent: str = "") -> None:
    """Names and values in two columns; mappings are indented under their name."""
    rows = list(rows)
    width = max((len(name) for name, value in rows if not isinstance(value, Mapping)), default=0)
    for name, value in rows:
        if isinstance(value, Mapping):
            typer.echo(f"{indent}{name}")
            print_table(value.items(), indent + "  ")
        else:
            typer.echo(f"{indent}{name:<{width}}  {_text(value)}".rstrip())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(v) for v in value) or "none"
    return "none" if value is None or value == "" else str(value)


def size(count: float) -> str:
    """Bytes as `12 kB`, `3.4 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
