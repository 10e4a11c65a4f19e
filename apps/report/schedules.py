"""What changes over a run, drawn before anything runs: one SVG, a panel a number, stages one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

import torch
from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.registry import preset
from sds3d.guidance.weights import weigh

from sds3d.config.options import Options
from sds3d.core.schedules import Schedule
from sds3d.jobs.schema import RunConfig, TermsOptions
from sds3d.priors.noise_schedule import stable_diffusion_schedule

POINTS = 101
WIDTH, HEIGHT, COLUMNS = 320, 150, 2
_ALWAYS = ("guidance.cfg_scale", "optimize.size", "optimize.lr")


Lines = tuple[tuple[float, ...], ...]
"""Values at equal distances over a stage, one sequence a line; two lines are the bounds of a band."""


@dataclass(frozen=True)
class Panel:
    """One number over the steps.

    Args:
        stages: what it does in each stage, None where a stage has no such number; one for a run of one stage.
    """

    title: str
    stages: tuple[Lines | None, ...]

    def at(self, share: float, stage: int = 0) -> str:
        """Its value, or "low to high", at that share of a stage; "-" where it is not there."""
        lines = self.stages[stage]
        if lines is None:
            return "-"
        values = [line[round(share * (len(line) - 1))] for line in lines]
        return f"{values[0]:.4g}" if len(set(values)) == 1 else f"{min(values):.4g} to {max(values):.4g}"


@dataclass(frozen=True)
class _Number:
    """What a number does in one stage, and whether that is worth a panel by itself."""

    lines: Lines
    matters: bool = True


def panels(config: RunConfig) -> list[Panel]:
    """t, w(t), then every number of guidance, loop and representation that changes, within a stage or from one to the
    next, and a few that always matter.

    Of several guidances each has its own, behind its name, and its factor.
    """
    each = [_numbers(own) for own in config.in_stages()]
    out = []
    for title in dict.fromkeys(title for numbers in each for title in numbers):
        there = [numbers[title] for numbers in each if title in numbers]
        if any(one.matters for one in there) or len({one.lines for one in there}) > 1:
            lines = (numbers[title].lines if title in numbers else None for numbers in each)
            out.append(Panel(title, tuple(lines)))
    return out


def _numbers(config: RunConfig) -> dict[str, _Number]:
    """All numbers of one stage, by title."""
    out: dict[str, _Number] = {}
    for one in config.apart():
        out |= _of_guidance(one.name, one.guidance)
    if isinstance(config.guidance, TermsOptions):
        for term in config.guidance.terms:
            out[f"{term.name}: factor"] = _Number((_over_the_run(term.factor),))
            if term.size is not None:
                out[f"{term.name}: size"] = _Number((_over_the_run(term.size),))
    for section in ("optimize", "representation"):
        out |= _of_section(getattr(config, section), section, "")
    return out


def _of_guidance(name: str, options: GuidanceOptions) -> dict[str, _Number]:
    """Bounds of t, the weight there, and what else a guidance has."""
    times, weight = options.times.build(), preset(options.method)(options).weight
    low, high = (_over_the_run(bound) for bound in (times.low, times.high))
    schedule, before = stable_diffusion_schedule(), f"{name}: " if name else ""
    weights = tuple(
        tuple(float(w) for w in weigh(weight, torch.tensor(t, dtype=torch.float64), schedule))
        for t in (low, high)
    )
    told = "w(t) at these bounds (Stable Diffusion's t)"
    out = {f"{before}t between": _Number((low, high)), f"{before}{told}": _Number(weights)}
    return out | _of_section(options, "guidance", before)


def _of_section(options: object, section: str, before: str) -> dict[str, _Number]:
    """Every number of a section; times are drawn by themselves."""
    return {
        before + key: _Number(
            (_over_the_run(value),), value.kind != "constant" or value.warmup > 0.0 or key in _ALWAYS
        )
        for key, value in _schedules(options, section)
        if not key.startswith("guidance.times.")
    }


def _over_the_run(value: Schedule) -> tuple[float, ...]:
    return tuple(value(k / (POINTS - 1)) for k in range(POINTS))


def _schedules(options: object, prefix: str) -> Iterator[tuple[str, Schedule]]:
    if isinstance(options, Schedule):
        yield prefix, options
    elif isinstance(options, Options):
        for name in type(options).model_fields:
            yield from _schedules(getattr(options, name), f"{prefix}.{name}")
    elif isinstance(options, dict):
        for name, value in options.items():
            yield from _schedules(value, f"{prefix}.{name}")


def lengths(config: RunConfig) -> list[tuple[str, int]]:
    """Name, "" where there is one, and steps of each stage."""
    names = config.stage_names()
    return [(name, own.optimize.steps) for name, own in zip(names, config.in_stages(), strict=True)]


def drawing(found: Sequence[Panel], stages: Sequence[tuple[str, int]]) -> str:
    """All panels as one SVG document.

    Args:
        stages: see `lengths`.
    """
    rows = math.ceil(len(found) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    body = "".join(
        f'<g transform="translate({k % COLUMNS * WIDTH} {k // COLUMNS * HEIGHT})">{_panel(p, stages)}</g>'
        for k, p in enumerate(found)
    )
    style = (
        "text{font:11px sans-serif;fill:#333}.name{font-weight:bold}.stage{font-size:9px;fill:#777}"
        ".end{text-anchor:end}line{stroke:#999}.seam{stroke-dasharray:2 3}"
        "polyline{fill:none;stroke:#2563a8;stroke-width:2}polygon{fill:#2563a8;fill-opacity:.25}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<style>{style}</style><rect width="{width}" height="{height}" fill="#fff"/>{body}</svg>\n'
    )


def _panel(panel: Panel, stages: Sequence[tuple[str, int]]) -> str:
    values = [v for lines in panel.stages for line in lines or () for v in line]
    bottom, top = min(0.0, *values), max(values)
    span = (top - bottom) or 1.0
    left, right, up, down = 48, WIDTH - 14, 36 if len(stages) > 1 else 26, HEIGHT - 24
    ends = [0, *accumulate(steps for _, steps in stages)]
    places = [left + (right - left) * end / ends[-1] for end in ends]
    body = ""
    for lines, (name, _), start, end in zip(panel.stages, stages, places[:-1], places[1:], strict=True):
        if start > left:
            body += f'<line class="seam" x1="{start:.1f}" y1="{up}" x2="{start:.1f}" y2="{down}"/>'
        body += f'<text x="{start + 2:.1f}" y="{up - 6}" class="stage">{escape(name)}</text>' if name else ""
        paths = [
            [
                f"{start + (end - start) * k / (len(line) - 1):.1f},{down - (down - up) * (v - bottom) / span:.1f}"
                for k, v in enumerate(line)
            ]
            for line in lines or ()
        ]
        body += f'<polygon points="{" ".join(paths[0] + paths[1][::-1])}"/>' if len(paths) == 2 else ""
        body += "".join(f'<polyline points="{" ".join(path)}"/>' for path in paths)
    return (
        f'<text x="{left}" y="16" class="name">{escape(panel.title)}</text>'
        f'<line x1="{left}" y1="{down}" x2="{right}" y2="{down}"/><line x1="{left}" y1="{up}" x2="{left}" y2="{down}"/>'
        f'<text x="{left - 4}" y="{up + 4}" class="end">{top:.3g}</text>'
        f'<text x="{left - 4}" y="{down}" class="end">{bottom:.3g}</text>'
        f'<text x="{left}" y="{HEIGHT - 8}">0</text>'
        f'<text x="{right}" y="{HEIGHT - 8}" class="end">step {ends[-1]}</text>{body}'
    )
