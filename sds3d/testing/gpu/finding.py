"""What a check found, and carrying checks out so that none stops the others."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch

from ...core.errors import ConfigError, NonFiniteError, Sds3dError
from ...optimize.out_of_memory import ADVICE, OutOfMemory
from .bench import Bench

Verdict = Literal["ok", "wrong", "skipped"]

REPORT = (
    "This is a defect of sds3d: report it and attach the file that `sds3d doctor --gpu --save FILE` writes."
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: of the check. did: what was done, in words. detail: what came out.
        advice: what to do where the verdict is "wrong", or how to have what was skipped.
        numbers: what was measured, JSON values. seconds: how long it took.
    """

    name: str
    did: str
    verdict: Verdict
    detail: str
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "numbers": dict(self.numbers),
            "seconds": round(self.seconds, 3),
        }


class Check(Protocol):
    """Something to look at."""

    @property
    def name(self) -> str:
        """Unique."""
        ...

    @property
    def does(self) -> str:
        """What `run` will do, in words."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of checks without which this one means nothing."""
        ...

    def run(self, bench: Bench) -> Outcome | Sequence[Finding]:
        """Look; a problem may be told or raised."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What `run` of one check tells; `advice` means that something is wrong. skipped: it could not be looked at."""

    detail: str
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False


def carry_out(checks: Iterable[Check], bench: Bench, tell: Callable[[Finding], None]) -> list[Finding]:
    """Every check in order; one that fails is a finding, and those that need it are skipped.

    Args:
        tell: called with each finding as soon as it is there.
    """
    findings: list[Finding] = []
    failed: dict[str, str] = {}
    for check in checks:
        missing = [name for name in check.needs if name in failed]
        found = [_skipped(check, failed[missing[0]])] if missing else _look(check, bench)
        for finding in found:
            tell(finding)
        if any(f.verdict == "wrong" for f in found):
            failed[check.name] = check.name
        elif missing:
            failed[check.name] = failed[missing[0]]
        findings += found
    return findings


def _skipped(check: Check, because: str) -> Finding:
    return Finding(check.name, check.does, "skipped", f"not run: it needs what failed in: {because}")


def _look(check: Check, bench: Bench) -> list[Finding]:
    start = time.perf_counter()
    try:
        outcome = check.run(bench)
    except Exception as error:  # whatever goes wrong is what the user has to be told, and the others go on
        detail, advice = explained(error)
        outcome = Outcome(detail, advice)
    spent = time.perf_counter() - start
    if not isinstance(outcome, Outcome):
        return [replace(f, seconds=f.seconds or spent / len(outcome)) for f in outcome]
    verdict: Verdict = "skipped" if outcome.skipped else "wrong" if outcome.advice else "ok"
    told = (outcome.detail, outcome.advice, outcome.numbers, spent)
    return [Finding(check.name, check.does, verdict, *told)]


def explained(error: BaseException) -> tuple[str, str]:
    """(what happened, what to do) for an exception."""
    text = str(error).strip() or type(error).__name__
    if no_room(error):
        return f"the disk is full: {_first_line(text)}", "Free some gigabytes on that disk and look again."
    if isinstance(error, (torch.OutOfMemoryError, OutOfMemory)):
        head = "" if isinstance(error, OutOfMemory) else "out of memory: "
        return head + _first_line(text), f"Close other programs on the GPU, or ask for less: {ADVICE}"
    if isinstance(error, NonFiniteError):
        return _first_line(text), REPORT
    if isinstance(error, ConfigError) and error.hint:
        return f"{error.key}: {error.message}".removeprefix(": "), error.hint
    if isinstance(error, Sds3dError):
        return text, "Do as the message says, and look again."
    return f"{type(error).__name__}: {_first_line(text)}", REPORT


def no_room(error: BaseException | None) -> bool:
    """Whether a full disk is behind an exception."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _first_line(text: str) -> str:
    return text.splitlines()[0]
