"""comparison.json and comparison.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from ...assetio.files import write_atomic
from ...evaluate.intervals import Interval
from .measures import Measure
from .plan import Comparison
from .summary import Row, Summary

FORMAT = 1
"""Version of comparison.json."""


def write_json(summary: Summary, path: Path) -> None:
    """Everything: what was compared, each run's scores, means and differences with their intervals.

    Raises:
        AssetError: the disk refuses.
    """
    write_atomic(path, json.dumps(as_dict(summary), indent=1, ensure_ascii=False).encode() + b"\n", True)


def as_dict(summary: Summary) -> dict[str, Any]:
    """The same as JSON values; no paths of the machine."""
    asked = summary.comparison
    return {
        "format": FORMAT,
        "name": asked.name,
        "mode": "2d" if asked.flat else "3d",
        "equal": asked.equal,
        "budget": asked.budget,
        "methods": {label: _options(asked, label) for label in asked.labels},
        "prompts": list(asked.prompts),
        "seeds": list(asked.seeds),
        "refused": [{"prompt": r.prompt, "reason": r.reason} for r in asked.refused],
        "measures": {
            m.name: {"label": m.label, "better": m.better, "told": m.told} for m in summary.measures
        },
        "means": _intervals(summary.means),
        "differences_to_first": _intervals(summary.differences),
        "runs": [_run(row) for row in summary.rows],
    }


def _options(asked: Comparison, label: str) -> dict[str, Any]:
    return asked.config_of(label).guidance.model_dump(mode="json")


def _intervals(table: Any) -> dict[str, dict[str, Any]]:
    return {label: {name: _interval(i) for name, i in row.items()} for label, row in table.items()}


def _interval(found: Interval) -> dict[str, Any]:
    """JSON has no NaN: unknown ends are null."""
    low, high = (v if math.isfinite(v) else None for v in (found.low, found.high))
    return {"mean": found.mean, "low": low, "high": high, "count": found.count, "kind": found.kind}


def _run(row: Row) -> dict[str, Any]:
    return {
        "method": row.cell.label,
        "prompt": row.cell.prompt,
        "seed": row.cell.seed,
        "run": row.folder.path.name if row.folder else None,
        "reason": row.reason,
        "scores": dict(row.result.scores) if row.result else None,
        "judged_as": row.result.best if row.result else None,
    }


def write_csv(summary: Summary, path: Path) -> None:
    """One line a run: method, prompt, seed, the scores, the caption that the judge would have chosen.

    Raises:
        AssetError: the disk refuses.
    """
    text = io.StringIO()
    names = [m.name for m in summary.measures]
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["method", "prompt", "seed", *names, "judged_as", "run", "reason"])
    for row in summary.rows:
        scores = row.result.scores if row.result else {}
        best, run = row.result.best if row.result else "", row.folder.path.name if row.folder else ""
        values = ["" if scores.get(name) is None else scores[name] for name in names]
        lines.writerow([row.cell.label, row.cell.prompt, row.cell.seed, *values, best, run, row.reason])
    write_atomic(path, text.getvalue().encode(), True)


def in_words(found: Interval | None, measure: Measure, signed: bool = False) -> str:
    """`0.82 [0.71, 0.90]`, as tables print it; "" where nothing is known."""
    if found is None:
        return ""
    form = f"{'+' if signed else ''}.{measure.digits}f"
    text = format(found.mean, form)
    return f"{text} [{found.low:{form}}, {found.high:{form}}]" if found.known else text
