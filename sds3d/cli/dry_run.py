"""What `sds3d run --dry-run` prints."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ..core.errors import ConfigError
from .output import print_json

if TYPE_CHECKING:
    from ..jobs.plan import Plan
    from ..jobs.schema import RunConfig


def dry_run(config: RunConfig, gpu_gb: float | None, as_json: bool) -> int:
    """Print the plan of a config; 0 where it can run, 1 where not.

    Args:
        gpu_gb: memory of the GPU to plan for; by default what is free here.
    """
    from ..jobs.plan import make_plan
    from ..priors.models.offline import is_offline

    room = None if gpu_gb is None else gpu_gb * 1e9
    plans = dict(zip(config.stage_names(), (make_plan(one, room) for one in config.in_stages()), strict=True))
    if as_json:
        parts = {name: asdict(plan) for name, plan in plans.items()}
        print_json({"stages": parts} if config.stages else parts[""])
    else:
        for name, plan in plans.items():
            for line in [f"stage     {name}"] * bool(name) + _lines(plan):
                typer.echo(line)
    missing = [name for plan in plans.values() for name, there in plan.files.items() if not there]
    problems = [*_refusals(config), *(plan.problem for plan in plans.values() if plan.problem)]
    for problem in dict.fromkeys(problems):
        print(f"error: {problem}", file=sys.stderr)
    # what is missing is fetched by the run itself, unless the network is off
    return int(bool(problems or (missing and is_offline())))


def _refusals(config: RunConfig) -> list[str]:
    """What the run would be refused for, beside what a plan tells of devices, memory and files."""
    from ..jobs.batch import check_choices, served

    try:
        check_choices(config, here=False)
    except ConfigError as error:
        return [str(error)]
    return [refusal.reason for refusal in served(config)[1]]


def _lines(plan: Plan) -> list[str]:
    runs = len(plan.prompts)
    lines = [f"runs      {runs}: {', '.join(plan.prompts[:4])}{' …' if runs > 4 else ''}"]
    lines.append(f"steps     {plan.steps} a run, {plan.views} views a step")
    if plan.device:
        lines.append(f"device    {plan.device}")
    if plan.calls is None:
        lines.append(f"network   predictions could not be counted: {plan.why_not}")
    else:
        total = round(plan.calls * plan.views * plan.steps)
        lines.append(
            f"network   {plan.calls:.3g} predictions a view and step (mean over a run), {total} in a run"
        )
    if plan.tiers:
        room = (
            "no GPU that torch can use here"
            if plan.free is None
            else f"{plan.free / 1e9:.1f} GB of GPU memory to plan for"
        )
        others = f"; of the first model only, {plan.beside} more judge beside it" if plan.beside else ""
        lines.append(f"memory    predicted, not measured; {room}{others}")
        for tier, need in plan.tiers.items():
            fits = "" if plan.free is None else ("  fits" if need <= plan.free else "  does not fit")
            lines.append(f"  prior.memory={tier:<8} {need / 1e9:6.1f} GB{fits}")
    if plan.stages:
        lines.append(f"  parts of a run with prior.memory={plan.tier}:")
        lines += [f"    {name:<26} {need / 1e9:6.1f} GB" for name, need in plan.stages.items()]
    if plan.seconds is not None:
        hours = plan.seconds * plan.steps / 3600
        lines.append(
            f"time      predicted: {plan.seconds:.2f} s a step, {hours:.1f} h a run, on a GPU that does 50 TFLOP/s; "
            "rendering is not counted"
        )
    if plan.files:
        there = sum(plan.files.values())
        lines.append(f"files     {there} of {len(plan.files)} on this disk")
        lines += [f"  {'here   ' if here else 'MISSING'}  {name}" for name, here in plan.files.items()]
    return lines
