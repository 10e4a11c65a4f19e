"""From the cells' scores to a table: means with intervals over seeds, and differences to the first method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sds3d.guidance.catalogue import method as told_of

from ...core.errors import Sds3dError
from ...evaluate.intervals import Interval, of_paired_shares, of_share, of_strata
from ..runfolder import RunFolder
from .cells import Result, folder_path, read_result
from .measures import MEASURES, Measure
from .plan import Cell, Comparison


@dataclass(frozen=True)
class Row:
    """One cell and what came of it; `result` is None while it is not finished, `reason` says why it failed."""

    cell: Cell
    folder: RunFolder | None
    result: Result | None
    reason: str = ""


@dataclass(frozen=True)
class Summary:
    """The table.

    Args:
        rows: the cells in the order of the plan. measures: those that any cell has.
        means: label -> measure -> interval. differences: the same, to the first label, over pairs of prompt and seed.
    """

    comparison: Comparison
    rows: tuple[Row, ...]
    measures: tuple[Measure, ...]
    means: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Interval]]

    @property
    def done(self) -> int:
        """Cells with scores."""
        return sum(row.result is not None for row in self.rows)


def summarise(comparison: Comparison) -> Summary:
    """What the run folders hold now; cells that are missing, running or failed are left out of the means."""
    rows = tuple(_row(cell) for cell in comparison.cells)
    values = {
        (row.cell.label, measure.name, row.cell.prompt, row.cell.seed): row.result.scores[measure.name]
        for row in rows
        if row.result is not None
        for measure in MEASURES
        if row.result.scores.get(measure.name) is not None
    }
    used = tuple(m for m in MEASURES if any(key[1] == m.name for key in values))
    means: dict[str, dict[str, Interval]] = {label: {} for label in comparison.labels}
    differences: dict[str, dict[str, Interval]] = {label: {} for label in comparison.labels[1:]}
    for label in comparison.labels:
        for m in used:
            own = _by_prompt(comparison, lambda p, s, m=m, a=label: _listed(values.get((a, m.name, p, s))))
            if own:
                means[label][m.name] = of_share(_flat(own)) if m.share else of_strata(own)
            if label != comparison.labels[0]:
                difference = _difference(comparison, values, label, m)
                if difference is not None:
                    differences[label][m.name] = difference
    return Summary(comparison, rows, used, means, differences)


def _difference(
    comparison: Comparison, values: Mapping[tuple[str, str, str, int], Any], label: str, m: Measure
) -> Interval | None:
    first = comparison.labels[0]

    def pair(prompt: str, seed: int) -> list[tuple[float, float]]:
        own, other = (values.get((one, m.name, prompt, seed)) for one in (label, first))
        return [] if own is None or other is None else [(own, other)]

    pairs = _by_prompt(comparison, pair)
    if not pairs:
        return None
    if m.share:
        own, others = zip(*_flat(pairs), strict=True)
        return of_paired_shares([v > 0.5 for v in own], [v > 0.5 for v in others])
    return of_strata([[a - b for a, b in group] for group in pairs])


def _by_prompt(comparison: Comparison, of: Any) -> list[list[Any]]:
    """What `of` lists for (prompt, seed), a list a prompt; prompts without anything are left out."""
    groups = ([v for seed in comparison.seeds for v in of(prompt, seed)] for prompt in comparison.prompts)
    return [group for group in groups if group]


def _listed(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _flat(groups: Iterable[Sequence[Any]]) -> list[Any]:
    return [value for group in groups for value in group]


def _row(cell: Cell) -> Row:
    path = folder_path(cell.config)
    if not (path / "config.yaml").is_file():
        return Row(cell, None, None)
    folder = RunFolder.open(path)
    try:
        status = folder.status()
    except Sds3dError as error:
        return Row(cell, folder, None, str(error))
    reason = status.reason if status.state == "failed" else ""
    return Row(cell, folder, read_result(folder), reason)


def defaults_of(comparison: Comparison, label: str) -> dict[str, str]:
    """What a reader wants to know of a method: its title, and its price in network calls."""
    name = comparison.config_of(label).guidance.method
    found = told_of(name)
    return {"method": name, "title": found.title, "calls": found.calls, "source": found.source}
