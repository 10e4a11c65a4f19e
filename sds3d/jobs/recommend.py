"""Completing a configuration with what the chosen prior recommends.

Published defaults of a method belong to the models of its paper; a small pixel model wants others. A prior's
module may hold `RECOMMENDED`, plain data of the form

    {"guidance": {"<method>": {option: value, ...}, ...}, "optimize": {...}, "threads": 1, ...}

Values that the user gave always win; the resolved config shows every one. A representation that is a sound asks for
the prior that hears, and for the method that suits it, where the config names none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from copy import deepcopy
from typing import Any

from ..config.kinds import modules
from ..config.source import Document
from ..core.schedules import KINDS as SCHEDULES
from .schema import GUIDANCE, JUDGES, PRIORS, REPRESENTATIONS, RunConfig, StageOptions


def fill(document: Document) -> None:
    """Add the recommended values to a document and to each of its stages, in place, where they say nothing.

    A document that is malformed where this would look is left as it is: validation reports it.
    """
    if not isinstance(document.data, dict) or document.data.get("capture") is not None:
        return  # photographs ask no prior
    _hear(document.data)
    _complete(document.data, RunConfig.model_fields)
    stages = document.data.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict):
            _complete(stage, StageOptions.model_fields)


def _hear(data: dict[str, Any]) -> None:
    """Name the audio prior and the method for a representation that is a sound, where nothing is said."""
    scene = REPRESENTATIONS.expand(data.get("representation") or {})
    kind = scene.get(REPRESENTATIONS.key) if isinstance(scene, dict) else None
    options = REPRESENTATIONS.choices().get(kind) if isinstance(kind, str) else None
    if options is not None and "sound" in getattr(options, "forms", ()) and data.get("prior") is None:
        data["prior"] = {"kind": "audio"}
        data.setdefault("guidance", {"method": "cfd"})


def _complete(data: dict[str, Any], sections: Container[str]) -> None:
    """Add the recommended values to a mapping that has those sections."""
    prior, guidance = data.get("prior"), JUDGES.expand(data.get("guidance") or {})
    recommended = _recommended(prior)
    if recommended is None or not isinstance(guidance, dict):
        return
    if isinstance(guidance.get("terms"), list):
        data["guidance"] = guidance | {"terms": [_filled(term, prior) for term in guidance["terms"]]}
    for section, values in recommended.items():
        if section not in sections:
            continue
        if section == "guidance":
            if "terms" not in guidance:
                data["guidance"] = merged(guidance, values.get(guidance.get("method"), {}))
        elif not isinstance(values, Mapping):
            data.setdefault(section, values)
        elif isinstance(data.get(section) or {}, dict):
            data[section] = merged(data.get(section) or {}, values)


def _recommended(prior: Any) -> Mapping[str, Any] | None:
    """What the kind of a prior recommends; None where it cannot be told which one is meant."""
    expanded = PRIORS.expand(prior or {})
    if not isinstance(expanded, dict):
        return None
    module = modules(PRIORS.package, PRIORS.group, PRIORS.key).get(str(expanded.get("kind")))
    return getattr(module, "RECOMMENDED", {})


def _filled(term: Any, prior: Any) -> Any:
    """One of several guidances, completed by what its own prior recommends for its method."""
    if not isinstance(term, dict):
        return term
    guidance, recommended = (
        GUIDANCE.expand(term.get("guidance") or {}),
        _recommended(term.get("prior") or prior),
    )
    if not isinstance(guidance, dict) or recommended is None:
        return term
    values = recommended.get("guidance", {}).get(guidance.get("method"), {})
    return term | {"guidance": merged(guidance, values)}


def merged(given: Mapping[str, Any], recommended: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, completed by `recommended` key by key; schedules are values, not sections."""
    out = dict(given)
    for key, value in recommended.items():
        if key not in out:
            out[key] = deepcopy(value)
        elif _is_section(value) and _is_section(out[key]):
            out[key] = merged(out[key], value)
    return out


def _is_section(value: Any) -> bool:
    """Whether a value is completed key by key: a schedule is not, nor are times that follow a law of their own."""
    return isinstance(value, Mapping) and not set(value) & {*SCHEDULES, "law"}
