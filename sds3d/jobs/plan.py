"""What a run would do and need, told before it begins; memory and time of big models are predicted, not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import Sds3dError
from ..optimize.loop import Session
from ..optimize.timing import Stopwatch
from ..priors.kinds.diffusers import Options as ModelOptions
from ..priors.models.architecture import Architecture, load_shape, of_layout
from ..priors.models.memory import GB, Prediction
from ..priors.models.needed import usual_files
from ..priors.models.places import base_of, locate
from ..priors.models.resolve import resolved
from ..priors.models.table import find
from ..priors.models.tiers import TIERS, choose, predict_tier, workload_of
from . import configs
from .assemble import assemble, weight_files
from .schema import RunConfig

ASSUMED_FLOPS = 50e12
"""Arithmetic a second that times are predicted with: a third of a large consumer GPU's peak in half precision."""

_BRANCHES = ("y", "null", "neg", "neg0", "neg1", "src", "skip")
"""Conditions that methods ask for."""


@dataclass(frozen=True)
class Plan:
    """What `sds3d run --dry-run` prints.

    Args:
        steps, views: of a run. calls: predictions a view and step, None where they could not be counted (`why_not`).
        tiers: memory tier -> predicted peak in bytes. stages: part of a run -> predicted peak in the chosen tier.
        tier: the one that fits `free` bytes (that it would need where `free` is None).
        seconds: predicted of a step on a GPU with ASSUMED_FLOPS. files: file or folder -> whether it is there.
        problem: why it cannot run, "" where it can.
    """

    prompts: tuple[str, ...]
    steps: int
    views: int
    calls: int | None
    why_not: str = ""
    files: Mapping[str, bool] = field(default_factory=dict)
    tiers: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    tier: str = ""
    free: float | None = None
    seconds: float | None = None
    problem: str = ""


def make_plan(config: RunConfig, free: float | None = None) -> Plan:
    """The plan of a config; nothing is written, fetched or loaded.

    Args:
        free: bytes of GPU memory to plan for; by default what is free on this machine's GPU.
    """
    calls, why_not = count_calls(config)
    plan: dict[str, Any] = {
        "prompts": config.all_prompts(),
        "steps": config.optimize.steps,
        "views": config.optimize.views,
        "calls": calls,
        "why_not": why_not,
        "files": needed_files(config.prior),
    }
    if not isinstance(config.prior, ModelOptions):
        return Plan(**plan)
    if free is None and torch.cuda.is_available():
        free = float(torch.cuda.mem_get_info()[0])
    try:
        memory = _memory(config, config.prior, calls or 2, free)
    except Sds3dError as error:
        return Plan(**plan, free=free, problem=str(error))
    return Plan(**plan, free=free, **memory)


def count_calls(config: RunConfig) -> tuple[int | None, str]:
    """(predictions a view and step, why they could not be counted): the method's first step on a prior that is free."""
    small = configs.from_mapping(
        {
            "prompt": "a colour",
            "negative_prompt": "grey",
            "prior": {"kind": "analytic", "shape": [3, 8, 8], "conditions": {name: {} for name in _BRANCHES}},
            "representation": {"kind": "grid", "resolutions": [3, 8], "samples": 8, "picture_samples": 8},
            "optimize.views": 4,
            "optimize.steps": config.optimize.steps,
        }
    )
    small = small.model_copy(update={"guidance": config.guidance})
    try:
        stage = assemble(small, Stopwatch())
        log = Session(stage).gradients().log
    except Sds3dError as error:
        return None, str(error)
    return round(float(log["nfe"])), ""


def needed_files(prior: Any) -> dict[str, bool]:
    """File or folder that the prior reads -> whether it is on this disk."""
    entry = find(prior.folder) if isinstance(prior, ModelOptions) else None
    if entry is None or Path(prior.folder).is_dir():
        try:
            return {str(p): p.is_file() for p in weight_files(prior)}
        except Sds3dError as error:
            return {str(error): False}
    files: dict[str, bool] = {}
    for one in (base_of(entry), entry):
        if one is None or not one.readable:
            continue
        found = locate(one)
        place = found.folder or Path(one.repositories[0].id if one.repositories else "")
        files |= {
            str(place / name): found.state == "complete"
            or (found.folder is not None and (place / name).is_file())
            for name in usual_files(one)
        }
    return files


def architecture_of(prior: ModelOptions) -> tuple[Architecture, int]:
    """(architecture, side it was trained at): of the folder if it is here, else of the table's shape.

    Raises:
        Sds3dError: neither is known.
    """
    from ..priors.model_folder import check_folder

    entry = find(prior.folder)
    about = (base_of(entry) or entry) if entry is not None else None
    if about is not None and locate(about).state != "complete":
        if about.shape is None or about.size is None:
            raise Sds3dError(f"{prior.folder}: its architecture is not known here before it is fetched.")
        return load_shape(about.shape), about.size
    layout = check_folder(resolved(prior).folder, prior.file, prior.size)
    return of_layout(layout), max(layout.size)


def _memory(config: RunConfig, prior: ModelOptions, branches: int, free: float | None) -> dict[str, Any]:
    architecture, size = architecture_of(prior)
    dtype = torch.float16 if prior.precision == "auto" else getattr(torch, prior.precision)
    # predictions of one state go together in one forward; methods that walk make theirs one after another
    work = workload_of(prior, size, dtype, config.optimize.views, min(branches, 4))
    wanted = TIERS if prior.memory == "auto" else {prior.memory: TIERS[prior.memory]}
    found: dict[str, Prediction] = {tier: predict_tier(architecture, work, tier) for tier in wanted}
    needs = {tier: p.peak for tier, p in found.items()}
    told: dict[str, Any] = {"tiers": needs}
    try:
        tier = next(iter(needs)) if free is None else choose(needs, free)
    except Sds3dError as error:
        return told | {"problem": _refusal(str(error), architecture, work, needs, free or 0.0)}
    share = branches / work.branches
    return told | {
        "tier": tier,
        "stages": found[tier].stages(),
        "seconds": found[tier].flops * share / ASSUMED_FLOPS,
    }


def _refusal(
    text: str, architecture: Architecture, work: Any, needs: Mapping[str, float], free: float
) -> str:
    """The reason, and the tier that would fit where a smaller one was ruled out by the config."""
    others = [tier for tier in TIERS if tier not in needs]
    for tier in others:
        need = predict_tier(architecture, work, tier).peak
        if need <= free:
            return f"{text} prior.memory={tier} is predicted to fit with {need / GB:.1f} GB."
    return text
