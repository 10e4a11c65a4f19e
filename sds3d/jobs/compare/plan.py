"""From what was asked to the runs: a cell for each prompt, seed and method."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sds3d.guidance.registry import preset

from ...config import source
from ...config.suggest import listing, nearest
from ...core.errors import ConfigError, PromptError
from .. import configs
from ..assemble import check_model
from ..batch import Refusal, check_choices, served
from ..counting import calls_of, steps_for
from ..edit_options import EditOptions
from ..regions import settled
from ..schema import GUIDANCE, RunConfig
from .asked import Asked

_SPARE = {"optimize": {"preview_steps": 0}, "pictures": {"turntable_frames": 36, "turntable_size": 160}}
"""Where the file says nothing: no previews, and a small film."""


@dataclass(frozen=True)
class Cell:
    """One run of a comparison. `label` is the name of the method in the tables."""

    label: str
    prompt: str
    seed: int
    config: RunConfig


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Args:
        name: for the folder. cells: prompt by prompt, seed by seed, method by method. labels, prompts, seeds: in order;
            differences are taken to the first label. equal: "steps" or "nfe". budget: predictions a view (nfe).
        flat: whether pictures are made. refused: prompts that the prior cannot serve.
    """

    name: str
    cells: tuple[Cell, ...]
    labels: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    equal: str
    budget: float | None
    flat: bool
    refused: tuple[Refusal, ...] = ()

    def config_of(self, label: str) -> RunConfig:
        """The config of a method's first run."""
        return next(cell.config for cell in self.cells if cell.label == label)


def plan(asked: Asked) -> Comparison:
    """All runs, each validated.

    Raises:
        ConfigError: no methods, one that does not exist or cannot be compared, or a key of the run is wrong.
        PromptError: the prior can serve none of the prompts. ModelError: its model is not on this disk.
    """
    labels = tuple(asked.options.methods)
    if not labels:
        raise ConfigError(
            "names no methods.",
            key="methods",
            hint="Add --methods sds,csd or `methods: [sds, csd]` in the file.",
        )
    samples = {label: _config(asked, label) for label in labels}
    for label, config in samples.items():
        _check(asked, label, config)
    first = samples[labels[0]]
    able, refused = served(first)
    if not able:
        raise PromptError(refused[0].reason)
    # a prompt that is written twice is one run: counted twice, it would narrow the intervals
    prompts = list(dict.fromkeys(one.prompt or "" for one in able))
    budget, steps = _steps(asked, samples)
    seeds = tuple(first.seed + k for k in range(asked.options.seeds))
    # a region that the prior finds is looked for once, and is one for all methods
    edits = {p: settled(first.model_copy(update={"prompt": p, "prompts": ()})).edit for p in prompts}
    cells = tuple(
        Cell(label, prompt, seed, _cell(samples[label], label, prompt, seed, steps[label], edits[prompt]))
        for prompt in prompts
        for seed in seeds
        for label in labels
    )
    flat = first.representation.flat
    name = f"{asked.name}-2d" if asked.options.mode == "2d" else asked.name
    return Comparison(
        name, cells, labels, tuple(prompts), seeds, asked.options.equal, budget, flat, tuple(refused)
    )


def _config(asked: Asked, label: str) -> RunConfig:
    """The config of a method, with all prompts."""
    given = dict(asked.options.methods[label])
    method = given.pop("method", label)
    mark = asked.document.mark(("methods", label))
    if method not in GUIDANCE.choices():
        close = nearest(method, GUIDANCE.choices()) if isinstance(method, str) else None
        hint = f"Did you mean {close}? " if close else ""
        hint += f"Methods are {listing(GUIDANCE.choices(), 30)}; another label needs `method: …` in the file."
        raise ConfigError(
            f"unknown method {method!r}.", file=mark.file, line=mark.line, key=f"methods.{label}", hint=hint
        )
    data = _completed(deepcopy(asked.document.data), _SPARE)
    data["guidance"] = {"method": method, **given}
    marks = {path: where for path, where in asked.document.marks.items() if path[:1] != ("methods",)}
    for path, where in asked.document.marks.items():
        if path[:2] == ("methods", label):
            marks[("guidance", *path[2:])] = where
    marks.setdefault(("guidance",), mark)
    config = configs.from_document(source.Document(data, marks, list(asked.document.problems)))
    if asked.options.mode == "3d" and config.representation.flat:
        raise ConfigError("is a picture, which has no 3D.", key="representation", hint="Take --mode 2d.")
    if asked.options.mode == "2d" and not config.representation.flat:
        raise ConfigError(
            "is no picture, which mode 2d compares.", key="representation", hint="Take --mode 3d."
        )
    return config


def _check(asked: Asked, label: str, config: RunConfig) -> None:
    """Refuse what cannot be compared before anything is made."""
    if config.stages:
        raise ConfigError(
            "does not go into a comparison, whose runs have one stage.",
            file=asked.document.mark(("stages",)).file,
            line=asked.document.mark(("stages",)).line,
            key="stages",
            hint="Leave it out, and compare each stage by itself.",
        )
    mark, method = asked.document.mark(("methods", label)), config.guidance.method
    place: dict[str, Any] = {"file": mark.file, "line": mark.line, "key": f"methods.{label}"}
    if preset(method)(config.guidance).needs.edits and config.edit is None:
        raise ConfigError(
            f"{method} edits a given object, which a comparison of prompts has not.",
            hint="Leave it out.",
            **place,
        )
    try:
        check_choices(config)
        check_model(config)
    except ConfigError as error:
        of_method = (error.key or "guidance").startswith("guidance")
        where = place if of_method else {"key": error.key}
        raise ConfigError(error.message, hint=error.hint, **where) from error


def _completed(data: dict[str, Any], usual: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    for section, values in usual.items():
        if isinstance(data.get(section, {}), dict):
            data[section] = {**values, **data.get(section, {})}
    return data


def _steps(asked: Asked, samples: Mapping[str, RunConfig]) -> tuple[float | None, dict[str, int]]:
    """(budget of predictions a view, label -> steps)."""
    if asked.options.equal == "steps":
        return None, {label: config.optimize.steps for label, config in samples.items()}
    budget = asked.options.budget
    first = next(iter(samples.values()))
    total = calls_of(first, first.optimize.steps) if budget is None else float(budget)
    return total, {label: steps_for(config, total) for label, config in samples.items()}


def _cell(
    config: RunConfig, label: str, prompt: str, seed: int, steps: int, edit: EditOptions | None
) -> RunConfig:
    optimize = config.optimize.model_copy(update={"steps": steps})
    name = f"{label} {seed} {prompt}"[:80]
    return config.model_copy(
        update={
            "prompt": prompt,
            "prompts": (),
            "seed": seed,
            "name": name,
            "optimize": optimize,
            "edit": edit,
        }
    )


def placed(asked: Comparison, runs: Path) -> Comparison:
    """The same comparison with its run folders under `runs`."""
    cells = [replace(cell, config=cell.config.model_copy(update={"runs": str(runs)})) for cell in asked.cells]
    return replace(asked, cells=tuple(cells))
