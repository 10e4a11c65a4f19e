"""comparison.html: one self-contained page about a comparison, sortable, readable on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sds3d.assetio.files import write_atomic
from sds3d.evaluate.intervals import Interval
from sds3d.jobs.compare.files import in_words
from sds3d.jobs.compare.measures import Measure
from sds3d.jobs.compare.summary import Row, Summary, defaults_of

from .page import data_uri

MEDIA_BYTES = 48_000_000
"""Films and pictures together, as text in the page; runs after that are named without them."""


@dataclass(frozen=True)
class Shown:
    """One run in the gallery: a film or a picture as data URI ("" where there is none), and two lines of text."""

    film: str
    picture: str
    line: str
    state: str


def write_comparison(summary: Summary, path: Path) -> Path:
    """Write the page: scores with intervals, differences to the first method, every run's film or picture.

    The page holds all it shows and makes no request; its script sorts the table and plays what is in view.

    Returns:
        Path of the page.

    Raises:
        AssetError: the disk refuses; an older page is intact.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("compare.html").render(**_facts(summary))
    write_atomic(path, page.encode(), overwrite=True)
    return path


def _facts(summary: Summary) -> dict[str, Any]:
    asked = summary.comparison
    return {
        "name": asked.name,
        "asked": asked,
        "done": summary.done,
        "total": len(summary.rows),
        "failed": [row for row in summary.rows if row.reason],
        "measures": summary.measures,
        "table": [(label, _numbers(summary, label)) for label in asked.labels],
        "differences": [(label, _differences(summary, label)) for label in asked.labels[1:]],
        "gallery": _gallery(summary),
        "methods": [(label, defaults_of(asked, label)) for label in asked.labels],
        "equal": _equal(summary),
    }


def _equal(summary: Summary) -> str:
    asked = summary.comparison
    if asked.equal == "nfe":
        return f"equal network calls: {asked.budget:g} predictions a view"
    return "equal steps: " + ", ".join(
        sorted({str(asked.config_of(label).optimize.steps) for label in asked.labels})
    )


def _numbers(summary: Summary, label: str) -> list[dict[str, Any]]:
    """A row's cells: mean, its interval, and the number to sort by."""
    return [_cell(summary.means[label].get(m.name), m, False) for m in summary.measures]


def _differences(summary: Summary, label: str) -> list[dict[str, Any]]:
    return [_cell(summary.differences[label].get(m.name), m, True) for m in summary.measures]


def _cell(found: Interval | None, measure: Measure, signed: bool) -> dict[str, Any]:
    text = in_words(found, measure, signed)
    mean, _, ends = text.partition(" ")
    sure = found is not None and found.known and signed and (found.low > 0.0 or found.high < 0.0)
    good = sure and measure.better != "" and (found.mean > 0.0) == (measure.better == "higher")  # type: ignore[union-attr]
    tone = ("better" if good else "worse") if sure and measure.better else ("sure" if sure else "")
    return {"mean": mean, "ends": ends, "value": "" if found is None else f"{found.mean:.6g}", "tone": tone}


def _gallery(summary: Summary) -> list[tuple[str, list[list[Shown]]]]:
    """(prompt, a row a seed, of a run a method)."""
    left, out = [MEDIA_BYTES], []
    by_place = {(row.cell.prompt, row.cell.seed, row.cell.label): row for row in summary.rows}
    asked = summary.comparison
    for prompt in asked.prompts:
        rows = [
            [_shown(by_place[prompt, seed, label], left) for label in asked.labels] for seed in asked.seeds
        ]
        out.append((prompt, rows))
    return out


def _shown(row: Row, left: list[int]) -> Shown:
    if row.folder is None or row.result is None:
        return Shown("", "", row.reason, "failed" if row.reason else "not made yet")
    files = [row.folder.turntable, *row.folder.assets().values(), row.folder.contact]
    media = [f for f in files if f.is_file() and f.suffix in (".mp4", ".png", ".jpg")]
    uri = data_uri(media[0]) if media else ""
    if len(uri) > left[0]:
        return Shown("", "", _line(row), "left out for size; see its run folder")
    left[0] -= len(uri)
    film = media[0].suffix == ".mp4" if media else False
    return Shown(uri if film else "", "" if film else uri, _line(row), "")


def _line(row: Row) -> str:
    """What the judge took it for, where it was asked."""
    result = row.result
    if result is None or not result.best:
        return ""
    return "✓" if result.scores.get("r1") else result.best
