"""What the pages of docs/evidence/ about comparisons share: tables in Markdown, and sheets of pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVIDENCE = Path(__file__).resolve().parents[1] / "docs" / "evidence"
MARK = "<!-- made by {script}: what stands up to the next mark is overwritten -->"
END = "<!-- end -->"


def load(folder: Path) -> dict[str, Any]:
    """The comparison.json of a comparison's folder."""
    return json.loads((folder / "comparison.json").read_text())


def table(found: dict[str, Any], names: Sequence[str], digits: dict[str, int] | None = None) -> str:
    """Means with their intervals as a Markdown table, a row a method."""
    digits = digits or {}
    used = [name for name in names if name in found["measures"]]
    head = ["method", *(found["measures"][name]["label"] for name in used)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for label in found["methods"]:
        cells = [_cell(found["means"][label].get(name), digits.get(name, 2)) for name in used]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: dict[str, Any] | None, digits: int) -> str:
    if value is None:
        return ""
    mean = f"{value['mean']:.{digits}f}"
    if value["low"] is None or value["high"] - value["low"] < 10.0**-9:
        return mean
    return f"{mean} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def compact(found: dict[str, Any]) -> dict[str, Any]:
    """The same comparison in fewer bytes: four digits, runs as rows under names, what the page repeats left out."""
    kept = {k: v for k, v in found.items() if k not in ("measures", "refused", "runs")}
    names = list(found["measures"])
    rows = [
        [run["method"], run["prompt"], run["seed"], *(run["scores"].get(n) for n in names), run["judged_as"]]
        for run in found["runs"]
        if run["scores"] is not None
    ]
    return _rounded(
        {**kept, "runs": {"columns": ["method", "prompt", "seed", *names, "judged_as"], "rows": rows}}
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def sheet(folder: Path, path: Path, side: int, columns: int = 1, seed: int | None = None) -> None:
    """A row a prompt, a column a method: one seed's pictures on one PNG.

    Args:
        folder: of the comparison. side: of one picture in pixels. columns: views of each contact sheet that are
            shown, evenly spread; 1 shows asset.png where there is one. seed: the first by default.
    """
    from PIL import Image, ImageDraw

    found = load(folder)
    seed = found["seeds"][0] if seed is None else seed
    labels = list(found["methods"])
    scored = {run["prompt"] for run in found["runs"] if run["scores"] is not None and run["seed"] == seed}
    prompts = [prompt for prompt in found["prompts"] if prompt in scored]
    wide, high, head = columns * side + 6, side + 6, 16
    page = Image.new("RGB", (len(labels) * wide, head + len(prompts) * high), "white")
    draw = ImageDraw.Draw(page)
    for k, label in enumerate(labels):
        draw.text((k * wide + 2, 2), label, fill="black")
    for run in found["runs"]:
        if run["seed"] != seed or run["scores"] is None:
            continue
        x, y = labels.index(run["method"]) * wide, head + prompts.index(run["prompt"]) * high
        for k, view in enumerate(_views(folder / "cells" / run["run"], columns)):
            enlarge = view.width < side
            page.paste(
                view.resize((side, side), Image.NEAREST if enlarge else Image.LANCZOS), (x + k * side, y)
            )
    page.save(path, optimize=True)


def _views(run: Path, count: int) -> list[Any]:
    from PIL import Image

    if (run / "asset.png").is_file():
        return [Image.open(run / "asset.png").convert("RGB")]
    contact = Image.open(run / "contact.png").convert("RGB")
    # four views in a row, two pixels between them
    side = contact.height
    total = (contact.width + 2) // (side + 2)
    places = [k * total // count * (side + 2) for k in range(count)]
    return [contact.crop((x, 0, x + side, side)) for x in places]


def write_between(path: Path, script: str, parts: Sequence[str]) -> None:
    """Replace what stands between the marks of a page; each pair of marks takes the next part."""
    mark, text = MARK.format(script=script), path.read_text()
    pieces = text.split(mark)
    if len(pieces) != len(parts) + 1:
        raise SystemExit(f"{path}: has {len(pieces) - 1} marks of {script}, and there are {len(parts)} parts")
    out = pieces[0]
    for piece, part in zip(pieces[1:], parts, strict=True):
        out += f"{mark}\n{part}\n{END}{piece.split(END, 1)[1]}"
    path.write_text(out)
