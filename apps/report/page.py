"""Putting the page together from a run folder."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sds3d.jobs import metrics
from sds3d.jobs.fitting import held_out_psnr
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import RunConfig
from sds3d.jobs.separating import heard, sound_files

from .curves import line_chart, split_bar, thin
from .schedules import drawing, lengths, panels

_CURVES = {
    "residual": True,
    "gradient": True,
    "t": False,
    "alpha": False,
    "reference_psnr": False,
    "psnr": False,
    "psnr_held_out": False,
}
"""Metrics drawn first, and whether on a logarithmic axis; losses follow."""

_MIME = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
}
_LONGEST_SOUND = 16 << 20
"""Larger sound files are named, and not held in the page."""


def write_report(folder: RunFolder) -> Path:
    """Write report.html into a run folder: pictures, film, curves, timings, config, provenance.

    The page holds all it shows (pictures as data URIs, no script) and makes no request.

    Returns:
        Path of the page.

    Raises:
        AssetError: the disk refuses; an older page is intact.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("template.html").render(**_facts(folder))
    folder.write(folder.report, page.encode())
    return folder.report


def _facts(folder: RunFolder) -> dict[str, Any]:
    rows = list(metrics.read(folder.metrics_file))
    config, status = folder.config(), folder.status()
    return {
        "prompt": config.prompt,
        "name": folder.path.name,
        "status": status,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(status.updated)),
        "contact": data_uri(folder.contact),
        "before_after": data_uri(folder.before_after),
        "held_out": data_uri(folder.held_out),
        "psnr": held_out_psnr(folder),
        "reference_view": data_uri(folder.reference_view),
        "turntable": data_uri(folder.turntable),
        "sounds": sounds(folder, heard(config)),
        "previews": [(p.stem, data_uri(p)) for p in _some(sorted(folder.previews.glob("*render*.png")), 8)],
        "gradients": [
            (p.stem, data_uri(p))
            for name in ("target", "reference", "residual")
            for p in _some(sorted(folder.previews.glob(f"*_{name}.png")), 6)
        ],
        "curves": [*curves(rows), *by_time(rows)],
        "planned": planned(config),
        "timings": timings(rows),
        "calls": network_calls(rows),
        "assets": [
            (p.name, f"{p.stat().st_size / 1e6:.2f} MB")
            for files in folder.particles()
            for p in files.values()
        ],
        "config": folder.config_file.read_text(),
        "provenance": _flat(folder.provenance()),
    }


def sounds(folder: RunFolder, words: Sequence[str]) -> list[tuple[str, str, str]]:
    """The name, the data URI and the words of every sound that was made.

    Args:
        words: what each of them is; see jobs.separating.heard.
    """
    shown = zip_longest(sound_files(folder), words, fillvalue="")
    return [
        (p.name, data_uri(p), said)
        for p, said in shown
        if isinstance(p, Path) and p.stat().st_size <= _LONGEST_SOUND
    ]


def data_uri(path: Path) -> str:
    """A file as a data URI, "" when it is not there."""
    if not path.is_file():
        return ""
    return _uri(_MIME[path.suffix], path.read_bytes())


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def curves(rows: list[dict[str, Any]]) -> list[str]:
    """The charts of the metrics that the rows hold."""
    losses = sorted({k for row in rows for k in row if k.startswith("loss_")})
    wanted = [(k, log) for name, log in _CURVES.items() for k in named(rows, name)]
    wanted += [(k, False) for k in losses]
    charts = []
    for key, log_scale in wanted:
        points = [(row["step"], row[key]) for row in rows if isinstance(row.get(key), int | float)]
        charts.append(line_chart(key.removeprefix("loss_"), thin(points), log_scale, seams=seams(rows)))
    return [c for c in charts if c]


def seams(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Name and first step of each stage, for runs that have some."""
    first: dict[str, float] = {}
    for row in rows:
        if "stage" in row:
            first.setdefault(row["stage"], row["step"])
    return list(first.items())


def planned(config: RunConfig) -> str:
    """What changes over the steps as an SVG picture's data URI; it has styles of its own, which an <img> keeps in.

    "" where no guidance runs: of photographs that are fitted.
    """
    if config.capture is not None:
        return ""
    return _uri("image/svg+xml", drawing(panels(config), lengths(config)).encode())


def by_time(rows: list[dict[str, Any]]) -> list[str]:
    """Norms of the gradient's parts over t, for runs that noted them."""
    charts = []
    for part in ("target", "reference", "residual"):
        for key in named(rows, f"norm_{part}"):
            t, title = key.replace(f"norm_{part}", "t"), key.replace("norm_", "")
            points = sorted((row[t], row[key]) for row in rows if key in row and t in row)
            charts.append(line_chart(f"{title}, by t", thin(points, 60), axis="t"))
    return [c for c in charts if c]


def named(rows: list[dict[str, Any]], metric: str) -> list[str]:
    """The keys that hold a metric: itself, and "vsd.residual" and the like where a run has several guidances."""
    keys = dict.fromkeys(k for row in rows for k in row)
    return [k for k in keys if k == metric or k.endswith(f".{metric}")]


def timings(rows: list[dict[str, Any]]) -> str:
    """Where the time went, over all steps; "" without rows."""
    totals: dict[str, float] = {}
    for row in rows:
        for name, seconds in row.get("seconds", {}).items():
            totals[name] = totals.get(name, 0.0) + seconds
    totals.pop("total", None)
    shares = sorted(((k, v) for k, v in totals.items() if v > 0), key=lambda s: -s[1])
    return split_bar(shares) if shares else ""


def network_calls(rows: list[dict[str, Any]]) -> str:
    """What the run asked of the prior's network, in words; "" for rows that do not tell."""
    counted = [row for row in rows if row.get("nfe")]
    if not counted:
        return ""
    total = sum(row["rows"] for row in counted)
    trained = sum(row["rows"] * row["nfe_train"] / row["nfe"] for row in counted)
    mean = sum(row["nfe"] for row in counted) / len(counted)
    text = f"{total:,.0f} pictures went through the prior's network, {mean:.3g} a view and step"
    return text + (f"; {trained:,.0f} of them to train the critic, with a backward each." if trained else ".")


def _some(paths: list[Path], most: int) -> Iterable[Path]:
    """At most `most` of them, evenly spread, first and last included."""
    if len(paths) <= most:
        return paths
    return [paths[round(k * (len(paths) - 1) / (most - 1))] for k in range(most)]


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as ("a.b", "value") rows."""
    out: list[tuple[str, str]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out += _flat(value, name + ".") if isinstance(value, dict) else [(name, str(value))]
    return out
