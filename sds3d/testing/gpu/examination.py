"""All checks of `sds3d doctor --gpu` in their order, and their findings as one JSON value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from ...jobs.provenance import hardware, versions
from .bench import Bench
from .finding import Check, Finding, carry_out
from .kernels import agreements
from .machine import Driver, Gsplat, Memory, Warp
from .model import Knows, Loads
from .steps import Export, PeakMemory, SamePicture, Steps, TimeSplit

FORMAT = 1
"""Version of the JSON."""


def all_checks(bench: Bench) -> list[Check]:
    """The checks, each after those that it needs."""
    machine: list[Check] = [Driver(), Memory(), Warp(), Gsplat()]
    run: list[Check] = [Loads(), Knows(), Steps(), PeakMemory(), TimeSplit(), SamePicture(), Export()]
    return [*machine, *agreements(bench.gpu.implementations), *run]


def examine(bench: Bench, tell: Callable[[Finding], None] = lambda finding: None) -> list[Finding]:
    """Carry out every check; without a GPU all but the first are skipped.

    Args:
        tell: called with each finding as soon as it is there.
    """
    return carry_out(all_checks(bench), bench, tell)


def is_ok(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong and something was looked at."""
    return any(f.verdict == "ok" for f in findings) and not any(f.verdict == "wrong" for f in findings)


def report(bench: Bench, findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything as JSON values: versions, machine, findings. `rehearsed` tells that no GPU was behind it."""
    return {
        "format": FORMAT,
        "rehearsed": bench.gpu.rehearsed,
        "ok": is_ok(findings),
        "versions": versions() | _kernel_versions(),
        "hardware": hardware(),
        "findings": [f.as_dict() for f in findings],
    }


def _kernel_versions() -> dict[str, str]:
    """Of the packages that bring kernels; "" for those not installed."""
    found = {}
    for name in ("warp-lang", "gsplat", "nvdiffrast", "tinycudann", "nerfacc", "triton"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found
