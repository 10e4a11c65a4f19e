"""What changes over a run, drawn before anything runs: one SVG, a panel a number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

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


@dataclass(frozen=True)
class Panel:
    """One number over the steps.

    Args:
        lines: values at equal distances over the run, one sequence a line; two lines are the bounds of a band.
    """

    title: str
    lines: tuple[tuple[float, ...], ...]

    def at(self, share: float) -> str:
        """Its value, or "low to high", at that share of the run."""
        values = [line[round(share * (len(line) - 1))] for line in self.lines]
        return f"{values[0]:.4g}" if len(set(values)) == 1 else f"{min(values):.4g} to {max(values):.4g}"


def panels(config: RunConfig) -> list[Panel]:
    """t, w(t), then every number of guidance, loop and representation that changes, and a few that always matter.

    Of several guidances each has its own, behind its name, and its factor.
    """
    out = [panel for one in config.apart() for panel in _of_guidance(one.name, one.guidance)]
    if isinstance(config.guidance, TermsOptions):
        for term in config.guidance.terms:
            out.append(Panel(f"{term.name}: factor", (_over_the_run(term.factor),)))
            if term.size is not None:
                out.append(Panel(f"{term.name}: size", (_over_the_run(term.size),)))
    for section in ("optimize", "representation"):
        out += _changing(getattr(config, section), section, "")
    return out


def _of_guidance(name: str, options: GuidanceOptions) -> list[Panel]:
    """Bounds of t, the weight there, and what else of a guidance changes."""
    times, weight = options.times.build(), preset(options.method)(options).weight
    low, high = (_over_the_run(bound) for bound in (times.low, times.high))
    schedule, before = stable_diffusion_schedule(), f"{name}: " if name else ""
    weights = tuple(
        tuple(float(w) for w in weigh(weight, torch.tensor(t, dtype=torch.float64), schedule))
        for t in (low, high)
    )
    told = "w(t) at these bounds (Stable Diffusion's t)"
    out = [Panel(f"{before}t between", (low, high)), Panel(f"{before}{told}", weights)]
    return out + _changing(options, "guidance", before)


def _changing(options: object, section: str, before: str) -> list[Panel]:
    """A panel for every number of a section that changes, and for those that always matter; times have their own."""
    return [
        Panel(before + key, (_over_the_run(value),))
        for key, value in _schedules(options, section)
        if not key.startswith("guidance.times.")
        and (value.kind != "constant" or value.warmup > 0.0 or key in _ALWAYS)
    ]


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


def drawing(found: Sequence[Panel], steps: int) -> str:
    """All panels as one SVG document over `steps` steps."""
    rows = math.ceil(len(found) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    body = "".join(
        f'<g transform="translate({k % COLUMNS * WIDTH} {k // COLUMNS * HEIGHT})">{_panel(p, steps)}</g>'
        for k, p in enumerate(found)
    )
    style = (
        "text{font:11px sans-serif;fill:#333}.name{font-weight:bold}"
        ".end{text-anchor:end}line{stroke:#999}polyline{fill:none;stroke:#2563a8;stroke-width:2}"
        "polygon{fill:#2563a8;fill-opacity:.25}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<style>{style}</style><rect width="{width}" height="{height}" fill="#fff"/>{body}</svg>\n'
    )


def _panel(panel: Panel, steps: int) -> str:
    values = [v for line in panel.lines for v in line]
    bottom, top = min(0.0, *values), max(values)
    span = (top - bottom) or 1.0
    left, right, up, down = 48, WIDTH - 14, 26, HEIGHT - 24

    def place(line: Sequence[float]) -> list[str]:
        return [
            f"{left + (right - left) * k / (len(line) - 1):.1f},{down - (down - up) * (v - bottom) / span:.1f}"
            for k, v in enumerate(line)
        ]

    paths = [place(line) for line in panel.lines]
    band = f'<polygon points="{" ".join(paths[0] + paths[1][::-1])}"/>' if len(paths) == 2 else ""
    curves = "".join(f'<polyline points="{" ".join(p)}"/>' for p in paths)
    return (
        f'<text x="{left}" y="16" class="name">{escape(panel.title)}</text>'
        f'<line x1="{left}" y1="{down}" x2="{right}" y2="{down}"/><line x1="{left}" y1="{up}" x2="{left}" y2="{down}"/>'
        f'<text x="{left - 4}" y="{up + 4}" class="end">{top:.3g}</text>'
        f'<text x="{left - 4}" y="{down}" class="end">{bottom:.3g}</text>'
        f'<text x="{left}" y="{HEIGHT - 8}">0</text>'
        f'<text x="{right}" y="{HEIGHT - 8}" class="end">step {steps}</text>{band}{curves}'
    )
