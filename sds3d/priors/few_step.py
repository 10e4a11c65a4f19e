"""Models distilled to few steps: at which times they know anything.

Score distillation asks at random times; a few-step model was trained at a handful of them, and its answer elsewhere
means little. The handful goes into NoiseSchedule.known, so that a time is carried to the nearest of it.

| kind | times of a model with T = 1000 | source |
|---|---|---|
| lcm | every T/50th: 19, 39, … 999 | Luo et al. 2023, arXiv 2310.04378, §4.3; `original_inference_steps` |
| turbo | 249, 499, 749, 999 | Sauer et al. 2023, arXiv 2311.17042, §3.3 (N = 4) |
| lightning | evenly to 999, at least the four above | Lin et al. 2024, arXiv 2402.13929 and the makers' word |
| hyper | evenly to 999; one step: 800 | Ren et al. 2024, arXiv 2404.13686, and their model card |

Flows (schnell, SD3.5 turbo …): the same shares of t, in the model's shifted time. SANA-Sprint was distilled at every
time and needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("lcm", "turbo", "lightning", "hyper")

_NAMES = {
    "lcm": r"\blcm\b|latent.consistency",
    "turbo": r"\bturbo\b|schnell",
    "lightning": r"lightning",
    "hyper": r"hyper.?(sd|flux)",
}
_STEPS = re.compile(r"(\d+).?steps?\b")


@dataclass(frozen=True)
class FewStep:
    """How a model was distilled.

    Args:
        kind: one of KINDS. steps: what it is sampled with. why: where that was read.
    """

    kind: str
    steps: int
    why: str


def told_by_name(names: Iterable[str]) -> FewStep | None:
    """What the names of a model's folder, file or LoRAs give away; None for an ordinary model."""
    for name in names:
        words = re.sub(r"[_\-.\s/]+", " ", name.lower())
        for kind, pattern in _NAMES.items():
            if re.search(pattern, words):
                found = _STEPS.search(words)
                return FewStep(kind, int(found[1]) if found else 4, f"the name {name!r}")
    return None


def told_by_scheduler(config: Mapping[str, Any]) -> FewStep | None:
    """A consistency model's scheduler says how many times it was distilled at."""
    if config.get("_class_name") != "LCMScheduler":
        return None
    steps = int(config.get("original_inference_steps", 50))
    return FewStep("lcm", steps, "its scheduler LCMScheduler")


def known_times(few: FewStep, steps: int, flow: bool) -> tuple[float, ...]:
    """t in [0, 1], ascending, at which such a model was trained.

    Args:
        steps: T of the noise schedule. flow: times are continuous, and 1 holds no signal, so that it is left out.
    """
    count = few.steps
    if few.kind == "lcm":
        count = count if count > 8 else 50
    elif few.kind in ("turbo", "lightning"):
        count = max(4, count)
    elif count == 1 and not flow:
        return (0.8,)
    shares = [(k + 1) / count for k in range(count)]
    if flow:
        return tuple(s for s in shares if s < 1.0) or (0.5,)
    return tuple((round(s * steps) - 1) / steps for s in shares)
