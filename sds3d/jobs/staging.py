"""Stages of a run: each is the run's own options with what it changes, and starts from what the one before it made.

In a stage, a section (prior, representation, guidance, cameras, optimize) that is

    left out            is the run's
    a mapping           changes single keys of the run's, if it names no other kind than the run's
    a word, or another  stands for itself; nothing of the run's is left
    kind's mapping

In config.yaml every stage holds every option, so that reading it again changes nothing.
"""

from __future__ import annotations

from typing import Any

from ..config.kinds import KindOf
from ..config.source import Document
from .recommend import merged
from .schema import JUDGES, PRIORS, REPRESENTATIONS

_KINDS: dict[str, KindOf] = {"prior": PRIORS, "representation": REPRESENTATIONS, "guidance": JUDGES}
SECTIONS = (*_KINDS, "cameras", "optimize", "reference")
"""What a stage completes by the run's own."""


def unfold(document: Document) -> None:
    """Write the run's own options into each stage of a document, in place, where the stage leaves them out.

    A document that is malformed where this would look is left as it is: validation reports it.
    """
    data = document.data
    stages = data.get("stages") if isinstance(data, dict) else None
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        if not isinstance(stage, dict):
            continue
        for section in SECTIONS:
            if data.get(section) is None:
                continue
            stage[section] = _together(section, stage.get(section), data[section])
            for path, mark in list(document.marks.items()):
                if path[:1] == (section,):
                    document.marks.setdefault(("stages", index, *path), mark)


def _together(section: str, own: Any, run: Any) -> Any:
    """A section of a stage, completed by the run's."""
    if own is None:
        return run
    kinds = _KINDS.get(section)
    if kinds is None:
        return merged(own, run) if isinstance(own, dict) and isinstance(run, dict) else own
    base = kinds.expand(run)
    if not isinstance(own, dict) or not isinstance(base, dict):
        return own
    named = kinds.key in own or "terms" in own
    if named and kinds.expand(own).get(kinds.key) != base.get(kinds.key):
        return own
    return merged(own, base)
