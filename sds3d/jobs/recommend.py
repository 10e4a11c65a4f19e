"""Completing a configuration with what the chosen prior recommends.

Published defaults of a method belong to the models of its paper; a small pixel model wants others. A prior's
module may hold `RECOMMENDED`, plain data of the form

    {"guidance": {"<method>": {option: value, ...}, ...}, "optimize": {...}, "threads": 1, ...}

Values that the user gave always win; the resolved config shows every one.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from ..config.kinds import modules
from ..config.source import Document
from ..core.schedules import KINDS as SCHEDULES
from .schema import GUIDANCE, PRIORS


def fill(document: Document) -> None:
    """Add the recommended values to a document, in place, where it says nothing.

    A document that is malformed where this would look is left as it is: validation reports it.
    """
    data = document.data
    if not isinstance(data, dict):
        return
    prior = PRIORS.expand(data.get("prior") or {})
    guidance = GUIDANCE.expand(data.get("guidance") or {})
    if not isinstance(prior, dict) or not isinstance(guidance, dict):
        return
    module = modules(PRIORS.package, PRIORS.group, PRIORS.key).get(str(prior.get("kind")))
    recommended = getattr(module, "RECOMMENDED", {})
    for section, values in recommended.items():
        if section == "guidance":
            values = values.get(guidance.get("method"), {})
            data["guidance"] = _merged(guidance, values)
        elif not isinstance(values, Mapping):
            data.setdefault(section, values)
        elif isinstance(data.get(section) or {}, dict):
            data[section] = _merged(data.get(section) or {}, values)


def _merged(given: Mapping[str, Any], recommended: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, completed by `recommended` key by key; schedules are values, not sections."""
    out = dict(given)
    for key, value in recommended.items():
        if key not in out:
            out[key] = deepcopy(value)
        elif _is_section(value) and _is_section(out[key]):
            out[key] = _merged(out[key], value)
    return out


def _is_section(value: Any) -> bool:
    """Whether a value is completed key by key: a schedule is not, nor are times that follow a law of their own."""
    return isinstance(value, Mapping) and not set(value) & {*SCHEDULES, "law"}
