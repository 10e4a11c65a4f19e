"""What a run would do and need, told before it begins; memory and time of big models are predicted, not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ConfigError, Sds3dError
from ..priors.kinds.diffusers import Options as ModelOptions
from ..priors.models.architecture import Architecture, load_shape, of_layout
from ..priors.models.memory import GB, Prediction, Workload
from ..priors.models.needed import usual_files
from ..priors.models.places import base_of, locate
from ..priors.models.resolve import resolved
from ..priors.models.table import find
from ..priors.models.tiers import TIERS, choose, open_tiers, predict_tier, workload_of
from .assemble import priors_of, weight_files
from .counting import calls_of
from .device import device_of
from .schema import RunConfig, TermsOptions

ASSUMED_FLOPS = 50e12
"""Arithmetic a second that times are predicted with: a third of a large consumer GPU's peak in half precision."""


@dataclass(frozen=True)
class Plan:
    """What `sds3d run --dry-run` prints.

    Args:
        steps, views: of a run. calls: mean predictions a view and step, None where they cannot be counted (`why_not`).
        tiers: memory tier -> predicted peak in bytes. stages: part of a run -> predicted peak in the chosen tier.
        tier: the one that fits `free` bytes (that it would need where `free` is None).
        seconds: predicted of a step on a GPU with ASSUMED_FLOPS. files: file or folder -> whether it is there.
        problem: why it cannot run, "" where it can. beside: models of further terms, which memory and time leave out.
        device: where it would run on this machine, "" for a plan for another one.
    """

    prompts: tuple[str, ...]
    steps: int
    views: int
    calls: float | None
    why_not: str = ""
    files: Mapping[str, bool] = field(default_factory=dict)
    tiers: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    tier: str = ""
    free: float | None = None
    seconds: float | None = None
    problem: str = ""
    beside: int = 0
    device: str = ""


def make_plan(config: RunConfig, free: float | None = None) -> Plan:
    """The plan of a config; nothing is written, fetched or loaded.

    Args:
        free: bytes of GPU memory to plan for; by default what is free on the GPU that the run would take.
    """
    if config.capture is not None:
        return _of_fit(config)
    calls, why_not = count_calls(config)
    device, problem = ("", "") if free is not None else _place(config)
    plan: dict[str, Any] = {
        "prompts": config.all_prompts(),
        "steps": config.optimize.steps,
        "views": config.optimize.views,
        "calls": calls,
        "why_not": why_not,
        "files": {k: v for prior in priors_of(config) for k, v in needed_files(prior).items()},
        "device": device,
    }
    models = [prior for prior in priors_of(config) if isinstance(prior, ModelOptions)]
    if problem or not models:
        return Plan(**plan, problem=problem)
    if device.startswith("cuda"):
        free = float(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        memory = _memory(config, models[0], max(1, round(2 if calls is None else calls)), free)
    except Sds3dError as error:
        return Plan(**plan, free=free, problem=str(error))
    return Plan(**plan, free=free, beside=len(models) - 1, **memory)


def _of_fit(config: RunConfig) -> Plan:
    """Photographs are fitted without a model."""
    assert config.capture is not None, "asked of fits"
    device, problem = _place(config)
    cameras = Path(config.capture.file or config.capture.source)
    return Plan(
        config.all_prompts(),
        config.optimize.steps,
        config.optimize.views,
        0,
        files={str(cameras): cameras.exists()},
        problem=problem,
        device=device,
    )


def _place(config: RunConfig) -> tuple[str, str]:
    """(the run's device, why it cannot be had)."""
    try:
        return str(device_of(config)), ""
    except ConfigError as error:
        return "", str(error)


def count_calls(config: RunConfig) -> tuple[float | None, str]:
    """(predictions a view and step, why they could not be counted): the mean over a run on a prior that is free.

    Of several guidances: the sum, or where one judges at a time their mean by chance.
    """
    try:
        steps = config.optimize.steps
        calls = [calls_of(one.config, steps) / steps for one in config.apart()]
    except Sds3dError as error:
        return None, str(error)
    guidance, shares = config.guidance, [1.0] * len(calls)
    if isinstance(guidance, TermsOptions) and guidance.mix == "alternate":
        total = sum(term.chance for term in guidance.terms)
        shares = [term.chance / total for term in guidance.terms]
    return sum(share * one for share, one in zip(shares, calls, strict=True)), ""


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
    layout = check_folder(resolved(prior).folder, prior.file, prior.size, prior.trust)
    return of_layout(layout), max(layout.size)


def _memory(config: RunConfig, prior: ModelOptions, branches: int, free: float | None) -> dict[str, Any]:
    architecture, size = architecture_of(prior)
    dtype = torch.float16 if prior.precision == "auto" else getattr(torch, prior.precision)
    # predictions of one state go together in one forward; methods that walk make theirs one after another
    work = workload_of(prior, size, dtype, config.optimize.views, min(branches, 4))
    wanted = open_tiers(prior)
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
    text: str, architecture: Architecture, work: Workload, needs: Mapping[str, float], free: float
) -> str:
    """The reason, and what would fit where the config rules it out: a smaller tier, or quantised weights."""
    packed = work.quantize != "none" or work.packed is not None
    others = [(tier, work) for tier in TIERS if tier not in needs and not (packed and tier == "offload")]
    if not packed:
        others += [("tight", replace(work, quantize=name)) for name in ("torchao-int8", "bnb-nf4")]
    for tier, smaller in others:
        need = predict_tier(architecture, smaller, tier).peak
        if need <= free:
            more = "" if smaller is work else f" prior.quantize={smaller.quantize}"
            return f"{text} prior.memory={tier}{more} is predicted to fit with {need / GB:.1f} GB."
    return text
