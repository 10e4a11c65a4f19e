"""Which identity is proven by which test, in which dresses; writes docs/evidence/guidance-oracles.md.

    python benchmarks/guidance_oracles.py

Runs every test that carries the marker `oracle` and notes which exact priors it made: their predictions and schedules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evidence" / "guidance-oracles.md"
FORMS = {"epsilon": "eps", "v": "v", "x0": "x0", "velocity": "velocity"}


class Recorder:
    """A pytest plugin: oracle -> tests that passed, and the (schedule, native prediction) of the answers in them."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = {}
        self.dresses: dict[str, set[tuple[str, str]]] = {}
        self.failed: list[str] = []
        self._made: set[tuple[str, str]] = set()

    def pytest_collection_finish(self) -> None:
        """Note every answer of a prior or critic that is made from now on."""
        from sds3d.priors.base import Prediction

        of, made = Prediction.of, self._made

        def noted(output, z_t, alpha, sigma, prediction):  # type: ignore[no-untyped-def]
            kind = kind_of(float(alpha.flatten()[0]), float(sigma.flatten()[0]))
            made.update({(kind, prediction)} if kind else ())
            return of(output, z_t, alpha, sigma, prediction)

        Prediction.of = noted  # type: ignore[method-assign]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """What a test made while it ran."""
        self._made.clear()
        outcome = yield
        name = f"{item.path.stem}::{item.originalname}"  # type: ignore[attr-defined]
        if outcome.excinfo is not None:  # type: ignore[attr-defined]
            self.failed.append(item.nodeid)
            return
        for number in (n for mark in item.iter_markers("oracle") for n in mark.args):
            self.tests.setdefault(number, set()).add(name)
            self.dresses.setdefault(number, set()).update(self._made)


def kind_of(alpha: float, sigma: float) -> str:
    """What kind of schedule has these levels; "" for a wrong one, as some controls have, and at its ends."""
    if abs(alpha**2 + sigma**2 - 1.0) < 1e-5:
        return "" if min(alpha, sigma) < 1e-5 else "vp"
    return "rf" if abs(alpha + sigma - 1.0) < 1e-5 else ""


def forms_on(kind: str, dresses: set[tuple[str, str]]) -> str:
    """The native predictions on that kind of schedule, in words."""
    forms = [short for form, short in FORMS.items() if (kind, form) in dresses]
    return "all" if len(forms) == len(FORMS) else ", ".join(forms) or "–"


def page(found: Recorder, oracles: dict[str, str]) -> str:
    """The table, and how it was made."""
    names = {name for tests in found.tests.values() for name in tests}
    asking = [n for n in oracles if found.dresses.get(n)]
    full = sum({form for _, form in found.dresses[n]} == set(FORMS) for n in asking)
    lines = [
        "# Oracles of the guidance methods",
        "",
        f"{len(oracles)} identities, {len(names)} tests. Written by `python benchmarks/guidance_oracles.py`, which",
        "runs them and notes the native prediction (eps, v, x0, velocity) and the schedule (VP: variance preserving,",
        "RF: rectified flow) of every answer of a prior or critic in them. Inputs are random (hypothesis) unless an",
        "identity has none. Numbers with OX are mistakes that must be noticed.",
        "",
        f"{len(asking)} of them ask a prior; {full} of these are shown in all four native predictions. The other",
        f"{len(oracles) - len(asking)} (a dash in both columns) speak of a schedule, times, the density of a law,",
        "clipping, noise on a surface, or weights of draws alone: no native prediction comes in. A dash in one",
        "column: the identity is stated on the other kind of schedule. One gradient in eight dresses (O11.1) is shown",
        "for every method, so that an identity that is shown in one dress holds in all of them.",
        "",
        "| number | what it says | tests | VP | RF |",
        "|---|---|---|---|---|",
    ]
    for number, said in oracles.items():
        tests = ", ".join(f"`{name}`" for name in sorted(found.tests.get(number, ())))
        dresses = found.dresses.get(number, set())
        lines.append(
            f"| {number} | {said} | {tests} | {forms_on('vp', dresses)} | {forms_on('rf', dresses)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, write, and tell; 1 where a test fails or an oracle has none."""
    sys.path.insert(0, str(ROOT / "tests"))
    from oracle_list import ORACLES

    found = Recorder()
    files = [str(p) for p in sorted((ROOT / "tests").glob("test_*.py")) if "mark.oracle(" in p.read_text()]
    selected = ["-m", "oracle and not slow and not cuda", "-n", "0", "-p", "no:cacheprovider"]
    code = int(pytest.main(["-q", f"--rootdir={ROOT}", *selected, *files], plugins=[found]))
    missing = sorted(set(ORACLES) - set(found.tests))
    if code or found.failed or missing:
        print(f"failed: {', '.join(found.failed) or 'none'}; without a test: {', '.join(missing) or 'none'}")
        return 1
    PAGE.write_text(page(found, ORACLES))
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
