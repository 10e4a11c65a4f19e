"""Which families of models there are, and which one a folder holds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from ..core import plugins
from .families.base import Family

PACKAGE = "sds3d.priors.families"
GROUP = "sds3d.families"


@cache
def families() -> dict[str, Family]:
    """Name -> family, found by scanning the package and the entry points."""
    found: dict[str, Family] = {}
    for target in plugins.scan(PACKAGE, GROUP).values():
        for family in getattr(importlib.import_module(target), "FAMILIES", ()):
            found[family.name] = family
    return found


def family_of(index: Mapping[str, Any]) -> Family | None:
    """The family of a model_index.json: by the pipeline's name, else by the classes of its parts; None if neither."""
    name = pipeline_name(index)
    by_name = [f for f in families().values() if name in f.pipelines]
    if by_name:
        return by_name[0]
    # somebody's own pipeline over the usual parts
    alike = [f for f in families().values() if not differences(f, index)]
    return alike[0] if alike else None


def pipeline_name(index: Mapping[str, Any]) -> str:
    """`_class_name`; folders with code of their own have [module, name]."""
    value = index.get("_class_name", "no pipeline class")
    return str(value[-1] if isinstance(value, list) else value)


def parts_of(index: Mapping[str, Any]) -> dict[str, str]:
    """Component -> class, those that are there."""
    return {
        name: str(value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1] and not name.startswith("_")
    }


def differences(family: Family, index: Mapping[str, Any]) -> list[str]:
    """Components that a model of this family has in another class, lacks, or does not have."""
    parts = parts_of(index)
    wanted = wanted_parts(family)
    wrong = [
        name
        for name, classes in wanted.items()
        if parts.get(name) not in classes and not (name in family.optional and name not in parts)
    ]
    return wrong + [name for name in _MODELS if name in parts and name not in wanted]


_MODELS = (
    "unet",
    "transformer",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "vae",
    "controlnet",
    "image_encoder",
    "prior",
)


def wanted_parts(family: Family) -> dict[str, tuple[str, ...]]:
    """Component -> accepted classes: denoiser, autoencoder, text encoders."""
    vae = {"vae": (family.vae,)} if family.vae else {}
    return {family.network: family.networks, **vae, **family.encoders}
