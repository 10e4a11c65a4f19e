"""A converted config as YAML with the notes above it."""

from __future__ import annotations

from pathlib import Path

import yaml

from ...config.dump import dumper
from .. import configs
from .reading import Outcome


def check(out: Outcome) -> None:
    """Read the config as a run would; what it asks for must exist.

    Raises:
        ConfigError: names the key that is wrong.
    """
    configs.from_mapping(out.config)


def to_yaml(out: Outcome, file: Path) -> str:
    """The config; what differs, what was not converted and what is missing stand above it as comments."""
    lines = [f"Converted from {file.name}, a config of threestudio."]
    for title, notes in (
        ("Means something else here:", out.differences),
        ("Not converted:", out.unread),
        ("Missing here, the run would differ:", out.missing),
    ):
        lines += [title, *(f"  {note}" for note in notes)] if notes else []
    head = "".join(f"# {line}\n" for text in lines for line in text.splitlines())
    body = yaml.dump(out.config, Dumper=dumper(), sort_keys=False, allow_unicode=True, width=110)
    return head + body
