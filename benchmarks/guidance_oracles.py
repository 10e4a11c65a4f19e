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
    """A pytest plugin: oracle -> tests that passed, and the (schedule, prediction) of the priors that they made."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = {}
        self.dresses: dict[str, set[tuple[str, str]]] = {}
        self.failed: list[str] = []
        self._made: set[tuple[str, str]] = set()

    def pytest_collection_finish(self) -> None:
        """Note every prior that is made from now on."""
        from sds3d.priors.kinds.analytic import AnalyticPrior

        make, made = AnalyticPrior.__init__, self._made

        def noted(prior, *args, **kwargs):  # type: ignore[no-untyped-def]
            make(prior, *args, **kwargs)
            made.add((prior.schedule.kind, prior.info.prediction))

        AnalyticPrior.__init__ = noted  # type: ignore[method-assign]

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


def page(found: Recorder, oracles: dict[str, str]) -> str:
    """The table, and how it was made."""
    names = {name for tests in found.tests.values() for name in tests}
    lines = [
        "# Oracles of the guidance methods",
        "",
        f"{len(oracles)} identities, {len(names)} tests. Written by `python benchmarks/guidance_oracles.py`, which",
        "runs them and notes the exact priors that each one makes: their native prediction and schedule (VP: variance",
        "preserving, RF: rectified flow). Inputs are random (hypothesis) unless an identity has none; a dash: it needs",
        "no prior. Numbers with OX are mistakes that must be noticed. One gradient in eight dresses (O11.1) is shown",
        "for every method, so that an identity that is shown in one dress holds in all of them.",
        "",
        "| number | what it says | tests | predictions | schedules |",
        "|---|---|---|---|---|",
    ]
    for number, said in oracles.items():
        tests = ", ".join(f"`{name}`" for name in sorted(found.tests.get(number, ())))
        kinds = found.dresses.get(number, set())
        forms = [short for form, short in FORMS.items() if any(p == form for _, p in kinds)]
        schedules = [kind.upper() for kind in ("vp", "rf") if any(k == kind for k, _ in kinds)]
        lines.append(
            f"| {number} | {said} | {tests} | {', '.join(forms) or '–'} | {', '.join(schedules) or '–'} |"
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
