"""What there is to know about each method, read from its docstring, its options and its recipe."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sds3d.config.dump import plain
from sds3d.config.kinds import modules

from .recipe import Recipe
from .registry import GROUP, PACKAGE, preset

FAMILIES = MappingProxyType(
    {
        "the original": ("sds", "sjc", "hifa"),
        "better noise": ("ism", "tsm", "sdi", "cfd"),
        "better reference": ("csd", "nfsd", "asd", "vsd", "esd"),
        "anchored to a source": (
            "dds",
            "pds",
            "dreamcatalyst",
            "ssd_edit",
            "csd_edit",
            "csd_collab",
            "lusd",
            "dataset_update",
            "sdedit",
        ),
        "weighted draws": ("rewardsds", "rewardvsd"),
        "sounds": ("audiosds",),
        "your own": ("free",),
    }
)
"""Family -> our methods; a third party's file says its own in a constant FAMILY."""

_PARTS = ("Source", "Defaults", "Cost", "Pitfalls")


@dataclass(frozen=True)
class Method:
    """A method as people are told of it.

    Args:
        title: "SDS: the guided noise prediction …". formula: lines in the paper's symbols. source: the paper, and how
            far it was verified. arxiv: its number, "" for none. defaults, cost, pitfalls: sentences.
        needs: beside a prompt, such as "source views". memory: beyond prior and representation.
        options: (key, default as in YAML, description).
    """

    name: str
    title: str
    family: str
    formula: str
    source: str
    arxiv: str
    year: str
    defaults: str
    cost: str
    pitfalls: str
    needs: tuple[str, ...]
    memory: str
    options: tuple[tuple[str, Any, str], ...]

    @property
    def calls(self) -> str:
        """The first clause of the cost."""
        return re.split(r"[;.](?:\s|$)", self.cost)[0]


def method(name: str) -> Method:
    """All about one method.

    Raises:
        ConfigError: unknown; the text names the nearest.
    """
    function = preset(name)
    module = modules(PACKAGE, GROUP, "method")[name]
    told, options = sections(inspect.getdoc(function) or ""), module.Options()
    found = re.search(r"arXiv\s+(\d{4}\.\d{4,5})", told["Source"])
    year = re.search(r"\b(19|20)\d\d\b", told["Source"])
    recipe = function(options)
    values = plain(options)
    return Method(
        name=name,
        title=told["title"],
        family=getattr(module, "FAMILY", _family(name)),
        formula=told["formula"],
        source=told["Source"],
        arxiv=found.group(1) if found else "",
        year=year.group(0) if year else "",
        defaults=told["Defaults"],
        cost=told["Cost"],
        pitfalls=told["Pitfalls"],
        needs=needs(recipe),
        memory=memory(recipe),
        options=tuple(
            (key, values[key], " ".join((field.description or "").split()))
            for key, field in module.Options.model_fields.items()
            if key != "method"
        ),
    )


def all_methods() -> list[Method]:
    """Every method, family by family."""
    order = list(FAMILIES)
    found = [method(name) for name in modules(PACKAGE, GROUP, "method")]
    return sorted(
        found, key=lambda m: (order.index(m.family) if m.family in order else len(order), m.year, m.name)
    )


def sections(text: str) -> dict[str, str]:
    """A preset's docstring taken apart: title, formula (the indented lines), and the named paragraphs."""
    out = dict.fromkeys(("title", "formula", *_PARTS), "")
    lines = text.splitlines()
    out["title"] = lines[0] if lines else ""
    out["formula"] = inspect.cleandoc("\n".join(line for line in lines[1:] if line.startswith("    ")))
    here = ""
    for line in lines[1:]:
        head = re.match(rf"({'|'.join(_PARTS)}): (.*)", line)
        if head:
            here, out[head.group(1)] = head.group(1), head.group(2)
        elif not line.strip():
            here = ""
        elif here:
            out[here] += " " + line.strip()
    return out


def needs(recipe: Recipe) -> tuple[str, ...]:
    """What a recipe needs beside a prompt."""
    out = []
    if recipe.source:
        out.append("source views")
    if "src" in recipe.branches:
        out.append("source prompt")
    if "neg" in recipe.branches:
        out.append("negative prompt")
    if recipe.dataset is not None:
        out.append("fixed places")
    if recipe.draw_weights is not None:
        out.append("reward model")
    out += [f"render's {name}" for name in sorted(recipe.noise.media)]
    return tuple(out)


def memory(recipe: Recipe) -> str:
    """What a recipe keeps in memory beyond prior and representation."""
    parts = [
        "critic and its optimizer" if recipe.critic is not None else "",
        "reward model" if recipe.draw_weights is not None else "",
        "noise on the object" if recipe.noise.media else "",
        "edited pictures" if recipe.dataset is not None else "",
        "a mask a view" if any(step.name == "mask" for step in recipe.residual_post) else "",
    ]
    return ", ".join(p for p in parts if p) or "none"


def _family(name: str) -> str:
    return next((family for family, names in FAMILIES.items() if name in names), "other")
